"""When bars end, as a client sees it: silence, the end of the data, a jump, and many bars at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from connection.bars import ALL, MINUTE, START, at, client
from connection.kit import BASE
from support import RawClient, memory_server
from trio.testing import MockClock

from datafye_trio import Event, Mark, OutboxLimits, Program, Publisher, ServerConfig
from datafye_trio.model import AssetClass, Channel, DatasetInfo


async def next_bar(peer: RawClient) -> dict[str, Any]:
    """The next bar, however long it takes: heartbeats are answered."""
    while (message := await peer.message())["type"] == "heartbeat":
        await peer.send(action="pong")
    assert message["type"] == "ohlc"
    return message


async def test_a_quiet_symbol_s_bar_is_closed_by_the_wall_clock_after_the_grace(autojump_clock: MockClock) -> None:
    async with client(attrs.evolve(ALL, grace=2.0), "/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"])
        began = trio.current_time()
        await server.publish([at(20)])
        bar = await next_bar(peer)
        assert (bar["datetime"], bar["final"]) == (START, True)
        # 40 s to the end of the minute by the feed's clock, and the grace.
        assert trio.current_time() - began == pytest.approx(42, abs=1e-3)
        await server.publish([at(70)])
        assert (await next_bar(peer))["datetime"] == START + MINUTE
        assert trio.current_time() - began == pytest.approx(94, abs=1e-3)


async def test_a_feed_that_goes_on_closes_its_bars_by_its_own_clock_alone(autojump_clock: MockClock) -> None:
    async with client(attrs.evolve(ALL, grace=2.0), "/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"])
        for n in range(12):  # one market minute takes 120 s of ours
            await server.publish([at(5 * n)])
            await trio.sleep(1)
        began = trio.current_time()
        await server.publish([at(60)])
        assert (await next_bar(peer))["count"] == 12
        assert trio.current_time() == began


async def test_without_a_grace_silence_closes_nothing(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"])
        await server.publish([at(20)])
        with trio.move_on_after(35) as waited:  # before the heartbeat's cut
            while (await peer.message())["type"] == "heartbeat":
                pass
        assert waited.cancelled_caught


class Script:
    """A source that publishes what it is told, batch by batch, marks included."""

    dataset = DatasetInfo("S", AssetClass.STOCKS, (Channel.TRADES,))
    aggregation = ALL

    def __init__(self, *steps: list[Event] | Mark) -> None:
        self._steps = steps

    async def run(self, publisher: Publisher) -> None:
        await publisher.wait_subscribed(1)
        for step in self._steps:
            if isinstance(step, Mark):
                await publisher.mark(step)
            else:
                await publisher.publish(step)


@asynccontextmanager
async def scripted(*steps: list[Event] | Mark) -> AsyncIterator[RawClient]:
    async with memory_server(None, [Script(*steps)]) as server:
        peer = await RawClient.connect(server, f"{BASE}/stocks/live/aggs")
        await peer.message()
        await peer.ask(action="subscribe", symbols=["A"], frequency="Minute")
        yield peer


async def test_the_end_of_the_data_finishes_what_is_open(autojump_clock: MockClock) -> None:
    async with scripted([at(0), at(61, 7)]) as peer:
        assert [(m["datetime"] - START, m["close"]) for m in await peer.messages(2)] == [(0, 10), (MINUTE, 7)]


async def test_after_an_end_market_time_may_begin_anew(autojump_clock: MockClock) -> None:
    async with scripted([at(600, 1)], Mark.END, [at(0, 2)]) as peer:
        assert [(m["datetime"] - START, m["close"]) for m in await peer.messages(2)] == [(10 * MINUTE, 1), (0, 2)]


async def test_a_jump_drops_what_will_never_be_complete(autojump_clock: MockClock) -> None:
    async with scripted([at(600, 1)], Mark.JUMP, [at(0, 2)]) as peer:
        assert (await peer.message())["close"] == 2


@pytest.mark.unmeasured
async def test_bars_that_end_together_do_not_cut_a_client_that_reads(autojump_clock: MockClock) -> None:
    names = [f"S{n}" for n in range(1_500)]
    config = ServerConfig(outbox=OutboxLimits(messages=2_048))  # less than the 3,000 bars that one trade finishes
    async with memory_server(config, [Program("P", aggregation=ALL)]) as server:
        peer = await RawClient.connect(server, f"{BASE}/stocks/live/aggs")
        await peer.message()
        await peer.ask(action="subscribe", symbols=["*"], frequency="Second")
        await peer.ask(action="subscribe", symbols=["*"], frequency="Minute")
        found = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read() -> None:
                found.extend(await peer.messages(3_000))

            await server.publish([at(1, symbol=name) for name in names])
            await server.publish([at(61, symbol="A")])
        assert [m["frequency"] for m in found] == ["Second"] * 1_500 + ["Minute"] * 1_500
        assert [m["symbol"] for m in found] == names * 2
