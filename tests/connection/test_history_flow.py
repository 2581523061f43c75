"""How stored data flows: windows, rates and stops."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count, pairwise
from typing import Any

import pytest
import trio
from connection.stored import Stored, failing, history_client, numbers, trades
from support import trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Server, SourceError
from datafye_trio.model import Event
from datafye_trio.sources import HistoryQuery


def endless(query: HistoryQuery) -> Iterable[Event]:
    return (trade(n=n) for n in count())


def types(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


# Windows.


async def test_a_window_is_sent_and_then_what_is_granted(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(10))) as peer:
        await peer.start(id="w", window=3)
        assert numbers(await peer.messages(4)) == [0, 1, 2]
        await peer.idle()
        await peer.send(action="more", id="w", count=2)
        assert numbers(await peer.messages(2)) == [3, 4]
        await peer.idle()
        await peer.send(action="more", id="w", count=1)
        await peer.send(action="more", id="w", count=10**12)
        assert numbers(await peer.until("stream_end")) == [5, 6, 7, 8, 9]


async def test_grants_add_up_before_they_are_used(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(5_000))) as peer:
        await peer.start(id="w", window=1)
        for _ in range(3):
            await peer.send(action="more", id="w", count=1_000)
        messages = await peer.messages(3_002)
        assert numbers(messages) == list(range(3_001))
        await peer.idle()


@pytest.mark.parametrize("window", [3, 4])
async def test_the_end_needs_no_grant(autojump_clock: MockClock, window: int) -> None:
    async with history_client(Stored(trades(3), size=1)) as peer:
        assert (await peer.whole(id="w", window=window))[-1]["count"] == 3


async def test_a_stream_that_waits_for_more_does_not_block_its_siblings(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(1_000))) as peer:
        await peer.start(id="waits", window=1)
        await peer.messages(2)
        assert numbers(await peer.whole(id="goes on")) == list(range(1_000))
        await peer.send(action="more", id="waits", count=999)
        assert numbers(await peer.until("stream_end")) == list(range(1, 1_000))


async def test_more_for_a_stream_without_a_window_or_one_that_has_just_ended(autojump_clock: MockClock) -> None:
    async with history_client(Stored(endless)) as peer:
        await peer.start(id=1, rate=1)
        await peer.messages(2)
        error = await peer.ask(action="more", id=1, count=1)
        assert (error["code"], error["id"], error["field"]) == ("INVALID_MESSAGE", 1, "id")
        await peer.ask(action="stop", id=1)
        await peer.send(action="more", id=1, count=1)  # it may have crossed the end on its way: no mistake
        assert (await peer.ask(action="ping"))["type"] == "pong"
        assert (await peer.ask(action="more", id=2, count=1))["code"] == "NOT_SUBSCRIBED"


# Rates.


@pytest.mark.parametrize(("rate", "messages"), [(4, 9), (0.5, 4), (250.0, 100), (3, 7)])
async def test_a_rate_is_kept_to_the_millisecond(autojump_clock: MockClock, rate: float, messages: int) -> None:
    async with history_client(Stored(trades(messages), size=5)) as peer:
        began = trio.current_time()
        await peer.start(rate=rate)
        await peer.message()
        for n in range(messages):
            assert numbers([await peer.message()]) == [n]
            assert trio.current_time() - began == pytest.approx(n / rate, abs=0.001)


@pytest.mark.unmeasured
async def test_at_a_high_rate_several_go_together(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(20_000))) as peer:
        began = trio.current_time()
        assert (await peer.whole(rate=10_000))[-1]["count"] == 20_000
        assert trio.current_time() - began == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("rate", [1e300, 5e-324])
async def test_absurd_rates_do_no_harm(autojump_clock: MockClock, rate: float) -> None:
    async with history_client(Stored(trades(2_000))) as peer:
        await peer.start(rate=rate, id="r")
        messages = await peer.messages(2)
        assert numbers(messages) == [0]
        if rate > 1:
            assert (await peer.until("stream_end"))[-1]["count"] == 2_000


async def test_held_up_a_rate_is_not_made_up_for_in_a_burst(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(100))) as peer:
        await peer.start(id="w", rate=10, window=5)
        await peer.messages(6)
        await trio.sleep(5)
        await peer.send(action="more", id="w", count=5)
        times = []
        for _ in range(5):
            await peer.message()
            times.append(trio.current_time())
        assert [later - before for before, later in pairwise(times)] == pytest.approx([0.1] * 4, abs=0.001)


# Stops.


async def test_after_stream_end_nothing_more_comes(autojump_clock: MockClock) -> None:
    source = Stored(endless)
    async with history_client(source) as peer:
        await peer.start(id="x")
        await peer.messages(1_000)
        await peer.send(action="stop", id="x")
        *data, end = await peer.until("stream_end")
        assert end == {"type": "stream_end", "stream": "x", "symbols": ["AAPL"], "count": 999 + len(data),
                       "reason": "stopped"}  # fmt: skip
        assert len(data) < 3_000  # little waits: a stop is felt soon
        await peer.idle()
        assert source.open == 0


async def test_stop_ends_one_or_all(autojump_clock: MockClock) -> None:
    source = Stored(endless)
    async with history_client(source) as peer:
        for name in ("a", "b", "c"):
            await peer.start(id=name, window=1)
        await peer.messages(6)
        assert (await peer.ask(action="stop", id="b"))["stream"] == "b"
        await peer.send(action="stop")
        ends = await peer.messages(2)
        assert [(end["stream"], end["reason"], end["count"]) for end in ends] == [
            ("a", "stopped", 1),
            ("c", "stopped", 1),
        ]
        assert (await peer.ask(action="stop"))["code"] == "NOT_SUBSCRIBED"
        assert source.open == 0


async def test_a_stream_that_still_searches_can_be_stopped(autojump_clock: MockClock) -> None:
    """A stop needs no data to come first, and what has started and ended is told in pairs."""

    class Searching(Stored):
        def read(self, query):
            self.open += 1
            try:
                while True:
                    yield []
            finally:
                self.open -= 1

    source = Searching(trades(0))
    async with history_client(source) as peer:
        await peer.start(id="x")
        await peer.send(action="stop", id="x")
        assert types(await peer.messages(2)) == ["stream_start", "stream_end"]
        await wait_all_tasks_blocked()
        assert source.open == 0


async def test_stopped_at_the_very_moment_of_a_chunk(autojump_clock: MockClock) -> None:
    """A task that was already woken puts nothing behind `stream_end`."""
    async with history_client(Stored(trades(5))) as peer:
        await peer.start(id="x", window=2)
        await peer.messages(3)
        (stream,) = peer_streams(peer.server)
        stream.grant(5)
        stream.stop()  # its task is scheduled by the grant, and not yet run
        assert (await peer.message())["count"] == 2
        await peer.idle()


@pytest.mark.parametrize("rest", ["more", "nothing", "a failure"])
async def test_stopped_when_its_task_was_about_to_put_a_chunk(autojump_clock: MockClock, rest: str) -> None:
    """Nothing follows `stream_end`, be it data, the end of the data or its failure."""
    fitting = 0
    for make in (endless, None):  # the first time to learn how much fits before the stream waits for room
        last = fitting + 100
        found = {"more": endless, "nothing": trades(last), "a failure": failing(SourceError("torn"), last)}[rest]
        async with history_client(Stored(make or found)) as peer:
            await peer.start(id="x")
            await wait_all_tasks_blocked()  # nobody reads
            (stream,) = peer_streams(peer.server)
            outbox = stream._outlet.outbox
            fitting = stream._count
            while outbox.next_nowait() is not None:
                pass  # as a writer does: the stream's task is awake
            stream.stop()
            await wait_all_tasks_blocked()
            left = outbox.next_nowait()
            assert left is not None
            assert b"stream_end" in left.data
            assert outbox.next_nowait() is None


def peer_streams(server: Server) -> list[Any]:
    connections = [one.connection for one in server._reception._connections.values()]
    return [stream for one in connections for stream in one._handler.streams._running.values()]
