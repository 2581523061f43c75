"""From stored events to live ones at any point: cuts, cancellation, small buffers, new lives of a server."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from client.markets import (
    QUICK,
    SECOND,
    START,
    TAPE,
    URL,
    Market,
    cancel_after,
    feed_of,
    living,
    read,
    split,
    steadily,
    sub_key,
    tick,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support import START_NS
from trio.testing import MockClock

from datafye_trio import (
    Bar,
    Channel,
    FeedConfig,
    Frequency,
    Gap,
    Live,
    Synthetic,
    SyntheticConfig,
    Trade,
    open_feed,
)  # fmt: skip
from datafye_trio.sources import HistoryQuery
from datafye_trio.testing import CutAfter, open_proxy


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


@pytest.mark.unmeasured
@given(PLANS)
@settings(max_examples=40)
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


@pytest.mark.unmeasured
@given(PLANS)
@settings(max_examples=40)
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


@pytest.mark.unmeasured
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


async def test_another_subscription_to_the_same_goes_on_undisturbed(autojump_clock: MockClock) -> None:
    market = Market(TAPE)
    async with feed_of(market) as (feed, _):
        await market.play(100)
        async with feed.trades("A") as other, trio.open_nursery() as nursery:
            nursery.start_soon(steadily, market)
            async with feed.trades("A", since=START) as sub:
                items = await read(sub)
            assert await read(other) == TAPE[100:]
        assert [item for item in items if not isinstance(item, Live)] == TAPE


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


async def test_a_new_life_of_the_server_while_stored_events_are_read(autojump_clock: MockClock) -> None:
    """What was live is a gap in its place; stored data is the same, and goes on."""
    markets = Market(TAPE), Market(TAPE)
    async with living(markets[0], "epoch-1") as first, living(markets[1], "epoch-2") as second:
        current = first

        async def upstream() -> trio.abc.Stream:
            return current.connect()

        async def dial() -> trio.abc.Stream:
            return proxy.connect()

        await markets[0].play(200)
        async with (
            open_proxy(upstream) as proxy,
            open_feed(URL, FeedConfig(open_stream=dial, reconnect=QUICK)) as feed,
            feed.trades("A", since=START) as sub,
        ):
            items: list[Any] = [await anext(sub) for _ in range(50)]
            current = second
            proxy.cut_all()
            items += await read(sub)
            await markets[1].play(10)
            items += await read(sub)
    stored, (mark,), live = split(items)
    assert stored == TAPE[:200]
    assert mark.seq == 200
    assert live == [Gap(sub_key(Channel.TRADES), "epoch-2", None, None, "epoch_changed"), *TAPE[:10]]


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
