"""The log, the expectations and the plays of a threaded server, as plain calls."""

from __future__ import annotations

import inspect

import pytest
from testing.threads import receive, send, subscribed
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from datafye_trio.errors import SourceError
from datafye_trio.testing import Expectation, ExpectationError, Faults, Log, Playing, run_test_server, trade
from datafye_trio.testing.aio import Aio, AioExpectation, AioFaults, AioLog, AioPlaying
from datafye_trio.testing.handles import ThreadedExpectation, ThreadedLog, ThreadedPlaying
from datafye_trio.testing.server import TestServer
from datafye_trio.testing.threaded import ThreadedTestServer
from datafye_trio.testing.threaded_faults import ThreadedFaults

INSIDE = {
    TestServer: {"connect", "open_feed", "publish_nowait", "hear", "close_connection", "drop_connection"},
    Log: {"add", "now", "listeners"},
    Faults: {"beats", "refuses", "take_refusal", "damage", "find", "cuts_within", "attach", "detach", "taps"},
    Expectation: {"matches", "topic", "then"},
    Playing: {"run", "told"},
}
"""What is not for other threads: streams and clients of the run's own, and what the parts ask of each other."""


@pytest.mark.parametrize(
    ("plain", "threaded"),
    [(TestServer, ThreadedTestServer), (Log, ThreadedLog), (Faults, ThreadedFaults), (Expectation, ThreadedExpectation),
     (Playing, ThreadedPlaying)],
)  # fmt: skip
def test_everything_is_there_under_the_same_names(plain: type, threaded: type) -> None:
    wanted = {name for name in vars(plain) if not name.startswith("_")} - INSIDE.get(plain, set())
    assert wanted - {*vars(threaded)} - {"port", "url"} == set()  # those two are attributes of the threaded one
    for name in wanted:
        one, other = getattr(plain, name), getattr(threaded, name, None)
        if inspect.isfunction(one) and inspect.isfunction(other):
            ours, theirs = inspect.signature(other).parameters, inspect.signature(one).parameters
            assert [*ours.values()] == [*theirs.values()], name


@pytest.mark.parametrize(
    ("plain", "awaited"),
    [(ThreadedTestServer, Aio), (ThreadedLog, AioLog), (ThreadedFaults, AioFaults),
     (ThreadedExpectation, AioExpectation), (ThreadedPlaying, AioPlaying)],
)  # fmt: skip
def test_all_that_waits_can_be_awaited_under_the_same_names(plain: type, awaited: type) -> None:
    waits = {name for name, value in vars(plain).items() if "check_may_wait" in source_of(value)}
    calls = {name for name in vars(awaited) if not name.startswith("_")}
    assert calls - {"publish"} == waits
    for name in calls:
        ours, theirs = getattr(awaited, name), getattr(plain, name)
        assert [*inspect.signature(ours).parameters.values()] == [*inspect.signature(theirs).parameters.values()], name


def source_of(value: object) -> str:
    return inspect.getsource(value) if inspect.isfunction(value) else ""


def test_the_log_is_read_while_it_runs_and_afterwards() -> None:
    with run_test_server() as server:
        with subscribed(server.url, "AAPL"):
            assert server.log.wait_for(lambda log: log.messages("subscribed"))
        server.wait_closed()
        assert server.log.messages("subscribe", direction="in")[0]["symbols"] == ["AAPL"]
    log = server.log
    assert [entry.kind for entry in log.entries(connection=1, direction="in")] == ["open", "text", "close"]
    assert len(log) == len(list(log)) == len(str(log).splitlines())
    assert str(log).endswith(log.tail(2))
    assert log.dump().startswith(b"1 ")
    assert log.forgotten == 0


def test_waiting_for_the_log_in_vain_shows_it() -> None:
    with run_test_server() as server, pytest.raises(AssertionError, match=r"did not come within 0\.01 s"):
        server.log.wait_for(lambda log: log.entries("open"), timeout=0.01)


def test_expectations_are_met_and_acted_upon() -> None:
    with run_test_server() as server:
        with server.in_order():
            came = server.expect_connect()
            asked = server.expect_subscribe("trades", "AAPL").then_publish(trade("AAPL", 1.5), trade("AAPL", 2.5))
            ended = server.expect_unsubscribe("trades", "AAPL").then_close(4000)
        assert asked.text == "a subscription to trades of AAPL"
        assert not came.met
        with subscribed(server.url, "AAPL") as client:
            asked.wait()
            assert (came.met, asked.times, ended.times) == (True, 1, 0)
            assert [receive(client, "trade")["tradePrice"] for _ in range(2)] == [1.5, 2.5]
            send(client, action="unsubscribe", channel="trades", symbols=["AAPL"])
            server.wait_expected()
            with pytest.raises(ConnectionClosed) as closed:
                receive(client, "never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4000
        assert ended.met


def test_a_connection_may_be_cut_when_it_comes() -> None:
    with run_test_server() as server:
        cut = server.expect_subscribe("trades", "AAPL").then_drop()
        end = server.expect_close()
        with connect(server.url) as client:
            send(client, action="subscribe", channel="trades", symbols=["AAPL"])
            with pytest.raises(ConnectionClosed):
                receive(client, "never")
        end.wait()
        assert cut.met


def test_what_is_out_of_order_says_so() -> None:
    with pytest.raises(ExpectationError, match="out of order"), run_test_server() as server:
        with server.in_order():
            server.expect_subscribe("quotes", "AAPL")
            server.expect_subscribe("trades", "AAPL")
        with subscribed(server.url, "AAPL"), pytest.raises(ExpectationError, match="out of order"):
            server.wait_expected(timeout=1)


def test_expecting_in_vain_says_what_came() -> None:
    with pytest.raises(ExpectationError), run_test_server() as server:
        pong = server.expect_pong()
        with pytest.raises(ExpectationError, match=r"an answer to a heartbeat within 0\.01 s, which did not come"):
            pong.wait(0.01)


def test_events_are_played_by_the_clock_of_the_server() -> None:
    with run_test_server() as server, subscribed(server.url, "AAPL") as client:
        playing = server.play([trade("AAPL", 1.0), trade("AAPL", 2.0)], at=20.0)
        assert (playing.published, playing.done, playing.error) == (0, False, None)
        server.advance(20)
        assert playing.wait() == 2
        assert playing.done
        assert [receive(client, "trade")["tradePrice"] for _ in range(2)] == [1.0, 2.0]


def test_a_play_can_be_cancelled() -> None:
    with run_test_server() as server:
        playing = server.play([trade()], at=60.0)
        playing.cancel()
        assert playing.wait() == 0


def test_a_play_that_cannot_be_says_so_at_once() -> None:
    with run_test_server() as server, pytest.raises(SourceError):
        server.play("/no/such/recording.csv")
