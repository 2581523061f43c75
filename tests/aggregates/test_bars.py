from __future__ import annotations

from fractions import Fraction
from math import inf

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates import Aggregation, Aggregator, every_trade, fold_trades, only_conditions
from datafye_trio.model import AssetClass, Bar, Frequency, Trade

STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
SECOND = 1_000_000_000
START = 1_704_207_600 * SECOND  # 2024-01-02T15:00:00Z
LENGTHS = {Frequency.SECOND: SECOND, Frequency.MINUTE: 60 * SECOND, Frequency.HOUR: 3_600 * SECOND}
ALL = Aggregation(every_trade)
MINUTES = Aggregation(every_trade, frequencies=(Frequency.MINUTE,))


def at(seconds: float, price: float = 1.0, size: float = 1, symbol: str = "A", conditions: str = "") -> Trade:
    return Trade(symbol, START + round(seconds * SECOND), price, size, conditions=tuple(conditions) or None)


def fold(*trades: Trade, aggregation: Aggregation = ALL, asset_class: AssetClass = STOCKS) -> list[Bar]:
    return list(fold_trades(trades, aggregation, asset_class))


def of(bars: list[Bar], frequency: Frequency) -> list[Bar]:
    return [bar for bar in bars if bar.frequency == frequency]


def latest(bars: list[Bar]) -> dict[tuple[str, str, int], Bar]:
    """The last version of each bar, without its revision."""
    return {(bar.symbol, bar.frequency, bar.start): attrs.evolve(bar, revision=None) for bar in bars}


def test_one_pass_makes_bars_of_every_frequency() -> None:
    bars = fold(at(0.1, 10, 1), at(0.9, 12, 2), at(1.5, 9, 3), at(61, 11, 4))
    assert [(bar.frequency, (bar.start - START) // SECOND) for bar in bars] == [
        ("Second", 0), ("Second", 1), ("Minute", 0), ("Second", 61), ("Minute", 60), ("Hour", 0), ("Day", -36_000),
    ]  # fmt: skip
    assert of(bars, Frequency.MINUTE)[0] == Bar("A", "Minute", START, 10, 12, 9, 9, 6, 3, 61 / 6)
    assert of(bars, Frequency.DAY)[0] == Bar("A", "Day", START - 36_000 * SECOND, 10, 12, 9, 11, 10, 4, 10.5)


def test_a_span_is_half_open() -> None:
    edge = Trade("A", START + 60 * SECOND, 2.0, 1)
    before = attrs.evolve(edge, exchange_timestamp=edge.exchange_timestamp - 1, price=1.0)
    first, second = of(fold(before, edge), Frequency.MINUTE)
    assert (first.start, first.close) == (START, 1.0)
    assert (second.start, second.open) == (START + 60 * SECOND, 2.0)


def test_an_empty_span_has_no_bar() -> None:
    assert [bar.start for bar in of(fold(at(0), at(600)), Frequency.MINUTE)] == [START, START + 600 * SECOND]


def test_equal_times_keep_the_order_in_which_the_trades_came() -> None:
    (bar,) = fold(at(1, 5), at(1, 7), at(1, 6), aggregation=MINUTES)
    assert (bar.open, bar.close) == (5, 6)


def test_open_and_close_go_by_arrival_within_the_span() -> None:
    (bar,) = fold(at(30, 5), at(10, 7), aggregation=MINUTES)
    assert (bar.open, bar.close) == (5, 7)


def test_every_symbol_has_bars_of_its_own_and_one_clock_for_all() -> None:
    aggregator = Aggregator(MINUTES, STOCKS)
    assert aggregator.add(at(1, symbol="A")) == []
    assert aggregator.add(at(2, symbol="B")) == []
    assert [bar.symbol for bar in aggregator.add(at(60, symbol="B"))] == ["A", "B"]


def test_a_late_trade_corrects_its_bars_and_joins_those_that_are_open() -> None:
    aggregator = Aggregator(ALL, STOCKS)
    for trade in (at(1.2, 10, 5), at(2.5, 20, 5)):
        first = aggregator.add(trade)
    assert [bar.revision for bar in first] == [None]
    (corrected,) = aggregator.add(at(1.8, 8, 1))
    assert corrected == Bar("A", "Second", START + SECOND, 10, 10, 8, 8, 6, 2, 58 / 6, revision=1)
    (again,) = aggregator.add(at(1.9, 9, 1))
    assert (again.revision, again.volume) == (2, 7)
    minute = of(aggregator.finish(), Frequency.MINUTE)[0]
    assert (minute.volume, minute.low, minute.count, minute.revision) == (12, 8, 4, None)


def test_a_late_trade_of_a_span_without_a_bar_makes_its_first_one() -> None:
    aggregator = Aggregator(ALL, STOCKS)
    aggregator.add(at(5))
    (bar,) = aggregator.add(at(3, 7))
    assert (bar.start, bar.close, bar.revision) == (START + 3 * SECOND, 7, None)


def test_a_trade_beyond_the_lateness_is_counted_and_in_no_bar() -> None:
    aggregator = Aggregator(attrs.evolve(ALL, lateness=10.0), STOCKS)
    aggregator.add(at(30))
    assert len(aggregator.add(at(20))) == 1  # exactly at the bound
    assert aggregator.late == 0
    assert aggregator.add(at(19.999)) == []
    assert aggregator.late == 1
    assert of(aggregator.finish(), Frequency.MINUTE)[0].count == 2


def test_after_a_time_far_ahead_market_time_begins_anew_once_nothing_else_comes() -> None:
    aggregator = Aggregator(MINUTES, STOCKS)
    aggregator.add(at(10, 1))
    (before,) = aggregator.add(at(10**9, 99))  # somebody's mistake
    assert (before.start, before.count) == (START, 1)
    for n in range(99):
        assert aggregator.add(at(60 + n / 100)) == []
    assert (aggregator.late, aggregator.beginnings) == (99, 0)
    (mistake,) = aggregator.add(at(61))
    assert (mistake.open, aggregator.late, aggregator.beginnings) == (99, 100, 1)
    assert aggregator.add(at(62, 2)) == []
    (bar,) = aggregator.add(at(120, 3))
    assert (bar.start, bar.open, bar.count, bar.revision) == (START + 60 * SECOND, 2, 1, None)


def test_late_trades_among_others_do_not_turn_market_time_back() -> None:
    aggregator = Aggregator(attrs.evolve(ALL, lateness=5.0), STOCKS)
    aggregator.add(at(100))
    for n in range(300):
        aggregator.add(at(1))
        aggregator.add(at(100 + n / 1_000) if n % 2 else at(96))  # in time, or late but not too late
    assert (aggregator.late, aggregator.beginnings) == (300, 0)


def test_bars_are_kept_for_corrections_no_longer_than_the_lateness() -> None:
    aggregator = Aggregator(attrs.evolve(ALL, lateness=10.0), STOCKS)
    for second in range(1_000):
        aggregator.add(at(second))
    assert len(aggregator._levels[0].finished) <= 12


def test_only_the_bar_that_a_late_trade_belongs_to_is_corrected() -> None:
    aggregator = Aggregator(attrs.evolve(ALL, lateness=inf), STOCKS)
    for second in (1, 2, 70):
        aggregator.add(at(second))
    bars = aggregator.add(at(2.5, 3))
    assert [(bar.frequency, bar.start, bar.revision) for bar in bars] == [
        ("Second", START + 2 * SECOND, 1), ("Minute", START, 1),
    ]  # fmt: skip


def test_a_running_bar_is_what_the_span_holds_so_far() -> None:
    aggregator = Aggregator(ALL, STOCKS)
    assert aggregator.running("A", Frequency.MINUTE) is None
    aggregator.add(at(1, 10, 5))
    aggregator.add(at(2, 12, 5))
    assert aggregator.running("A", Frequency.MINUTE) == Bar(
        "A", "Minute", START, 10, 12, 10, 12, 10, 2, 11, final=False
    )
    assert aggregator.running("A", Frequency.SECOND) == Bar(
        "A", "Second", START + 2 * SECOND, 12, 12, 12, 12, 5, 1, 12, final=False
    )
    assert aggregator.running("B", Frequency.MINUTE) is None
    assert of(aggregator.finish(), Frequency.MINUTE)[0].open == 10


def test_closing_on_behalf_of_a_silent_feed_leaves_the_clock() -> None:
    aggregator = Aggregator(attrs.evolve(ALL, lateness=5.0), STOCKS)
    aggregator.add(at(1))
    assert aggregator.close_until(START + SECOND) == []
    assert aggregator.next_end == START + 2 * SECOND
    assert [bar.frequency for bar in aggregator.close_until(START + 70 * SECOND)] == ["Second", "Minute"]
    # Not too late by the feed's own clock, which still stands at 1 s: it corrects what was closed.
    assert [bar.revision for bar in aggregator.add(at(1.5))] == [1, 1]
    assert aggregator.clock == START + 1.5 * SECOND


def test_finishing_is_a_new_beginning() -> None:
    aggregator = Aggregator(MINUTES, STOCKS)
    aggregator.add(at(100))
    aggregator.finish()
    assert aggregator.finish() == []
    aggregator.add(at(1, 3))  # long before what was finished, and not late
    assert [bar.open for bar in aggregator.finish()] == [3]


def test_a_trade_that_counts_for_nothing_still_moves_the_clock() -> None:
    aggregator = Aggregator(attrs.evolve(MINUTES, rule=only_conditions([""])), STOCKS)
    aggregator.add(at(1))
    (bar,) = aggregator.add(at(60, 99, conditions="M"))
    assert bar.count == 1
    assert aggregator.finish() == []


def test_the_lowest_frequency_need_not_be_seconds() -> None:
    hours = Aggregation(every_trade, frequencies=(Frequency.DAY, Frequency.HOUR))
    bars = fold(at(1, 1), at(3_600, 2), aggregation=hours, asset_class=CRYPTO)
    assert [(bar.frequency, bar.open, bar.close) for bar in bars] == [("Hour", 1, 1), ("Hour", 2, 2), ("Day", 1, 2)]


def test_a_dataset_may_make_no_bars_but_of_the_frequencies_that_indicators_need() -> None:
    only_ema = Aggregation(every_trade, frequencies=(), sma=None, ema_frequencies=(Frequency.DAY,))
    assert only_ema.all_frequencies() == (Frequency.DAY,)
    assert [bar.frequency for bar in fold(at(1), aggregation=only_ema)] == ["Day"]


# Properties. Times are few and close, so that spans are shared, crossed and gone back to.

TRADES = st.lists(
    st.builds(
        at,
        st.integers(0, 40).map(lambda tenths: tenths / 4),
        st.sampled_from([1.0, 1.1, 0.00141342, 157.04, 61_828.01]),
        st.sampled_from([1, 7, 0.1, 0.2, 0.00000001, 1e-9, 123_456.789]),
        st.sampled_from("AB"),
    ),
    max_size=30,
)
FOREVER = attrs.evolve(ALL, lateness=inf)


def reference(trades: list[Trade], frequency: Frequency) -> dict[tuple[str, int], tuple[object, ...]]:
    """Bars by the book: group, then first, max, min, last, and exact sums."""
    groups: dict[tuple[str, int], list[Trade]] = {}
    for trade in trades:
        start = trade.exchange_timestamp - trade.exchange_timestamp % LENGTHS[frequency]
        groups.setdefault((trade.symbol, start), []).append(trade)
    found = {}
    for key, group in groups.items():
        prices = [trade.price for trade in group]
        volume = sum(Fraction(repr(trade.size)) for trade in group)
        notional = sum(Fraction(repr(trade.size)) * Fraction(repr(trade.price)) for trade in group)
        found[key] = (
            prices[0], max(prices), min(prices), prices[-1], float(volume), len(group), float(notional / volume)
        )  # fmt: skip
    return found


@pytest.mark.unmeasured
@given(TRADES)
def test_bars_are_what_grouping_by_span_gives_whatever_the_order_of_times(trades: list[Trade]) -> None:
    bars = latest(fold(*trades, aggregation=FOREVER))
    for frequency in LENGTHS:
        got = {
            (bar.symbol, bar.start): (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count, bar.vwap)
            for bar in bars.values()
            if bar.frequency == frequency
        }
        assert got == reference(trades, frequency)


@pytest.mark.unmeasured
@given(TRADES)
def test_first_versions_have_no_revision_and_corrections_count_from_one(trades: list[Trade]) -> None:
    seen: dict[tuple[str, str, int], int] = {}
    for bar in fold(*trades, aggregation=FOREVER):
        key = bar.symbol, bar.frequency, bar.start
        assert bar.revision == (seen[key] + 1 if key in seen else None)
        seen[key] = bar.revision or 0


@pytest.mark.unmeasured
@given(TRADES)
def test_running_bars_lead_up_to_the_final_one(trades: list[Trade]) -> None:
    trades.sort(key=lambda trade: trade.exchange_timestamp)
    aggregator = Aggregator(ALL, CRYPTO)
    running: dict[tuple[str, int], Bar] = {}
    final: list[Bar] = []
    for trade in trades:
        final += aggregator.add(trade)
        bar = aggregator.running(trade.symbol, Frequency.MINUTE)
        assert bar is not None
        running[bar.symbol, bar.start] = bar
    final += aggregator.finish()
    expected = [attrs.evolve(bar, final=True) for bar in running.values()]
    assert sorted(of(final, Frequency.MINUTE), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("size", [100, 250.0, 0.5])
def test_a_volume_is_an_integer_where_every_size_is(size: float) -> None:
    (bar,) = fold(at(1, 1.5, size), at(2, 1.5, 100), aggregation=MINUTES)
    assert type(bar.volume) is (int if type(size) is int else float)
    assert bar.volume == size + 100
