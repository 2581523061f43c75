"""The clock of a threaded server, moved by hand: who is waited for, who is cut, and how far it goes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

import pytest
from testing.threads import Answering, answering, receive, send, subscribed
from websockets.sync.client import ClientConnection, connect

from datafye_trio import OutboxLimits, ServerConfig, Trade
from datafye_trio.testing import START, run_test_server, trade
from datafye_trio.testing.advancing import _Client
from datafye_trio.testing.log import Entry

SECOND = 10**9


def test_a_client_that_answers_lives_on_for_an_hour() -> None:
    with run_test_server() as server, answering(server.url) as client:
        server.wait_connected()
        began = server.now()
        server.advance(3600)
        assert server.now() - began == pytest.approx(3600 * SECOND, abs=SECOND)
        assert client.heartbeats == 360
        assert client.code is None


def test_one_that_never_answers_is_cut_at_forty_seconds_and_not_before() -> None:
    with run_test_server() as server, connect(server.url) as client:
        server.wait_connected()
        began = time.monotonic()
        server.advance(39.5)
        assert len(server.connections) == 1
        server.advance(0.5)
        assert time.monotonic() - began < 5  # a bound against hanging; 0.3 s as a rule
        reading = Answering(client)
        reading.start()
        reading.join(5)
        assert reading.code == 4009
        server.wait_closed()


def test_one_that_answered_once_and_no_more_is_cut_too() -> None:
    with run_test_server() as server, connect(server.url) as client:
        receive(client, "connected")
        threading.Thread(target=answer_one, args=(client,)).start()
        server.advance(10)
        assert server.log.messages("pong")
        server.advance(40, grace=0.01)
        assert server.log.entries("close")[0].code == 4009


def answer_one(client: ClientConnection) -> None:
    receive(client, "heartbeat")
    send(client, action="pong")


def test_nobody_is_waited_for_beyond_what_they_are_owed_by_the_clock() -> None:
    """A heartbeat that a delay holds back is not the client's to answer yet."""
    with run_test_server() as server, answering(server.url) as client:
        server.wait_connected()
        with server.faults.delay(3):
            began = time.monotonic()
            server.advance(602)
            assert client.heartbeats == 59  # the last one is under way
            assert client.code is None
            assert time.monotonic() - began < 5  # 60 times the grace


def test_a_reader_that_is_behind_is_waited_for() -> None:
    """More data than the kernel takes: without a pause for the client the server would find it too slow."""
    config = ServerConfig(outbox=OutboxLimits(seconds=2.0))
    with run_test_server(config=config) as server, subscribed(server.url) as client:
        reading = Answering(client)
        reading.start()
        large = trade(conditions=("x" * 30,) * 100)  # 3 KB of JSON
        playing = server.play((large for _ in range(4_000)), speed=math.inf)
        server.advance(60)
        assert playing.wait() == 4_000
        assert reading.code is None
        client.close()
        reading.join(5)


def busy() -> Iterator[Trade]:
    for n in range(1000):
        yield trade(at=START + n * SECOND // 1000)


def test_many_events_are_played_in_between() -> None:
    with run_test_server() as server, answering(server.url):
        playing = server.play(busy())
        server.advance(1)
        assert playing.wait() == 1000


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_the_clock_goes_no_way_back_and_has_an_end(seconds: float) -> None:
    with run_test_server() as server, pytest.raises(ValueError, match="finite, and from 0"):
        server.advance(seconds)


def test_no_time_is_no_time() -> None:
    with run_test_server() as server:
        server.advance(0)
        server.advance(0.25)
        assert server.log.wait_for(lambda log: log.now()) >= 0.25


def test_an_answer_pays_for_the_heartbeats_up_to_its_stamp() -> None:
    client = _Client()
    for stamp in (1, 2, 3):
        client.hear(entry("out", f'{{"type":"heartbeat","timestamp":{stamp}}}'))
    assert list(client.heartbeats) == [1, 2, 3]
    assert not client.trusted
    client.hear(entry("in", '{"action":"pong","timestamp":2}'))
    assert list(client.heartbeats) == [3]
    assert client.trusted
    client.hear(entry("in", '{"action":"pong"}'))
    assert not client.heartbeats
    client.hear(entry("in", '{"action":"subscribe","symbols":["pong"]}'))
    client.hear(entry("out", '{"type":"status","text":"heartbeat"}'))
    client.hear(entry("in", "pong"))
    assert not client.heartbeats


def test_trust_is_lost_once_and_earned_anew() -> None:
    client = _Client(trusted=True)
    client.waited = 0.9
    assert client.believed(0.1)
    client.waited = 1.0
    assert not client.believed(0.1)
    client.hear(entry("out", '{"type":"heartbeat","timestamp":1}'))
    client.waited = 0.1
    assert not client.believed(0.1)
    client.look(5)
    assert client.believed(0.1)


def entry(direction: str, text: str) -> Entry:
    return Entry(1, 0.0, "in" if direction == "in" else "out", "text", text.encode())
