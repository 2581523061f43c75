"""From stored events to live ones: none is missing, none comes twice, and what cannot be known is said."""

from __future__ import annotations

from typing import Any

import pytest
from client.markets import (
    SECOND,
    START,
    TAPE,
    Market,
    feed_of,
    read,
    since_zero,
    split,
    sub_key,
    tick,
)
from trio.testing import MockClock

from datafye_trio import (
    Channel,
    ConfigurationError,
    Gap,
    Live,
    Program,
    RingLimits,
    ServerConfig,
    SubscriptionError,
)  # fmt: skip
from datafye_trio.client.joining import LOOKBACK


async def test_trades_stored_then_live(autojump_clock: MockClock) -> None:
    tape = [tick(n, n / 10) for n in range(3_000)]
    market = Market(tape)
    async with feed_of(market) as (feed, _):
        await market.play(1_000)
        async with feed.trades("a", since=START + 5 * SECOND) as sub:
            await market.play(500)
            stored, marks, live = split(await read(sub))
            assert stored == tape[50:1_000]
            assert [(mark.topic.symbol, mark.seq, mark.epoch) for mark in marks] == [("A", 1_000, "epoch-1")]
            assert live == tape[1_000:1_500]
            await market.play()
            assert await read(sub) == tape[1_500:]


async def test_bars_stored_then_live(autojump_clock: MockClock) -> None:
    market = Market([tick(n, n / 10) for n in range(3_000)])
    async with feed_of(market) as (feed, _):
        await market.play(1_000)
        async with feed.bars("A", frequency="Second", since=START + 5 * SECOND) as sub:
            await market.play(500)
            stored, marks, live = split(await read(sub))
    assert [bar.start for bar in stored] == [START + n * SECOND for n in range(5, 5 + len(stored))]
    assert [bar.start for bar in [*stored, *live]] == [START + n * SECOND for n in range(5, 149)]
    assert marks[0].topic == sub_key(Channel.AGGREGATES)
    assert marks[0].seq == 99  # the bar of second 98 was the last one before
    assert stored[-1].start == START + 98 * SECOND


async def test_what_is_not_stored_is_told(autojump_clock: MockClock) -> None:
    market = Market(TAPE, stored=TAPE[:100])
    async with feed_of(market) as (feed, _):
        await market.play(200)
        items = await since_zero(feed, market)
    key = sub_key(Channel.TRADES)
    assert items[:100] == TAPE[:100]
    assert items[100] == Gap(key, "epoch-1", None, None, "not_stored")
    assert items[101] == Live(key, "epoch-1", 200 - LOOKBACK)  # what the server still has of it comes, too
    assert items[102:] == TAPE[200 - LOOKBACK :]


async def test_bars_that_are_not_stored_are_told(autojump_clock: MockClock) -> None:
    market = Market(TAPE, stored=TAPE[:50])
    async with feed_of(market) as (feed, _):
        await market.play(290)
        async with feed.bars("A", frequency="1s", since=START) as sub:
            stored, (mark,), live = split(await read(sub))
    gap = Gap(sub_key(Channel.AGGREGATES), "epoch-1", None, None, "not_stored")
    assert [bar.start for bar in stored[:-1]] == [START + n * SECOND for n in range(5)]
    assert stored[-1] == gap
    assert mark.seq == 28 - LOOKBACK
    assert [bar.start for bar in live] == [START + n * SECOND for n in range(28 - LOOKBACK, 28)]


@pytest.mark.parametrize("missing", range(1, LOOKBACK))
async def test_stored_data_that_ends_just_before_now_leaves_no_hole(autojump_clock: MockClock, missing: int) -> None:
    market = Market(TAPE, stored=TAPE[: 200 - missing])
    async with feed_of(market) as (feed, _):
        await market.play(200)
        items = await since_zero(feed, market)
    (mark,) = (item for item in items if isinstance(item, Live))
    assert mark.seq == 200 - missing
    assert [item for item in items if item is not mark] == TAPE


async def test_other_data_beyond_the_window_is_not_taken(autojump_clock: MockClock) -> None:
    other = [tick(n + 1, n / 10) for n in range(300)]
    market = Market(TAPE, stored=other)
    async with feed_of(market) as (feed, _):
        await market.play(200)
        items = await since_zero(feed)
    place = next(n for n, item in enumerate(items) if isinstance(item, Gap))
    assert items[:place] == other[:200]  # up to the time of the window, more cannot be told
    assert items[place].reason == "not_stored"
    assert items[place + 2 :] == TAPE[200 - LOOKBACK : 200]


async def test_since_within_the_window(autojump_clock: MockClock) -> None:
    market = Market(TAPE, stored=TAPE[:1])
    async with feed_of(market) as (feed, _):
        await market.play(200)
        async with feed.trades("A", since=START + 19 * SECOND) as sub:
            items = await read(sub)
    assert isinstance(items[0], Live)
    assert items[1:] == TAPE[190:200]


async def test_since_later_than_everything(autojump_clock: MockClock) -> None:
    market = Market(TAPE)
    async with feed_of(market) as (feed, _):
        await market.play(200)
        for subscribe, options in ((feed.trades, {}), (feed.bars, {"frequency": "Second"})):
            async with subscribe("A", since=START + 3_600 * SECOND, **options) as sub:  # type: ignore[operator]
                (mark,) = await read(sub)
                assert isinstance(mark, Live)


async def test_nothing_was_live_yet(autojump_clock: MockClock) -> None:
    market = Market(TAPE)
    async with feed_of(market) as (feed, _):
        items = await since_zero(feed, market)
    stored, (mark,), live = split(items)
    assert mark.seq == 0
    assert stored + live == TAPE  # stored up to the server's clock, and no repeat of these
    assert stored
    assert live


async def test_nothing_is_stored_yet(autojump_clock: MockClock) -> None:
    market = Market(TAPE, stored=[tick(0, -(10**6))])
    async with feed_of(market) as (feed, _):
        (mark, *live) = await since_zero(feed, market)
    assert mark == Live(sub_key(Channel.TRADES), "epoch-1", 0)
    assert live == TAPE


async def test_a_quiet_symbol_beside_a_busy_one(autojump_clock: MockClock) -> None:
    quiet = [tick(n, n * 10 + 0.05, "B") for n in range(10)]
    market = Market(TAPE, stored=sorted([*TAPE, *quiet], key=lambda trade: trade.exchange_timestamp))
    async with feed_of(market) as (feed, _):
        await market.play(205)
        async with feed.trades(["A", "B"], since=START) as sub:
            stored, marks, live = split(await read(sub))
    assert not live
    assert [trade for trade in stored if trade.symbol == "A"] == TAPE[:205]
    assert [trade for trade in stored if trade.symbol == "B"] == quiet[:3]  # up to the busy one's clock
    assert {(mark.topic.symbol, mark.seq) for mark in marks} == {("A", 205), ("B", 0)}


async def test_what_the_server_does_not_hold_any_more_is_a_gap_in_its_place(autojump_clock: MockClock) -> None:
    market = Market(TAPE)
    server = ServerConfig(ring=RingLimits(bytes=1))
    async with feed_of(market, server=server) as (feed, _):
        await market.play(200)
        items = await since_zero(feed, market)
    place = next(n for n, item in enumerate(items) if isinstance(item, Live))
    gap = items[place + 1]
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.reason) == (200 - LOOKBACK + 1, 200, "expired")
    assert items[place].seq == 200 - LOOKBACK
    assert items[place + 2 :] == [trade for trade in TAPE[200:] if trade not in items[:place]]


@pytest.mark.parametrize("channel", ["trades", "bars"])
async def test_raw_feeds(autojump_clock: MockClock, channel: str) -> None:
    market = Market(TAPE)
    server = ServerConfig(timestamp_unit="ms")
    async with feed_of(market, raw=True, server=server) as (feed, _):
        await market.play(200)
        subscribe: Any = feed.trades if channel == "trades" else feed.bars
        options = {} if channel == "trades" else {"frequency": "Second"}
        async with subscribe("A", since=START + SECOND, **options) as sub:
            stored, _, live = split(await sub.receive_many() + await read(sub))
            await market.play()
            live += await read(sub)
    name = "exchangeTimestamp" if channel == "trades" else "datetime"
    times = [item[name] * 10**6 - START for item in [*stored, *live]]
    if channel == "trades":
        assert times == [n * SECOND // 10 for n in range(10, 300)]
    else:
        assert times == [n * SECOND for n in range(1, 29)]


async def test_many_at_once(autojump_clock: MockClock) -> None:
    market = Market(TAPE)
    async with feed_of(market) as (feed, _):
        await market.play(200)
        async with feed.trades("A", since=START) as sub:
            items: list[Any] = []
            while len(items) < 201:
                items += await sub.receive_many()
            await market.play()
            while len(items) < 301:
                items += await sub.receive_many()
    assert [item for item in items if not isinstance(item, Live)] == TAPE


async def test_a_dataset_without_stored_data(autojump_clock: MockClock) -> None:
    async with feed_of(Program()) as (feed, _):
        with pytest.raises(SubscriptionError) as raised:
            async with feed.trades("A", since=START):
                pytest.fail("entered")
    assert raised.value.code == "CHANNEL_NOT_AVAILABLE"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"running": True}, "final bars"),
        ({"policy": "latest"}, "policy wait"),
        ({"symbols": "*"}, "by name"),
        ({"since": "yesterday"}, "no time"),
    ],
)
async def test_what_cannot_be_had(autojump_clock: MockClock, options: dict[str, Any], why: str) -> None:
    async with feed_of(Market(TAPE)) as (feed, _):
        with pytest.raises(ConfigurationError, match=why):
            feed.bars(**({"symbols": "A", "since": START} | options))
        async with feed.trades("A", since=START) as sub:
            with pytest.raises(ConfigurationError, match="open another"):
                await sub.add("B")
