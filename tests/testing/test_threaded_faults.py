"""The faults of a threaded server, as plain calls and as clients of another kind see them."""

from __future__ import annotations

import pytest
from testing.threads import answering, receive, subscribed
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from datafye_trio.testing import run_test_server, trade


def test_a_mute_server_says_nothing_until_the_fault_ends() -> None:
    with run_test_server() as server, subscribed(server.url) as client:
        with server.faults.mute() as fault:
            assert (fault.name, fault.connection, fault.active, str(fault)) == ("mute", None, True, "mute()")
            assert [str(one) for one in server.faults.active] == ["mute()"]
            server.publish(trade())
            with pytest.raises(TimeoutError):
                client.recv(timeout=0.05)
        assert not fault.active
        assert "ended" in repr(fault)
        receive(client, "trade")


def test_conditions_add_up_and_are_cleared() -> None:
    with run_test_server() as server:
        faults = server.faults
        made = [
            faults.no_heartbeats(), faults.delay(1, jitter=0.5), faults.slow_reads(1000), faults.slices(),
            faults.reorder(0.5), faults.duplicate(0.5), faults.corrupt(0.5, connection=3),
        ]  # fmt: skip
        assert [one.name for one in faults.active] == [one.name for one in made]
        assert made[-1].connection == 3
        made[0].end()
        assert len(faults.active) == 6
        faults.clear()
        assert faults.active == ()


def test_without_heartbeats_nobody_is_cut() -> None:
    with run_test_server() as server, server.faults.no_heartbeats(), answering(server.url) as client:
        server.wait_connected()
        server.advance(3600)
        assert client.heartbeats == 0
        assert len(server.connections) == 1


def test_one_that_hears_nothing_is_cut_and_learns_it_afterwards() -> None:
    with run_test_server() as server, answering(server.url) as client:
        server.wait_connected()
        with server.faults.mute():
            server.advance(40)
        client.join(5)
        assert client.code == 4009


def test_orders_are_done() -> None:
    with run_test_server() as server:
        refusal = server.faults.refuse(status=429, retry_after=2)
        with pytest.raises(InvalidStatus) as refused, connect(server.url):
            pass
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "2")
        assert (refusal.hits, refusal.active) == (1, False)
        with subscribed(server.url) as client:
            server.faults.close(4001, "for a test")
            with pytest.raises(ConnectionClosed, match=r"4001 \(private use\) for a test"):
                receive(client, "never")
        with subscribed(server.url) as client:
            assert server.faults.drop().hits == 1
            with pytest.raises(ConnectionClosed):
                receive(client, "never")


def test_orders_that_make_no_sense_are_refused_in_the_caller() -> None:
    with run_test_server() as server:
        with pytest.raises(ValueError, match="probability"):
            server.faults.corrupt(2)
        with pytest.raises(ValueError, match="no connection #1"):
            with subscribed(server.url):
                pass
            server.wait_closed()
            server.faults.mute(connection=1)


def test_a_restart_has_new_epochs() -> None:
    with run_test_server() as server:
        with subscribed(server.url) as client:
            server.faults.restart()
            with pytest.raises(ConnectionClosed, match="1012"):
                receive(client, "never")
        with connect(server.url):
            first, second = server.log.wait_for(lambda log: log.messages("connected")[1:] and log.messages("connected"))
        assert first["datasets"][0]["epoch"] != second["datasets"][0]["epoch"]


def test_a_lost_ring_is_noted() -> None:
    with run_test_server() as server:
        server.faults.lose_ring()
        assert server.log.entries("fault")[-1].reason == "lose_ring()"
