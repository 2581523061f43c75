"""SMA and EMA: equal to other libraries and to a naive reference, every word of a crossing, and corrections."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import attrs
import polars
import pytest
import talipp.indicators
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates import EmaFold, EmaPeriods, SmaFold, SmaPeriods
from datafye_trio.errors import EventError
from datafye_trio.model import Bar, Ema, Line, Sma

SECOND = 1_000_000_000
SMA_PERIODS = [SmaPeriods(), SmaPeriods(1, 2), SmaPeriods(5, 200), SmaPeriods(49, 50)]
EMA_PERIODS = [EmaPeriods(), EmaPeriods(1, 2, 1), EmaPeriods(5, 35, 5), EmaPeriods(3, 100, 40)]
FOLDS = {"sma": lambda: SmaFold(SmaPeriods(2, 4)), "ema": lambda: EmaFold(EmaPeriods(2, 4, 3))}

Fold = SmaFold | EmaFold


def bar(n: int, close: float | None, **changes: object) -> Bar:
    made = Bar("AAPL", "Second", n * SECOND, close, close, close, close, 100, 1, close)
    return attrs.evolve(made, **changes)


def sma_of(closes: Sequence[float], periods: SmaPeriods) -> list[Sma]:
    fold = SmaFold(periods)
    return [value for n, close in enumerate(closes) if (value := fold.add(bar(n, close)))]


def ema_of(closes: Sequence[float], periods: EmaPeriods) -> list[Ema]:
    fold = EmaFold(periods)
    return [value for n, close in enumerate(closes) if (value := fold.add(bar(n, close)))]


def walk(seed: int, *, decimals: int, start: float, step: float, n: int = 1_000) -> list[float]:
    dice, price, closes = random.Random(seed), start, []
    for _ in range(n):
        price = max(price + dice.gauss(0, step), step)
        closes.append(round(price, decimals))
    return closes


WALKS = [
    walk(1, decimals=2, start=150.0, step=0.2),
    walk(2, decimals=8, start=0.00012345, step=0.0000004),
    walk(3, decimals=8, start=64_123.12345678, step=25.0),
    walk(4, decimals=0, start=10.0, step=1.0),  # coarse: equal closes, zero crossings
]


def same(ours: Sequence[float], theirs: Sequence[float | None], closes: Sequence[float], full_at: int) -> None:
    """Theirs is None until the line is full; from there, equal to 1e-9 of the price."""
    assert len(ours) == len(theirs) == len(closes)
    assert all(value is None for value in theirs[: full_at - 1])
    for mine, other, close in zip(ours[full_at - 1 :], theirs[full_at - 1 :], closes[full_at - 1 :], strict=True):
        assert other is not None
        assert abs(mine - other) <= 1e-9 * close


@pytest.mark.parametrize("periods", SMA_PERIODS)
@pytest.mark.parametrize("closes", WALKS)
def test_sma_equals_talipp_and_polars(periods: SmaPeriods, closes: list[float]) -> None:
    values = sma_of(closes, periods)
    fast, slow = [v.fast_line.ma for v in values], [v.slow_line.ma for v in values]
    same(fast, list(talipp.indicators.SMA(periods.fast, closes)), closes, periods.fast)
    same(slow, list(talipp.indicators.SMA(periods.slow, closes)), closes, periods.slow)
    series = polars.Series(closes, dtype=polars.Float64)
    same(fast, series.rolling_mean(periods.fast).to_list(), closes, periods.fast)
    same(slow, series.rolling_mean(periods.slow).to_list(), closes, periods.slow)


@pytest.mark.parametrize("periods", EMA_PERIODS)
@pytest.mark.parametrize("closes", WALKS)
def test_ema_equals_talipp(periods: EmaPeriods, closes: list[float]) -> None:
    values = ema_of(closes, periods)
    fast, slow = [v.fast_line.ma for v in values], [v.slow_line.ma for v in values]
    same(fast, list(talipp.indicators.EMA(periods.fast, closes)), closes, periods.fast)
    same(slow, list(talipp.indicators.EMA(periods.slow, closes)), closes, periods.slow)
    theirs = list(talipp.indicators.MACD(periods.fast, periods.slow, periods.signal, closes))
    same([v.macd for v in values], [m and m.macd for m in theirs], closes, periods.slow)
    signals = [m and m.signal for m in theirs]
    same([v.signal_line.ma for v in values], signals, closes, periods.slow + periods.signal - 1)


def words_of(differences: Sequence[float | None]) -> list[str]:
    words, last = [], 0.0
    for now in differences:
        crossed = now is not None and now * last < 0
        words.append("NONE" if not crossed else "BULLISH" if now > 0 else "BEARISH")  # type: ignore[operator]
        last = (now > 0) - (now < 0) if now else last
    return words


def naive_sma(closes: Sequence[float], n: int) -> list[float]:
    return [sum(part := closes[max(i - n, 0) : i]) / len(part) for i in range(1, len(closes) + 1)]


def naive_ema(values: Sequence[float], n: int) -> list[float]:
    means: list[float] = []
    for i, value in enumerate(values):
        mean = sum(values[: i + 1]) / (i + 1) if i < n else means[-1] + 2 / (n + 1) * (value - means[-1])
        means.append(mean)
    return means


@pytest.mark.parametrize("periods", SMA_PERIODS)
@pytest.mark.parametrize("closes", WALKS[:3])
def test_sma_equals_a_naive_one_from_the_first_bar_on(periods: SmaPeriods, closes: list[float]) -> None:
    values = sma_of(closes, periods)
    fast, slow = naive_sma(closes, periods.fast), naive_sma(closes, periods.slow)
    same([v.fast_line.ma for v in values], fast, closes, 1)
    same([v.slow_line.ma for v in values], slow, closes, 1)
    full = [f - s if i >= periods.slow else None for i, (f, s) in enumerate(zip(fast, slow, strict=True), 1)]
    assert [v.crossover for v in values] == words_of(full)
    assert {v.crossover for v in values} == {"BULLISH", "BEARISH", "NONE"}


@pytest.mark.parametrize("periods", EMA_PERIODS)
@pytest.mark.parametrize("closes", WALKS[:3])
def test_ema_equals_a_naive_one_from_the_first_bar_on(periods: EmaPeriods, closes: list[float]) -> None:
    values = ema_of(closes, periods)
    fast, slow = naive_ema(closes, periods.fast), naive_ema(closes, periods.slow)
    macd = [f - s for f, s in zip(fast, slow, strict=True)]
    early = periods.slow - 1
    signal = [0.0] * early + naive_ema(macd[early:], periods.signal)
    same([v.fast_line.ma for v in values], fast, closes, 1)
    same([v.slow_line.ma for v in values], slow, closes, 1)
    same([v.macd for v in values], macd, closes, 1)
    same([v.signal_line.ma for v in values], signal, closes, 1)
    full = early + periods.signal - 1
    assert [v.crossover for v in values] == words_of([None] * early + macd[early:])
    assert [v.zero_crossover for v in values] == [v.crossover for v in values]
    assert [v.zero_line_crossover for v in values] == words_of([None] * full + signal[full:])
    if periods.signal > 1:  # a signal line over one macd is macd: nothing to cross
        distance = [m - s for m, s in zip(macd[full:], signal[full:], strict=True)]
        assert [v.signal_crossover for v in values] == words_of([None] * full + distance)
    else:
        assert {v.signal_crossover for v in values} == {"NONE"}


def test_an_sma_value_names_its_bar_and_counts_its_closes() -> None:
    fold = SmaFold(SmaPeriods(2, 3))
    values = [
        fold.add(bar(n, close, symbol="BTCUSD", frequency="Minute")) for n, close in enumerate((1.0, 2.0, 6.0, 4.0))
    ]
    expected = [
        (Line(3, 1, 1.0), Line(2, 1, 1.0), 0.0, "NONE"),
        (Line(3, 2, 1.5), Line(2, 2, 1.5), 0.0, "NONE"),
        (Line(3, 3, 3.0), Line(2, 2, 4.0), 1.0, "NONE"),
        (Line(3, 3, 4.0), Line(2, 2, 5.0), 1.0, "NONE"),
    ]
    prices = (1.0, 2.0, 6.0, 4.0)
    assert values == [Sma("BTCUSD", "Minute", n * SECOND, prices[n], *rest) for n, rest in enumerate(expected)]


def test_an_ema_value_counts_its_closes_and_its_macds() -> None:
    values = ema_of([1.0, 2.0, 6.0, 4.0, 4.0, 4.0], EmaPeriods(2, 3, 2))
    assert [v.slow_line.count for v in values] == [1, 2, 3, 3, 3, 3]
    assert [v.fast_line.count for v in values] == [1, 2, 2, 2, 2, 2]
    assert [(v.signal_line.count, v.signal_line.periods) for v in values] == [(n, 2) for n in (0, 0, 1, 2, 2, 2)]
    assert [v.signal_line.ma for v in values[:2]] == [0.0, 0.0]
    assert values[2].macd == values[2].signal_line.ma == (1.5 + 2 / 3 * 4.5) - 3.0
    assert (values[3].timestamp, values[3].price, values[3].symbol) == (3 * SECOND, 4.0, "AAPL")


@pytest.mark.parametrize(
    ("closes", "words"),
    [
        # fast is the close, slow the mean of the last two: their difference is half the step
        ([1, 2, 1, 2], ["NONE", "NONE", "BEARISH", "BULLISH"]),
        ([1, 2, 3, 2, 1], ["NONE", "NONE", "NONE", "BEARISH", "NONE"]),
        ([1, 2, 2, 3], ["NONE", "NONE", "NONE", "NONE"]),  # touches and goes back
        ([1, 2, 2, 2, 1], ["NONE", "NONE", "NONE", "NONE", "BEARISH"]),  # touches and goes on
        ([2, 2, 2, 1, 2], ["NONE", "NONE", "NONE", "NONE", "BULLISH"]),  # the first sign is no crossing
    ],
)
def test_the_words_of_an_sma(closes: list[float], words: list[str]) -> None:
    assert [value.crossover for value in sma_of(closes, SmaPeriods(1, 2))] == words


def test_the_words_of_an_ema() -> None:
    """Fast is the close; slow (over two) moves two thirds of the way to it; signal (over two) likewise to macd."""
    values = ema_of([1.0, 3.0, 5.0, 4.0, 4.0, 0.0, 9.0], EmaPeriods(1, 2, 2))
    slow = [1.0, 2.0, 4.0, 4.0, 4.0, 4 / 3, 4 / 3 + 2 / 3 * (9 - 4 / 3)]
    macd = [0.0, 1.0, 1.0, 0.0, 0.0, -4 / 3, 9 - slow[6]]
    assert [v.slow_line.ma for v in values] == pytest.approx(slow)
    assert [v.macd for v in values] == pytest.approx(macd)
    signal = [0.0, 1.0, 1.0, 1 / 3, 1 / 9, 1 / 9 + 2 / 3 * (-4 / 3 - 1 / 9), values[6].signal_line.ma]
    assert [v.signal_line.ma for v in values] == pytest.approx(signal)
    assert [v.crossover for v in values] == ["NONE"] * 5 + ["BEARISH", "BULLISH"]
    assert [v.zero_crossover for v in values] == ["NONE"] * 5 + ["BEARISH", "BULLISH"]
    assert [v.signal_crossover for v in values] == ["NONE"] * 6 + ["BULLISH"]
    assert [v.zero_line_crossover for v in values] == ["NONE"] * 5 + ["BEARISH", "BULLISH"]
    assert [v.last_zero_line_crossover for v in values] == ["NONE"] * 5 + ["BEARISH", "BULLISH"]


def test_the_signal_line_is_crossed_downwards_too_and_the_last_word_stays() -> None:
    values = ema_of([1.0, 3.0, 5.0, 9.0, 9.0, 1.0, 1.0, 1.0], EmaPeriods(1, 2, 2))
    assert [v.signal_crossover for v in values] == ["NONE"] * 4 + ["BEARISH", "NONE", "BULLISH", "NONE"]
    assert [v.zero_line_crossover for v in values] == ["NONE"] * 5 + ["BEARISH", "NONE", "NONE"]
    assert [v.last_zero_line_crossover for v in values] == ["NONE"] * 5 + ["BEARISH"] * 3


@pytest.mark.parametrize("price", [0.1, 100.1, 0.00012347, 64_123.12345678])
def test_a_price_that_stands_still_crosses_nothing(price: float) -> None:
    closes = [price] * 300
    for value in ema_of(closes, EmaPeriods()) + sma_of(closes, SmaPeriods()):
        assert (value.macd, value.crossover) == (0.0, "NONE")
        assert value.fast_line.ma == value.slow_line.ma == price


@pytest.mark.parametrize("step", [0.01, 7.7, -0.01, -7.7])
def test_a_price_that_stands_still_after_a_step_crosses_no_line_by_rounding(step: float) -> None:
    closes = [100.1] * 100 + [100.1 + step] * 900
    assert {value.crossover for value in sma_of(closes, SmaPeriods())} == {"NONE"}
    values = ema_of(closes, EmaPeriods())
    assert {value.crossover for value in values} == {value.zero_line_crossover for value in values} == {"NONE"}
    assert sum(value.signal_crossover != "NONE" for value in values) == 1  # macd turns back to zero, once


@pytest.mark.parametrize("make", FOLDS.values(), ids=FOLDS)
def test_a_bar_without_a_close_has_no_value(make: Callable[[], Fold]) -> None:
    fold, fresh = make(), make()
    closes = [1.0, None, 2.0, None, None, 3.0, 1.0, 5.0]
    values = [fold.add(bar(n, close)) for n, close in enumerate(closes)]
    assert values == [close and fresh.add(bar(n, close)) for n, close in enumerate(closes)]
    assert [value is None for value in values] == [close is None for close in closes]


@pytest.mark.parametrize("make", FOLDS.values(), ids=FOLDS)
def test_bars_that_run_or_do_not_follow_change_nothing(make: Callable[[], Fold]) -> None:
    fold, fresh = make(), make()
    fold.correct(bar(0, 9.0))  # there is nothing to correct
    for n, close in enumerate((1.0, 2.0, 3.0, 1.0, 5.0, 4.0), 1):
        assert fold.add(bar(n, 77.0, final=False)) is None
        assert fold.add(bar(n, close)) == fresh.add(bar(n, close))
        assert fold.add(bar(n, 77.0)) is None
        assert fold.add(bar(n - 1, 77.0)) is None
        fold.correct(bar(n, 77.0, final=False))
        fold.correct(bar(n - 1, 77.0, revision=1))


@pytest.mark.parametrize("make", FOLDS.values(), ids=FOLDS)
@pytest.mark.parametrize("close", [float("nan"), float("inf"), float("-inf")])
def test_a_close_that_is_no_number_is_refused(make: Callable[[], Fold], close: float) -> None:
    fold, fresh = make(), make()
    fold.add(bar(1, 1.0))
    fresh.add(bar(1, 1.0))
    with pytest.raises(EventError, match=r"the close of AAPL's Second bar at 2000000000 is .*; give a number"):
        fold.add(bar(2, close))
    with pytest.raises(EventError, match="the close of AAPL's Second bar at 1000000000"):
        fold.correct(bar(1, close, revision=1))
    assert fold.add(bar(2, 3.0)) == fresh.add(bar(2, 3.0))


CLOSES = st.none() | st.sampled_from([1.0, 2.0, 3.0]) | st.floats(0.00000001, 1e6)


@pytest.mark.unmeasured
@pytest.mark.parametrize("make", FOLDS.values(), ids=FOLDS)
@given(st.lists(st.lists(CLOSES, min_size=1, max_size=3), max_size=25))
def test_a_corrected_fold_equals_a_fresh_one(make: Callable[[], Fold], bars: list[list[float | None]]) -> None:
    """Each bar comes with its corrections; what follows is as if only the last had ever been."""
    fold, fresh = make(), make()
    for n, closes in enumerate(bars):
        first, *corrections = closes
        value = fold.add(bar(n, first))
        expected = fresh.add(bar(n, closes[-1]))
        if not corrections:
            assert value == expected
        for revision, close in enumerate(corrections, 1):
            assert fold.correct(bar(n, close, revision=revision)) is None
    assert fold.add(bar(len(bars), 2.5)) == fresh.add(bar(len(bars), 2.5))


@pytest.mark.parametrize("make", FOLDS.values(), ids=FOLDS)
@pytest.mark.parametrize("wrong", [0.001, 1000.0])
def test_a_wild_close_leaves_no_trace_once_it_is_corrected(make: Callable[[], Fold], wrong: float) -> None:
    """Wherever it comes; it is so wild that it crosses whatever it can."""
    closes = walk(5, decimals=2, start=20.0, step=1.0, n=50)
    fresh = make()
    expected = [fresh.add(bar(n, close)) for n, close in enumerate(closes)]
    for at, right in enumerate(closes):
        fold = make()
        values = [fold.add(bar(n, wrong if n == at else close)) for n, close in enumerate(closes[: at + 1])]
        fold.correct(bar(at, right, revision=1))
        values += [fold.add(bar(n, close)) for n, close in enumerate(closes) if n > at]
        assert values[:at] == expected[:at]
        assert values[at + 1 :] == expected[at + 1 :]
