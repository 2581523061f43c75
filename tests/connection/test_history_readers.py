"""Slow readers of stored data, the end of a connection with streams under way, flat memory, and any request at all."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest
import trio
from connection.kit import BASE
from connection.stored import DAY, HistoryPeer, Stored, history_client, numbers, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from support import RawClient, memory_server, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import OutboxLimits, ServerConfig
from datafye_trio.model import Event
from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.sources import HistoryQuery

MANY = 20_000
"""Messages of some 4 MB: far more than outbox and transport hold."""


def endless(query: HistoryQuery) -> Iterable[Event]:
    return (trade(n=n) for n in count())


@pytest.mark.unmeasured
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


@pytest.mark.unmeasured
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


@pytest.mark.unmeasured
async def test_memory_is_flat_over_100_000_messages(autojump_clock: MockClock) -> None:
    """By what is allocated: a batch or two of trades are there at any time, and not those that went before."""
    blocks: list[int] = []
    async with history_client(Stored(trades(100_000), size=1_024)) as peer:
        await peer.start()
        received = size = 0
        while received < 100_002:
            received += (await peer.frame())[0] == 1
            if received % 20_000 == 0:
                gc.collect()
                blocks.append(sys.getallocatedblocks())
                size = max(size, peer.server._broker.budget.used)
    assert len(blocks) == 5
    assert max(blocks) - blocks[0] < 15_000  # a trade has four of its own
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


@pytest.mark.unmeasured
@settings(max_examples=60)
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
