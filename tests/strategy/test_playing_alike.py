"""A strategy on a recording does the same on each of 20 runs, however trio shuffles its tasks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import trio
from strategy.kit import SECOND, at, quote, trade
from strategy.ways import BARS, JUMPY, moment

from datafye_trio.model import Trade
from datafye_trio.strategy import Feed, RecordingOptions, run_on_recording
from datafye_trio.strategy.merging import merge
from datafye_trio.strategy.timing import every

MINUTE = 60 * SECOND
DAY_NS = 86_400 * SECOND


def at_ns(time: int, symbol: str = "AAPL") -> Trade:
    return Trade(symbol, time, 100.0, 10)


def shuffled(strategy: Callable[[Feed, list[Any]], Any], events: list[Any]) -> list[Any]:
    """The log of a strategy, on 20 runs."""
    logs = []
    for _ in range(20):
        log: list[Any] = []

        async def run(feed: Feed, log: list[Any] = log) -> None:
            await strategy(feed, log)

        run_on_recording(run, events, RecordingOptions(aggregation=BARS))
        logs.append(log)
    return logs


def all_alike(logs: list[Any]) -> None:
    assert logs[0]
    assert all(log == logs[0] for log in logs)


SAME_MOMENT = [make(n // 4, symbol, 100.0 + n) for n in range(60) for make in (quote, trade) for symbol in "ABC"]


def test_one_task_per_symbol() -> None:
    async def strategy(feed: Feed, log: list[Any]) -> None:
        async def watch(symbol: str) -> None:
            async with feed.trades(symbol) as sub:
                async for item in sub:
                    log.append((symbol, item, feed.now()))
                    await trio.lowlevel.checkpoint()
                    log.append(symbol)

        async with trio.open_nursery() as nursery:
            for symbol in "CAB":
                nursery.start_soon(watch, symbol)

    all_alike(shuffled(strategy, SAME_MOMENT))


def test_events_and_timers_of_one_moment() -> None:
    async def strategy(feed: Feed, log: list[Any]) -> None:
        async def ticks(seconds: float) -> None:
            async for tick in every(feed, seconds):
                log.append((seconds, tick, feed.now()))

        async def sleeps() -> None:
            await trio.sleep(0.25)
            for _ in range(40):
                await trio.sleep(1)
                log.append(("slept", feed.now()))

        async with feed.trades("*") as sub, feed.bars("*", frequency="Second", running=True) as bars:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ticks, 2)
                nursery.start_soon(ticks, 5)
                nursery.start_soon(sleeps)
                async for item in sub:
                    log.append(item)  # noqa: PERF401 -- beside others
            log += await bars.receive_many()

    all_alike(shuffled(strategy, SAME_MOMENT))


def test_who_waits_first_is_woken_first_by_one_event() -> None:
    async def strategy(feed: Feed, log: list[Any]) -> None:
        async def watch(name: str, sub: Any) -> None:
            async for item in sub:
                log.append((name, item))  # noqa: PERF401 -- beside others

        async with (
            feed.trades("*") as one,
            feed.trades("A") as two,
            feed.quotes("*") as three,
            trio.open_nursery() as both,
        ):
            for name, sub in (("one", one), ("two", two), ("three", three)):
                both.start_soon(watch, name, sub)

    all_alike(shuffled(strategy, SAME_MOMENT))


def test_a_full_buffer_and_the_end_of_the_data() -> None:
    async def strategy(feed: Feed, log: list[Any]) -> None:
        async def watch(name: str, sub: Any) -> None:
            async for item in sub:
                log.append((name, item))
                await trio.sleep(0.3)
            log.append((name, "over"))
            log.append((name, await feed.sleep_until(at(10**6))))

        async with feed.trades("*", buffer=2) as one, feed.quotes("A", buffer=3) as two, trio.open_nursery() as both:
            both.start_soon(watch, "one", one)
            await trio.sleep(0.1)
            both.start_soon(watch, "two", two)

    all_alike(shuffled(strategy, SAME_MOMENT))


def test_a_day_of_noise() -> None:
    events = sorted(random.Random(7).sample(JUMPY + SAME_MOMENT, 400), key=moment)

    async def strategy(feed: Feed, log: list[Any]) -> None:
        async with feed.subscribe(["trades", "quotes", "bars", "ema"], "*", frequency="Second") as sub:
            log += [(feed.now(), item) async for item in sub]

    all_alike(shuffled(strategy, events))


def test_a_merge_of_subscriptions() -> None:
    async def strategy(feed: Feed, log: list[Any]) -> None:
        async with (
            feed.trades("*") as trades, feed.quotes("A") as quotes, feed.bars("*", frequency="Second") as bars,
            merge(feed, bars, quotes, trades) as merged,
        ):  # fmt: skip
            async for item in merged:
                log.append((feed.now(), item))
                if len(log) % 7 == 0:
                    await trio.sleep(0.4)

    all_alike(shuffled(strategy, SAME_MOMENT))
