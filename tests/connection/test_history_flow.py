"""How stored data flows: windows, rates, stops, slow readers, and the end of a connection with streams under way."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from itertools import count, pairwise
from typing import Any

import pytest
import trio
from connection.kit import BASE
from connection.stored import DAY, HistoryPeer, Stored, history_client, numbers, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from support import RawClient, memory_server, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import OutboxLimits, Server, ServerConfig
from datafye_trio.model import Event, Trade
from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.sources import HistoryQuery

MANY = 20_000
"""Messages of some 4 MB: far more than outbox and transport hold."""


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


def peer_streams(server: Server) -> list[Any]:
    connections = server._reception._connections.values()
    return [stream for one in connections for stream in one._handler.streams._running.values()]


# Readers.


async def test_a_reader_that_stalls_for_20_seconds_loses_nothing(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(MANY))) as peer:
        await peer.start()
        await trio.sleep(20)
        messages = [message for message in await peer.until("stream_end") if message["type"] != "heartbeat"]
        assert numbers(messages) == list(range(MANY))
        assert (await peer.ask(action="ping"))["type"] == "pong"


@pytest.mark.parametrize(("seconds", "cut"), [(59, False), (61, True)])
async def test_a_write_may_block_for_60_seconds(autojump_clock: MockClock, seconds: float, cut: bool) -> None:
    async with history_client(Stored(trades(MANY))) as peer:
        await peer.start()
        await trio.sleep(seconds)
        with trio.move_on_after(1):
            kinds = []
            while (kind := (await peer.frame())[0]) != -1:
                kinds.append(kind)
        assert len(kinds) < MANY if cut else len(kinds) >= MANY + 2


async def test_heartbeats_that_nobody_answers_end_it(autojump_clock: MockClock) -> None:
    async with history_client(Stored(endless)) as peer:
        began = trio.current_time()
        await peer.start(rate=20)
        assert await peer.closed() == (4009, 'answer heartbeats with {"action":"pong"}')
        assert trio.current_time() - began == pytest.approx(40, abs=0.1)


async def test_heartbeats_overtake_what_waits(autojump_clock: MockClock) -> None:
    async with history_client(Stored(endless)) as peer:
        await peer.start()
        await peer.messages(3)
        await trio.sleep(10.1)
        heartbeat = (await peer.until("heartbeat"))[-1]
        assert heartbeat["lag"] > 500
        assert heartbeat["sent"] > 0


async def test_a_slow_reader_of_stored_data_holds_up_no_live_source(autojump_clock: MockClock) -> None:
    async with history_client(Stored(endless)) as peer:
        await peer.start()
        for _ in range(4):
            await peer.messages(400)
            await trio.sleep(1.5)
        with trio.fail_after(0.001):
            await peer.server._broker.room()


async def test_a_small_outbox_and_answers_beside_the_data(autojump_clock: MockClock) -> None:
    config = ServerConfig(outbox=OutboxLimits(bytes=3_000, messages=2_048, policy="drop_oldest"))
    async with history_client(Stored(trades(2_000)), config=config) as peer:
        await peer.start(id=1)
        await peer.start(id=2)
        ended = 0
        seen: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        while ended < 2:
            message = await peer.message()
            seen[message["stream"]].append(message)
            ended += message["type"] == "stream_end"
        assert [numbers(messages) for messages in seen.values()] == [list(range(2_000))] * 2


# Ends.


async def test_a_shutdown_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    source = Stored(endless)
    async with memory_server(None, [source]) as server:
        peer = await HistoryPeer.connect(server, BASE + "/stocks/history")
        for name in range(5):
            await peer.start(id=name)
        await wait_all_tasks_blocked()
        assert source.open == 5
        closing: list[tuple[int, str]] = []

        async def read_on() -> None:
            closing.append(await peer.closed())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_on)
            with trio.fail_after(5):
                await server.stop(Ending(CloseCode.GOING_AWAY, "the server shuts down", drain=True))
        assert closing[0][0] == 1001
        assert source.open == 0
        assert server._broker.budget.used == 0


async def test_a_client_that_goes_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    source = Stored(endless)
    async with memory_server(None, [source]) as server:
        for leave in ("close", "vanish"):
            peer = await HistoryPeer.connect(server, BASE + "/stocks/history")
            for name in range(3):
                await peer.start(id=name)
            await peer.start(id="w", window=1)
            await peer.messages(50)
            if leave == "close":
                await peer.close()
            else:
                await peer.stream.aclose()
            await trio.sleep(70)
            assert source.open == 0
            assert server._broker.budget.used == 0


async def test_memory_is_flat_over_200_000_messages(autojump_clock: MockClock) -> None:
    """Live trades are counted: a thousand of a batch are there at any time, and not those that went before."""
    most = 0
    async with history_client(Stored(trades(200_000), size=1_024)) as peer:
        await peer.start()
        gc.collect()
        received = size = 0
        while received < 200_002:
            received += (await peer.frame())[0] == 1
            if received % 20_000 == 0:
                most = max(most, sum(type(found) is Trade for found in gc.get_objects()))
                size = max(size, peer.server._broker.budget.used)
    assert 0 < most < 3_000
    assert size < 300_000


# Whatever is asked.

WORDS = st.sampled_from(
    ["AAPL", "*", "Tick", "Minute", "Day", "trades", "quotes", "bars", "sma", "Synthetic", "Stored", "s1", "",
     "2023-11-14", "2023-11-14T22:13:20Z", "2023-11-15", "1678-01-01", "2261-12-31", "9999-99-99", "now"],
) | st.text(max_size=4)  # fmt: skip
NUMBERS = st.integers(-1, 3) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
FIELDS = st.fixed_dictionaries(
    {"action": st.sampled_from(["start"] * 6 + ["more", "stop"])},
    optional={
        name: WORDS | NUMBERS | st.none() | st.lists(WORDS, max_size=3)
        for name in ("symbol", "symbols", "frequency", "channel", "from", "to", "id", "dataset", "rate", "window",
                     "count")
    },
)  # fmt: skip
NEARLY = FIELDS.map(lambda fields: {"symbol": "AAPL", "id": 1, "window": 2, **DAY, **fields})


@settings(max_examples=60, deadline=None)
@given(st.lists(FIELDS | NEARLY, min_size=1, max_size=10))
def test_no_request_is_answered_internal(requests: list[dict[str, Any]]) -> None:
    async def main() -> None:
        async with memory_server(None, [Stored(trades(30))]) as server:
            peer = await RawClient.connect(server, BASE + "/stocks/history")
            for request in requests:
                await peer.send(**request)
            answers = [message for _ in range(3) for message in await pinged(peer)]
            assert not [answer for answer in answers if answer.get("code") == "INTERNAL"]
            assert not [answer for answer in answers if answer["type"] == "stream_error"]
            await peer.stream.aclose()

    trio.run(main)


async def pinged(peer: RawClient) -> list[dict[str, Any]]:
    await peer.send(action="ping")
    return await peer.until("pong")
