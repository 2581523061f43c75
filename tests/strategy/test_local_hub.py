"""Between sources and programs of one process: pace, full buffers, what a publisher takes, bars of silent feeds."""

from __future__ import annotations

from math import inf
from typing import Any

import attrs
import pytest
import trio
from strategy.kit import SECOND, START, at, bar, quote, trade
from strategy.sources import LIVE, Does, opened, publishing
from strategy.ways import BARS, bought, collect
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio import Synthetic, SyntheticConfig
from datafye_trio.errors import EventError
from datafye_trio.model import Bar, Channel, Gap, Trade
from datafye_trio.sources import Mark, Publisher
from datafye_trio.strategy import LocalFeed
from datafye_trio.strategy.local_hub import PATIENCE


async def test_a_paced_market_comes_at_its_time(autojump_clock: MockClock) -> None:
    config = SyntheticConfig(symbols=("AAPL", "MSFT"), rate=20.0, seed=3)
    async with opened(Synthetic(config)) as feed, feed.subscribe(["quotes", "trades"], "*") as sub:
        items = await collect(sub, 60)
        assert 1_100 < len(items) <= 1_200
        assert at(58) < feed.now() < at(61)
        async with feed.history("*", start=at(0), channel="trades") as stored:
            assert [item async for item in stored] == [item for item in items if isinstance(item, Trade)]


async def test_a_market_at_full_speed_waits_for_a_slow_program_and_loses_nothing(autojump_clock: MockClock) -> None:
    config = SyntheticConfig(symbols=("AAPL",), rate=inf, seed=3, start_ns=START)
    async with opened(Synthetic(config)) as feed, feed.trades("*", buffer=100) as sub:
        found = []
        async for item in sub:
            assert not isinstance(item, Gap)
            found.append(item.exchange_timestamp)
            await trio.sleep(0.05)
            if len(found) == 600:
                break
    assert found == sorted(found)


async def test_one_that_does_not_read_is_passed_over_when_patience_ends(autojump_clock: MockClock) -> None:
    events = [bought(n * 1e-3, n=n) for n in range(50)]

    async def run(publisher: Publisher) -> None:
        await trio.sleep(1)
        await publisher.publish(events)

    async with opened(Does(run)) as feed, feed.trades("*", buffer=4) as idle, feed.trades("*") as sub:
        assert [item.trade_id for item in [await anext(sub) for _ in range(4)]] == list("0123")
        assert trio.current_time() == 1
        rest = [item async for item in sub]
        assert trio.current_time() == 1 + PATIENCE  # once
        assert len(rest) == 46
        assert idle.statistics().paused
        items = [item async for item in idle]
        assert [getattr(item, "trade_id", item) for item in items[:4]] == list("0123")
        (gap,) = items[4:]
        assert (gap.first, gap.last, gap.reason) == (5, 50, "expired")
        assert (idle.statistics().gaps, idle.statistics().missing) == (1, 46)


async def test_gaps_that_do_not_fit_come_when_there_is_room(autojump_clock: MockClock) -> None:
    symbols = [f"S{n}" for n in range(10)]
    events = [bought(n * 1e-3 + 1e-6 * m, symbol) for n in range(3) for m, symbol in enumerate(symbols)]
    async with opened(Does(publishing(events))) as feed, feed.trades(symbols, buffer=2) as idle:
        await trio.sleep(100)
        items = [item async for item in idle]
    assert [item.symbol for item in items[:2]] == ["S0", "S1"]
    gaps = {item.topic.symbol: (item.first, item.last) for item in items[2:]}
    assert gaps == {symbol: (2 if symbol in ("S0", "S1") else 1, 3) for symbol in symbols}


async def test_room_that_something_else_takes_is_no_silent_loss(autojump_clock: MockClock) -> None:
    async def run(publisher: Publisher) -> None:
        await publisher.publish([quote(0, "Q"), quote(0, "R")])
        await publisher.wait_subscribed(1)
        await publisher.publish([quote(n, "A") for n in range(1, 4)])
        await trio.sleep_forever()

    async with opened(Does(run)) as feed:
        await wait_all_tasks_blocked()
        async with feed.quotes("A", buffer=1) as sub:
            await wait_all_tasks_blocked()
            items = [await anext(sub)]
            await sub.add(["Q"])
            items += await collect(sub, 60)
    numbers: list[int] = []
    for item in items:
        if isinstance(item, Gap):
            numbers += range(item.first or 0, (item.last or 0) + 1)
        elif item.symbol == "A":
            numbers.append((item.exchange_timestamp - START) // SECOND)
    assert numbers == [1, 2, 3]


async def test_several_tasks_of_a_source_may_publish(autojump_clock: MockClock) -> None:
    async def run(publisher: Publisher) -> None:
        await publisher.wait_subscribed(1)
        async with trio.open_nursery() as nursery:
            for first in range(4):
                nursery.start_soon(publisher.publish, [bought(1, n=n) for n in range(first * 25, first * 25 + 25)])

    async with opened(Does(run)) as feed, feed.trades("*", buffer=3) as sub:
        found = []
        async for item in sub:
            found.append(item.trade_id)
            await trio.sleep(0.01)
    assert sorted(map(int, found)) == list(range(100))


async def test_leaving_and_unsubscribing_let_a_source_go_on(autojump_clock: MockClock) -> None:
    source = Does(publishing(bought(n, n=n) for n in range(50)))
    async with opened(source) as feed:
        async with feed.trades("*", buffer=2) as sub:
            await wait_all_tasks_blocked()
            assert sub.statistics().paused
        await wait_all_tasks_blocked()
        assert source.over == 1
        assert trio.current_time() == 0


async def test_a_publisher_checks_as_a_server_does(autojump_clock: MockClock) -> None:
    wrong: list[tuple[Any, str]] = [
        ("AAPL", "str is no market event"),
        (trade(1, "aapl"), "not in normal form"),
        (trade(1, "A B"), "symbol"),
        (trade(1, "ZZZ"), "not one of the symbols"),
        (quote(1), "no channel for a Quote"),
        (bar(0), "no channel|not offered"),
        (Trade("AAPL", START, float("nan"), 1), "finite"),
    ]

    async def run(publisher: Publisher) -> None:
        for event, why in wrong:
            with pytest.raises(EventError, match=why):
                await publisher.publish([trade(1), event])
        with assert_checkpoints():
            await publisher.publish([])
        with assert_checkpoints():
            await publisher.room()
        await publisher.publish(trade(2))

    source = Does(run, channels=(Channel.TRADES,), symbols=frozenset({"AAPL"}))
    async with opened(source) as feed, feed.trades("*") as sub:
        assert [item async for item in sub] == [trade(2)]  # nothing of a call that was refused


@pytest.mark.parametrize(
    ("source", "event", "why"),
    [
        (Does(trio.sleep, LIVE), bar(0), "are made of its trades"),
        (Does(trio.sleep, channels=(Channel.AGGREGATES,)), bar(0, frequency="Day"), "'Day' is not offered"),
        (Does(trio.sleep, channels=(Channel.AGGREGATES,)), bar(0, frequency="Age"), "'Age' is not offered"),
    ],
)
async def test_bars_that_a_dataset_does_not_take(source: Does, event: Bar, why: str) -> None:
    async def run(publisher: Publisher) -> None:
        with pytest.raises(EventError, match=why):
            await publisher.publish(event)

    async with opened(attrs.evolve(source, what=run)):
        await wait_all_tasks_blocked()


async def test_trades_are_folded_though_they_are_not_offered(autojump_clock: MockClock) -> None:
    source = Does(publishing([trade(1), trade(2)]), BARS, channels=(Channel.QUOTES,))
    async with opened(source) as feed, feed.bars("*", frequency="Second") as sub:
        assert [item.start async for item in sub] == [at(1), at(2)]


async def test_a_jump_drops_what_is_open(autojump_clock: MockClock) -> None:
    async def run(publisher: Publisher) -> None:
        await publisher.wait_subscribed(1)
        await publisher.publish(trade(1))
        await publisher.mark(Mark.JUMP)
        await publisher.publish(trade(100))

    async with opened(Does(run, BARS)) as feed, feed.bars("*", frequency="Second") as sub:
        assert [item.start async for item in sub] == [at(100)]


async def test_marks_mean_nothing_without_bars(autojump_clock: MockClock) -> None:
    async def run(publisher: Publisher) -> None:
        for mark in Mark:
            with assert_checkpoints():
                await publisher.mark(mark)

    async with opened(Does(run)) as feed, feed.trades("*") as sub:
        assert [item async for item in sub] == []


async def test_the_bars_of_a_silent_feed_are_closed_by_the_wall_clock(autojump_clock: MockClock) -> None:
    async def run(publisher: Publisher) -> None:
        await publisher.publish([trade(0.5, "A"), trade(0.7, "B")])
        await trio.sleep_forever()

    async def read(feed: LocalFeed, frequency: str) -> None:
        async with feed.bars("*", frequency=frequency) as sub:
            for _ in range(2):
                item = await anext(sub)
                seen.append((frequency, item.symbol, round(trio.current_time(), 4), feed.now() >= at(1)))

    seen: list[Any] = []
    async with opened(Does(run, LIVE)) as feed, trio.open_nursery() as nursery:
        for frequency in ("Second", "Minute"):
            nursery.start_soon(read, feed, frequency)
    assert sorted(seen) == [
        ("Minute", "A", 61.3, True), ("Minute", "B", 61.3, True),
        ("Second", "A", 2.3, True), ("Second", "B", 2.3, True),
    ]  # fmt: skip


async def test_positions_are_of_servers(autojump_clock: MockClock) -> None:
    async def run(publisher: Publisher) -> None:
        with pytest.raises(NotImplementedError):
            _ = publisher.positions
        assert publisher.now_ns() == START

    async with opened(Does(run)):
        await wait_all_tasks_blocked()
