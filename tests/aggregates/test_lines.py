"""What indicators are made of: means without drift, crossings, and one step back."""

from __future__ import annotations

import math
import random
from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates.lines import BEARISH, BULLISH, NONE, Crossing, ExponentialLine, Window

VALUES = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


def exact(values: list[float]) -> float:
    return float(sum(map(Fraction, values)) / len(values))


@pytest.mark.unmeasured
def test_closes_of_mixed_magnitude_leave_no_drift_however_many() -> None:
    dice = random.Random(7)
    window, last = Window(20, 50), deque[float](maxlen=50)
    for _ in range(200_000):
        close = dice.random() * 10.0 ** dice.randrange(-8, 9)
        window.push(close)
        last.append(close)
    for _ in range(50):  # the great ones leave: nothing of them stays
        close = dice.random() * 1e-8
        window.push(close)
        last.append(close)
        closes = list(last)
        assert window.means() == (exact(closes[-20:]), exact(closes))
        assert window.means() == pytest.approx((math.fsum(closes[-20:]) / 20, math.fsum(closes) / 50), rel=1e-12, abs=0)


@given(st.lists(VALUES, min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_means_are_rounded_once(closes: list[float], fast: int, more: int) -> None:
    window = Window(fast, fast + more)
    for n, close in enumerate(closes, 1):
        window.push(close)
        assert window.count == n
        assert window.means() == (exact(closes[:n][-fast:]), exact(closes[:n][-(fast + more) :]))


@pytest.mark.parametrize("close", [5e-324, 1e-8, 0.1, 100.1, 1.7e308])
def test_the_means_of_a_flat_price_are_that_price(close: float) -> None:
    window = Window(20, 50)
    for _ in range(120):
        window.push(close)
        assert window.means() == (close, close)


@given(st.lists(VALUES, max_size=12), VALUES, VALUES)
def test_a_window_goes_back_one_step(closes: list[float], wrong: float, right: float) -> None:
    window, fresh = Window(2, 5), Window(2, 5)
    for close in closes:
        window.push(close)
        window.undo()
        window.push(wrong)
        window.undo()
        window.push(close)
        fresh.push(close)
    window.push(wrong)
    window.undo()
    for close in (right, *closes):
        window.push(close)
        fresh.push(close)
        assert (window.count, window.means()) == (fresh.count, fresh.means())


def test_an_exponential_line_begins_with_the_mean_of_its_first_values() -> None:
    line = ExponentialLine(3)
    seen = []
    for value in (1.0, 2.0, 6.0, 5.0, 4.0):
        line.push(value)
        seen.append((line.count, line.ma))
    assert seen == [(1, 1.0), (2, 1.5), (3, 3.0), (3, 4.0), (3, 4.0)]
    assert (line.line().periods, line.line().count, line.line().ma) == (3, 3, 4.0)


def test_an_exponential_line_over_one_value_is_that_value() -> None:
    line = ExponentialLine(1)
    for value in (1e8, 1e-8, 0.1, 1e16):
        line.push(value)
        assert line.ma == value


@pytest.mark.parametrize("before", range(6))
def test_an_exponential_line_goes_back_one_step(before: int) -> None:
    line, fresh = ExponentialLine(3), ExponentialLine(3)
    for n in range(before):
        line.push(n / 10)
        fresh.push(n / 10)
    line.push(77.7)
    line.undo()
    assert line.line() == fresh.line()
    for value in (0.3, 0.1, 0.7, 0.9):
        line.push(value)
        fresh.push(value)
        assert line.line() == fresh.line()


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([1, -1, 1], [NONE, BEARISH, BULLISH]),
        ([-1, -2, 3, 4], [NONE, NONE, BULLISH, NONE]),
        ([0.0, 0.0, 1, -1], [NONE, NONE, NONE, BEARISH]),  # the first sign is no crossing, however late
        ([1, 0.0, 1], [NONE, NONE, NONE]),  # touches and goes back
        ([1, 0.0, -0.0, -1, -1], [NONE, NONE, NONE, BEARISH, NONE]),  # touches and goes on
        ([1, -5e-324, 5e-324], [NONE, BEARISH, BULLISH]),  # no epsilon
    ],
)
def test_crossings(differences: list[float], words: list[str]) -> None:
    crossing = Crossing()
    assert [crossing.turn(difference) for difference in differences] == words


def test_a_crossing_goes_back_one_step() -> None:
    crossing = Crossing()
    crossing.turn(1.0)
    assert crossing.turn(-1.0) == BEARISH
    crossing.undo()
    assert crossing.turn(-1.0) == BEARISH
    crossing.undo()
    assert crossing.turn(2.0) == NONE
