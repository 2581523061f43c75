"""Rolling statistics: the exact ones, rounded once, after any history; and what counts when."""

from __future__ import annotations

import math
import random
import statistics
from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.errors import ConfigurationError
from datafye_trio.strategy.rolling import Rolling

SECOND = 1_000_000_000
VALUES = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-1e150, 1e150)


def check(rolling: Rolling, values: list[float]) -> None:
    """A window's answers are those of Python's own exact arithmetic."""
    exact = [Fraction(value) for value in values]
    assert rolling.count == len(values)
    assert rolling.sum == float(sum(exact))
    if values:
        assert rolling.mean == float(sum(exact) / len(exact))
        assert (rolling.min, rolling.max) == (min(values), max(values))
    if len(values) > 1:
        assert rolling.std == statistics.stdev(exact)


@given(st.lists(MODERATE, max_size=30), st.integers(1, 8))
def test_the_last_values_by_count(values: list[float], count: int) -> None:
    rolling = Rolling(count=count)
    check(rolling, [])
    for n, value in enumerate(values, 1):
        rolling.add(n, value)
        check(rolling, values[:n][-count:])
        assert rolling.full == (n >= count)


@given(st.lists(st.tuples(st.integers(0, 3 * SECOND), MODERATE), max_size=30), st.integers(1, 5 * SECOND))
def test_the_values_of_the_last_seconds(steps: list[tuple[int, float]], span: int) -> None:
    rolling = Rolling(seconds=span / SECOND)
    now, held = 0, deque[tuple[int, float]]()
    for step, value in steps:
        now += step
        rolling.add(now, value)
        held.append((now, value))
        check(rolling, [value for time, value in held if now - span < time])
        assert rolling.full == (now - held[0][0] >= span)


@given(st.lists(VALUES, min_size=2, max_size=6))
def test_the_deviation_of_the_greatest_and_of_the_least_floats(values: list[float]) -> None:
    rolling = Rolling(count=len(values))
    for value in values:
        rolling.add(0, value)
    n, exact = len(values), [Fraction(value) for value in values]
    mean = sum(exact) / n
    variance = sum((one - mean) ** 2 for one in exact) / (n - 1)
    assert rolling.mean == float(mean)
    # Rounded once: nearer to the root than the floats on either side of it.
    std = Fraction(rolling.std)
    below = (std + Fraction(math.nextafter(rolling.std, 0))) / 2
    above = (std + Fraction(math.nextafter(rolling.std, math.inf))) / 2 if rolling.std < 1.7e308 else None
    assert below**2 <= variance or rolling.std == 0
    assert above is None or variance <= above**2


def test_small_values_beside_a_great_one_are_not_lost() -> None:
    rolling = Rolling(count=3)
    for value in (1e15, 0.1, 0.2):
        rolling.add(0, value)
    check(rolling, [1e15, 0.1, 0.2])
    rolling.add(0, 0.3)  # the great one leaves, and nothing of it stays
    check(rolling, [0.1, 0.2, 0.3])
    assert rolling.std == statistics.stdev([0.1, 0.2, 0.3]) == pytest.approx(0.1)


def test_a_tiny_spread_around_a_great_price() -> None:
    rolling, values = Rolling(count=4), [1e15 + 0.125, 1e15 + 0.25, 1e15 + 0.375, 1e15 + 0.5]
    for value in values:
        rolling.add(0, value)
    check(rolling, values)
    assert rolling.std == pytest.approx(0.16137430609197573)  # of 0.125, 0.25, 0.375 and 0.5


def test_a_long_run_leaves_no_drift() -> None:
    dice, rolling, last = random.Random(5), Rolling(count=50), deque[float](maxlen=50)
    for n in range(30_000):
        value = dice.random() * 10.0 ** dice.randrange(-8, 16)
        rolling.add(n, value)
        last.append(value)
    for n in range(50):
        value = 100 + dice.random() * 1e-8
        rolling.add(n, value)
        last.append(value)
    check(rolling, list(last))


@pytest.mark.parametrize("value", [5e-324, 1e-8, 0.1, 100.1, 1.7e308])
def test_the_mean_of_a_flat_price_is_that_price_and_its_deviation_nought(value: float) -> None:
    rolling = Rolling(count=7)
    for _ in range(20):
        rolling.add(0, value)
        assert rolling.mean == value
    assert rolling.std == 0.0


def test_time_passes_without_values() -> None:
    rolling = Rolling(seconds=60)
    rolling.advance(10**18)  # before there is anything: nothing
    assert rolling.count == 0
    rolling.add(0, 1.0)
    rolling.add(30 * SECOND, 2.0)
    rolling.advance(59 * SECOND + SECOND - 1)
    check(rolling, [1.0, 2.0])
    assert not rolling.full
    rolling.advance(60 * SECOND)
    check(rolling, [2.0])
    assert rolling.full
    rolling.advance(0)  # time does not go back
    assert rolling.full
    rolling.advance(90 * SECOND)
    check(rolling, [])
    assert rolling.full


def test_time_passes_a_window_by_count() -> None:
    rolling = Rolling(count=2)
    rolling.add(0, 1.0)
    rolling.advance(10**18)
    check(rolling, [1.0])


def test_a_value_that_comes_late_counts_as_of_the_newest() -> None:
    rolling = Rolling(seconds=10)
    rolling.add(100 * SECOND, 1.0)
    rolling.add(50 * SECOND, 2.0)
    check(rolling, [1.0, 2.0])
    assert not rolling.full
    rolling.advance(109 * SECOND)
    check(rolling, [1.0, 2.0])
    rolling.advance(110 * SECOND)
    check(rolling, [])
    rolling.add(50 * SECOND, 3.0)
    assert rolling.full


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_and_changes_nothing(value: float) -> None:
    rolling = Rolling(count=3)
    rolling.add(0, 1.0)
    with pytest.raises(ValueError, match="leave it out"):
        rolling.add(1, value)
    check(rolling, [1.0])


def test_questions_that_have_no_answer_say_so() -> None:
    rolling = Rolling(count=3)
    for ask in ("mean", "min", "max", "std"):
        with pytest.raises(ValueError, match="look at `count` first"):
            getattr(rolling, ask)
    rolling.add(0, 1.0)
    with pytest.raises(ValueError, match="1 values in the window, and 2 are needed"):
        _ = rolling.std


def test_a_sum_beyond_all_floats() -> None:
    rolling = Rolling(count=2)
    rolling.add(0, 1.7e308)
    rolling.add(0, 1.7e308)
    assert rolling.mean == 1.7e308
    with pytest.raises(OverflowError):
        _ = rolling.sum


@pytest.mark.parametrize(
    "options",
    [{}, {"count": 1, "seconds": 1}, {"count": 0}, {"count": 2.5}, {"seconds": 0}, {"seconds": math.nan}],
)  # fmt: skip
def test_windows_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"count|seconds"):
        Rolling(**options)
