"""Our own client through faults, in virtual time and over TCP: whatever is done to it, it loses nothing unsaid."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio
from support import trade
from testing.kit import Front, front

from datafye_trio.client import FeedConfig, Reconnect, open_feed
from datafye_trio.model import Gap, Trade
from datafye_trio.testing.fault import Fault

URL = "ws://localhost/datafye-ws/v1"
COUNT = 60

FAULTS: dict[str, Callable[[Front], Fault]] = {
    "drop": lambda kit: kit.faults.drop(),
    "drop after": lambda kit: kit.faults.drop(after=333),
    "drop in mid-frame": lambda kit: kit.faults.drop(mid_frame=True),
    "close": lambda kit: kit.faults.close(4008, "slow consumer"),
    "mute": lambda kit: kit.faults.mute(),
    "delay": lambda kit: kit.faults.delay(2.0, jitter=3.0),
    "slow reads": lambda kit: kit.faults.slow_reads(500),
    "no heartbeats": lambda kit: kit.faults.no_heartbeats(),
    "slices": lambda kit: kit.faults.slices(),
    "duplicate": lambda kit: kit.faults.duplicate(0.3),
}


def config(kit: Front, seed: int = 1) -> FeedConfig:
    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return kit.connect()

    reconnect = Reconnect(first=0.1, ceiling=2.0, jitter=random.Random(seed).random)
    return FeedConfig(reconnect, open_stream=dial)


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_alone_loses_nothing(autojump_clock: trio.testing.MockClock, name: str) -> None:
    async with front() as kit, open_feed(URL, config(kit)) as feed, feed.trades("AAPL") as sub:
        got: list[object] = []

        async def read() -> None:
            while True:
                got.append(await anext(sub))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            fault = None
            for n in range(COUNT):
                if n == 10:
                    fault = FAULTS[name](kit)
                if n == 40 and fault is not None:
                    fault.end()
                await kit.server.publish(trade(n=n))
                await trio.sleep(1)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        if name in ("drop", "drop after", "drop in mid-frame", "close"):
            assert fault is not None
            assert fault.hits == 1
            assert len(kit.log.entries("open")) == 2
        assert [item for item in got if isinstance(item, Trade)] == [trade(n=n) for n in range(COUNT)]


async def test_refused_it_comes_back(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit, open_feed(URL, config(kit)) as feed, feed.trades("AAPL") as sub:
        await kit.server.publish(trade(n=0))
        assert await anext(sub) == trade(n=0)
        kit.faults.refuse(2, 503, retry_after=3)
        kit.faults.refuse(3, status=None)
        kit.faults.drop()
        await kit.server.publish(trade(n=1))
        assert await anext(sub) == trade(n=1)
        assert [entry.code for entry in kit.log.entries("refused")] == [503, 503, None, None, None]
        assert trio.current_time() >= 6


@pytest.mark.unmeasured
async def test_many_faults_one_after_the_other_lose_nothing_unsaid(autojump_clock: trio.testing.MockClock) -> None:
    chance = random.Random(3)
    async with front(seed=3) as kit, open_feed(URL, config(kit)) as feed, feed.trades("AAPL") as sub:
        numbers: list[int] = []
        gaps: list[Gap] = []

        async def read() -> None:
            async for item in sub:
                if isinstance(item, Gap):
                    gaps.append(item)
                elif isinstance(item, Trade):
                    numbers.append(int(item.trade_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for n in range(200):
                if n % 5 == 0:
                    kit.faults.clear()
                    FAULTS[chance.choice(list(FAULTS))](kit)
                await kit.server.publish(trade(n=n))
                await trio.sleep(0.2)
            kit.faults.clear()
            await trio.sleep(30)
            nursery.cancel_scope.cancel()
        assert numbers == sorted(set(numbers))
        missing = sum(gap.size for gap in gaps)
        assert len(numbers) + missing == 200
        assert len(kit.log.entries("open")) > 8


async def test_over_sockets_a_drop_in_mid_frame_is_mended() -> None:
    with trio.fail_after(10):
        async with front() as kit:
            port = await kit.proxy.listen()
            url = f"ws://127.0.0.1:{port}/datafye-ws/v1"
            async with open_feed(url, FeedConfig(Reconnect(first=0.01))) as feed, feed.trades("AAPL") as sub:
                for n in range(20):
                    if n in (5, 12):
                        kit.faults.drop(mid_frame=True)
                    if n == 12:
                        kit.faults.refuse(1, status=None)
                        kit.faults.refuse(1)
                    if n == 16:
                        kit.faults.slices()
                    await kit.server.publish(trade(n=n))
                    assert await anext(sub) == trade(n=n)
                assert len(kit.log.entries("open")) == 3
                assert [entry.code for entry in kit.log.entries("refused")] == [None, 503]
