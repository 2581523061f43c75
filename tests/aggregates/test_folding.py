from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates import Aggregation, Updates, every_trade, fold_trades
from datafye_trio.aggregates.folding import fold_bars
from datafye_trio.errors import ConfigurationError, EventError
from datafye_trio.model import AssetClass, Bar, Frequency, Trade

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_704_207_600 * SECOND  # 2024-01-02T15:00:00Z

PRICES = st.sampled_from([0.00000001, 0.1, 0.7, 1.0, 61_828.01, 12_345.678])
SIZES = st.sampled_from([0, 1, 100, 0.1, 0.2, 1.37, 1e-8])


def bar(second: float, price: float | None, volume: float, symbol: str = "A") -> Bar:
    vwap = (2.0 if price is None else price) if volume else None
    return Bar(symbol, "Second", START + round(second * SECOND), price, price, price, price, volume, 1, vwap)


@st.composite
def trades(draw: st.DrawFn) -> list[Trade]:
    """Trades of two symbols in order of time, over a quarter of an hour; the size 100 may count for volume only."""
    times = sorted(draw(st.lists(st.integers(0, 15 * MINUTE - 1), min_size=1, max_size=40)))
    return [Trade(draw(st.sampled_from("AB")), START + time, draw(PRICES), draw(SIZES)) for time in times]


def volume_only_of_100(trade: Trade) -> Updates:
    return Updates.VOLUME if trade.size == 100 else Updates.EVERYTHING


def made(given_trades: list[Trade], frequency: Frequency, rule: object = volume_only_of_100) -> list[Bar]:
    aggregation = Aggregation(rule, frequencies=(frequency,), sma=None, ema=None)  # type: ignore[arg-type]
    return list(fold_trades(given_trades, aggregation, AssetClass.CRYPTO))


def in_order(bars: list[Bar]) -> list[Bar]:
    return sorted(bars, key=lambda bar: (bar.symbol, bar.start))


def assert_same(found: list[Bar], expected: list[Bar]) -> None:
    """Equal in every field, but for the last digits of vwap, and for how the frequency is called."""
    assert [attrs.evolve(bar, vwap=None, frequency="") for bar in in_order(found)] == [
        attrs.evolve(bar, vwap=None, frequency="") for bar in in_order(expected)
    ]
    for one, other in zip(in_order(found), in_order(expected), strict=True):
        assert one.vwap == pytest.approx(other.vwap, rel=1e-14) if other.vwap is not None else one.vwap is None


@pytest.mark.unmeasured
@given(trades())
def test_seconds_fold_to_the_minutes_of_the_trades(given_trades: list[Trade]) -> None:
    seconds = made(given_trades, Frequency.SECOND)
    found = list(fold_bars(seconds, MINUTE, "Minute"))
    assert_same(found, made(given_trades, Frequency.MINUTE))
    assert {bar.frequency for bar in found} == {"Minute"}
    assert [type(bar.volume) for bar in in_order(found)] == [
        type(bar.volume) for bar in in_order(made(given_trades, Frequency.MINUTE))
    ]


@pytest.mark.unmeasured
@given(trades(), st.sampled_from([2, 3, 4, 6, 12]))
def test_any_grouping_gives_the_same_bars(given_trades: list[Trade], group: int) -> None:
    seconds = made(given_trades, Frequency.SECOND)
    parts = list(fold_bars(seconds, group * 5 * SECOND, "part"))
    assert_same(list(fold_bars(in_order(parts), 5 * MINUTE, "5m")), list(fold_bars(seconds, 5 * MINUTE, "5m")))


def test_open_and_close_are_the_first_and_the_last_there_is() -> None:
    (found,) = fold_bars([bar(0, None, 5), bar(1, 3.0, 1), bar(2, 4.0, 2), bar(3, None, 7)], MINUTE, "1m")
    assert found == Bar("A", "1m", START, 3.0, 4.0, 3.0, 4.0, 15, 4, 35 / 15)


def test_a_span_without_any_price_has_a_volume_only() -> None:
    (found,) = fold_bars([bar(0, None, 5), bar(1, None, 0)], MINUTE, "1m")
    assert found == Bar("A", "1m", START, None, None, None, None, 5, 2, 2.0)


def test_a_bar_of_others_without_vwap_counts_as_no_turnover() -> None:
    (found,) = fold_bars([attrs.evolve(bar(0, 1.0, 1), vwap=None), bar(1, 1.0, 1)], MINUTE, "1m")
    assert (found.volume, found.vwap) == (2, 0.5)


def test_spans_are_counted_from_1970_or_from_an_origin() -> None:
    bars = [bar(0, 1.0, 1), bar(59, 2.0, 1), bar(60, 3.0, 1)]
    assert [one.start - START for one in fold_bars(bars, MINUTE, "1m")] == [0, MINUTE]
    moved = list(fold_bars(bars, MINUTE, "1m", origin=30 * SECOND))
    assert [(one.start - START, one.close) for one in moved] == [(-30 * SECOND, 1.0), (30 * SECOND, 3.0)]


def test_equal_starts_are_parts_of_one_span_in_their_order() -> None:
    (found,) = fold_bars([bar(0, 1.0, 1), bar(0, 2.0, 1)], SECOND, "1s")
    assert (found.open, found.close) == (1.0, 2.0)


def test_symbols_do_not_mix_and_bars_come_as_soon_as_they_are_over() -> None:
    bars = [bar(0, 1.0, 1, "A"), bar(1, 2.0, 1, "B"), bar(60, 3.0, 1, "A")]
    folded = fold_bars(bars, MINUTE, "1m")
    assert [(one.symbol, one.close) for one in folded] == [("A", 1.0), ("A", 3.0), ("B", 2.0)]


def test_what_cannot_be_folded_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 ns or more, not 0"):
        list(fold_bars([], 0, "none"))
    with pytest.raises(EventError, match="bars of A are out of order"):
        list(fold_bars([bar(1, 1.0, 1), bar(0, 1.0, 1)], MINUTE, "1m"))


@pytest.mark.unmeasured
@given(trades())
def test_all_seconds_and_minutes_are_there_once(given_trades: list[Trade]) -> None:
    found = list(fold_bars(made(given_trades, Frequency.SECOND, every_trade), MINUTE, "1m"))
    for one, other in pairwise(in_order(found)):
        assert one.symbol < other.symbol or one.start < other.start
    assert sum(bar.count for bar in found) == len(given_trades)
