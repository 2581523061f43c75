"""From stored events to live ones: none is missing, none comes twice, and what cannot be known is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from sources.test_history_recorded import Tape
from support import START_NS, memory_server
from trio.testing import MockClock

from datafye_trio import (
    AssetClass,
    Bar,
    Channel,
    ConfigurationError,
    Feed,
    FeedConfig,
    FeedItem,
    Frequency,
    Gap,
    Live,
    Program,
    Reconnect,
    RingLimits,
    ServerConfig,
    SubscriptionError,
    Synthetic,
    SyntheticConfig,
    TopicKey,
    Trade,
    open_feed,
    open_raw_feed,
)  # fmt: skip
from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.client.joining import LOOKBACK
from datafye_trio.model import DatasetInfo, Event
from datafye_trio.sources import HistoryQuery, Publisher, RecordedHistory
from datafye_trio.testing import CutAfter, Proxy, open_proxy

URL = "ws://test"
SECOND = 10**9
START = START_NS - START_NS % (60 * SECOND)
QUICK = Reconnect(first=0.001, ceiling=0.001)
FOLDED = Aggregation(every_trade, (Frequency.SECOND,), lateness=3.0, sma=None, ema=None)


def tick(n: int, seconds: float, symbol: str = "A") -> Trade:
    """A trade so many seconds after the start; `n` tells it from others."""
    return Trade(symbol, START + round(seconds * SECOND), 10.0 + n % 7, 100, "XNAS", str(n))


class Market:
    """A source that publishes a tape as far as it is told, and stores a part of it, or another one."""

    def __init__(self, tape: Sequence[Event], stored: Sequence[Event] | None = None, channels: Any = None) -> None:
        self.dataset = DatasetInfo("Market", AssetClass.STOCKS, (Channel.TRADES,))
        self.aggregation = FOLDED
        self.history = RecordedHistory(Tape(tape if stored is None else stored, channels or (Channel.TRADES,)), FOLDED)
        self.tape = tape
        self.played = 0
        self._publisher: Publisher | None = None
        self._running = trio.Event()

    async def run(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._running.set()
        await trio.sleep_forever()

    async def play(self, count: int = 10**9) -> None:
        await self._running.wait()
        assert self._publisher is not None
        events = self.tape[self.played : self.played + count]
        self.played += len(events)
        for n in range(0, len(events), 1_000):
            await self._publisher.publish(events[n : n + 1_000])


@asynccontextmanager
async def feed_of(*sources: Any, **options: Any) -> AsyncIterator[tuple[Feed[FeedItem], Proxy]]:
    opening = open_raw_feed if options.pop("raw", False) else open_feed
    async with memory_server(options.pop("server", None), sources) as server:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        async def dial() -> trio.abc.Stream:
            return proxy.connect()

        async with (
            open_proxy(upstream) as proxy,
            opening(URL, FeedConfig(open_stream=dial, reconnect=QUICK, **options)) as feed,
        ):
            await feed.wait_connected()
            yield feed, proxy  # type: ignore[misc]  # raw feeds, too
            with trio.fail_after(30):
                while proxy.statistics().open > 1 or feed.ledger():  # noqa: ASYNC110 -- there is no event
                    await trio.sleep(0.01)
            assert not feed._hub.histories


async def read(sub: Any, seconds: float = 5) -> list[Any]:
    """What comes until nothing has come for so long."""
    found = []
    while True:
        with trio.move_on_after(seconds) as waiting:
            found.append(await anext(sub))
        if waiting.cancelled_caught:
            return found


def split(items: Sequence[Any]) -> tuple[list[Any], list[Live], list[Any]]:
    """The stored ones, the marks, the live ones."""
    marks = [item for item in items if isinstance(item, Live)]
    first = items.index(marks[0])
    rest = [item for item in items[first:] if not isinstance(item, Live)]
    return list(items[:first]), marks, rest


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


def sub_key(channel: Channel, symbol: str = "A") -> TopicKey:
    return TopicKey("Market", AssetClass.STOCKS, channel, symbol, Frequency.SECOND if channel.has_frequency else None)


@attrs.frozen
class Plan:
    """A tape, what is played when, and what is cut where."""

    tape: tuple[Trade, ...]
    before: int
    meanwhile: int
    since: float
    buffer: int
    cuts: tuple[int, ...]


def _tape(rows: list[tuple[int, str]]) -> tuple[Trade, ...]:
    """In order of time, but for some reports that are late by up to 40 s; some alike."""
    return tuple(tick(n // 2, n / 4 - late, symbol) for n, (late, symbol) in enumerate(rows))


ROWS = st.tuples(st.sampled_from([0, 0, 0, 0, 0, 1, 40]), st.sampled_from("AAAB"))
PLANS = st.builds(
    Plan,
    st.lists(ROWS, min_size=1, max_size=160).map(_tape),
    st.integers(0, 160),
    st.integers(0, 160),
    st.floats(-50, 40),
    st.sampled_from([1, 3, 65_536]),
    st.lists(st.integers(1, 20_000), max_size=4).map(tuple),
)


async def follow(plan: Plan, channel: str) -> tuple[list[Any], Market]:
    """All that a subscription yields, from entering until the tape is at its end."""
    market = Market(plan.tape)
    async with feed_of(market) as (feed, proxy):
        await market.play(plan.before)
        cuts = iter(plan.cuts)
        proxy.plan = lambda _: CutAfter(from_server=next(cuts, None))
        proxy.cut_all()
        subscribe: Any = feed.trades if channel == "trades" else feed.bars
        options: dict[str, Any] = {} if channel == "trades" else {"frequency": "Second"}
        since = START + round(plan.since * SECOND)
        async with (
            trio.open_nursery() as nursery,
            subscribe(["A", "B"], since=since, buffer=plan.buffer, **options) as sub,
        ):
            nursery.start_soon(market.play, plan.meanwhile)
            items = await read(sub)
            await market.play()
            items += await read(sub)
        proxy.plan = None
    return items, market


@given(PLANS)
@settings(max_examples=40, deadline=None)
def test_trades_wherever_they_are_joined_and_cut(plan: Plan) -> None:
    items, _ = trio.run(follow, plan, "trades", clock=MockClock(autojump_threshold=0))
    since = START + round(plan.since * SECOND)
    for symbol in "AB":
        tape = [trade for trade in plan.tape if trade.symbol == symbol]
        (mark,) = (item for item in items if isinstance(item, Live) and item.topic.symbol == symbol)
        found = [item for item in items if isinstance(item, Trade) and item.symbol == symbol]
        assert not [item for item in items if isinstance(item, Gap)]
        past = [trade for trade in tape[: mark.seq] if trade.exchange_timestamp >= since]
        if mark.seq:
            assert found == past + tape[mark.seq :]
        else:  # nothing was live before: stored ones up to the dataset's clock
            assert sorted(map(repr, found)) == sorted(map(repr, {repr(t): t for t in found}.values()))


@given(PLANS)
@settings(max_examples=40, deadline=None)
def test_bars_wherever_they_are_joined_and_cut(plan: Plan) -> None:
    items, market = trio.run(follow, plan, "bars", clock=MockClock(autojump_threshold=0))
    since = START + round(plan.since * SECOND)
    assert not [item for item in items if isinstance(item, Gap)]
    query = HistoryQuery(Channel.AGGREGATES, Frequency.SECOND, None, since, START + 10**12)
    whole = [bar for batch in market.history.read(query) for bar in batch]
    for symbol in "AB":
        found = [item for item in items if isinstance(item, Bar) and item.symbol == symbol]
        firsts = [bar.start for n, bar in enumerate(found) if bar.start not in {one.start for one in found[:n]}]
        assert firsts == sorted(firsts)
        assert all(bar.revision for n, bar in enumerate(found) if bar.start in {one.start for one in found[:n]})
        expected = {bar.start: bar for bar in whole if bar.symbol == symbol}
        newest = {bar.start: bar for bar in found if bar.start >= since}
        assert newest == {start: bar for start, bar in expected.items() if start <= max(newest, default=0)}


async def since_zero(feed: Feed[FeedItem], market: Market | None = None, **options: Any) -> list[Any]:
    """What a subscription to trades yields from the start of the tape on."""
    async with feed.trades("A", since=START, **options) as sub:
        found = await read(sub)
        if market is not None:
            await market.play()
            found += await read(sub)
    return found


TAPE = [tick(n, n / 10) for n in range(300)]


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


async def test_the_synthetic_market(autojump_clock: MockClock) -> None:
    config = SyntheticConfig(rate=20.0, symbols=("AAPL", "MSFT"))
    async with feed_of(Synthetic(config)) as (feed, _):
        await trio.sleep(100)
        until = START_NS + 200 * SECOND
        since = START_NS - 60 * SECOND
        async with feed.trades(["AAPL", "MSFT"], since=since) as trades, feed.bars("AAPL", since=since) as bars:
            await trio.sleep(150)
            found: list[Any] = []
            while not found or isinstance(found[-1], Live) or found[-1].exchange_timestamp < until:
                found += await trades.receive_many()
            minutes = [await anext(bars) for _ in range(6)]
        last = found[-1].exchange_timestamp
        async with feed.history(["AAPL", "MSFT"], start=since, end=last + 1, channel="trades") as history:
            whole = [event async for event in history]
    assert [item for item in found if not isinstance(item, Live)] == whole[: len(found) - 2]
    starts = [bar.start for bar in minutes if isinstance(bar, Bar)]
    assert starts == [starts[0] + n * 60 * SECOND for n in range(5)]
    assert not [item for item in [*found, *minutes] if isinstance(item, Gap)]


async def test_a_small_buffer_while_much_is_live(autojump_clock: MockClock) -> None:
    tape = [tick(n, n / 10, "B" if n < 30 else "A") for n in range(300)]
    market = Market(tape)
    async with feed_of(market) as (feed, _), trio.open_nursery() as nursery:
        await market.play(100)
        nursery.start_soon(steadily, market)
        async with feed.trades(["B", "A"], since=START, buffer=1) as sub:
            items = await read(sub)
        assert sub.statistics().pauses
    for symbol in "AB":
        found = [item for item in items if isinstance(item, Trade) and item.symbol == symbol]
        assert found == [trade for trade in tape if trade.symbol == symbol]


async def steadily(market: Market) -> None:
    while market.played < len(market.tape):
        await market.play(3)
        await trio.lowlevel.checkpoint()


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


@pytest.mark.parametrize("after", [*range(0, 120, 4), *range(120, 400, 40)])
async def test_cancelled_at_any_point_nothing_is_left(autojump_clock: MockClock, after: int) -> None:
    market = Market(TAPE)
    async with feed_of(market) as (feed, _):
        await market.play(200)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, scope, after)
                async with feed.trades("A", since=START) as sub:
                    async for _ in sub:
                        await trio.lowlevel.checkpoint()


async def cancel_after(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()
