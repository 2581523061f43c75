"""What each policy does with a program that is too slow, over a server in memory."""

from __future__ import annotations

import pytest
import trio
from client.served import served, take, topics
from support import trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    BufferOverflowError,
    Gap,
    RingLimits,
    ServerConfig,
)  # fmt: skip


@pytest.mark.unmeasured
async def test_wait_leaves_on_the_server_what_does_not_fit(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades(["A", "B"], buffer=10) as slow, feed.trades("A") as quick:
        for n in range(500):
            await server.publish([trade("A", n), trade("B", n)])
        await wait_all_tasks_blocked()
        assert slow.statistics().paused
        assert slow.statistics().waiting == 10
        assert await take(quick, 500) == [trade("A", n) for n in range(500)]
        assert topics(server) == 1  # B is off the wire, A is there for the other
        got = await take(slow, 1_000)
        for symbol in "AB":
            assert [one for one in got if one.symbol == symbol] == [trade(symbol, n) for n in range(500)]
        assert slow.statistics().gaps == 0
        assert not slow.statistics().paused


async def test_wait_tells_a_gap_where_the_ring_has_forgotten(autojump_clock: MockClock) -> None:
    config = ServerConfig(ring=RingLimits(seconds=1, messages=50))
    async with served(config=config) as (server, feed), feed.trades("A", buffer=10) as slow:
        for n in range(200):
            await server.publish(trade("A", n))
            await trio.sleep(0.1)
        got = await take(slow, 10)
        assert [one.trade_id for one in got] == [str(n) for n in range(10)]
        rest = await take(slow, 1)
        assert isinstance(rest[0], Gap)
        assert (rest[0].first, rest[0].last, rest[0].reason) == (11, 200, "expired")
        await server.publish(trade("A", 200))
        assert await take(slow, 1) == [trade("A", 200)]


async def test_drop_oldest_says_what_went(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("A", policy="drop_oldest", buffer=10) as sub:
        for n in range(100):
            await server.publish(trade("A", n))
        await wait_all_tasks_blocked()
        gap, *rest = await take(sub, 11)
        assert (gap.first, gap.last, gap.reason) == (1, 90, "buffer_full")
        assert rest == [trade("A", n) for n in range(90, 100)]
        assert sub.statistics().dropped == 90


async def test_latest_keeps_the_newest_of_each(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades(["A", "B"], policy="latest") as sub:
        for n in range(100):
            await server.publish([trade("A", n), trade("B", n)])
        await wait_all_tasks_blocked()
        assert await take(sub, 2) == [trade("A", 99), trade("B", 99)]
        assert sub.statistics().conflated == 198


async def test_error_raises_after_what_was_received(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("A", policy="error", buffer=10) as sub:
        for n in range(100):
            await server.publish(trade("A", n))
        await wait_all_tasks_blocked()
        assert await take(sub, 10) == [trade("A", n) for n in range(10)]
        with pytest.raises(BufferOverflowError, match="10 events wait"):
            await anext(sub)
        assert topics(server) == 0
