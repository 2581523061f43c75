from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates.accumulator import Accumulator, exact
from datafye_trio.aggregates.settings import Updates
from datafye_trio.model import Bar, Frequency

DECIMALS = st.decimals(-(10**9), 10**9, places=8, allow_nan=False)
TRADES = st.lists(
    st.tuples(
        st.sampled_from([1.0, 0.1, 0.7, 1e-10, 12_345.678, -2.5]),
        st.sampled_from([1, 0.1, 0.2, 1e-12, 1e15, 0]),
        st.sampled_from(list(map(Updates, range(8)))),
    ),
    min_size=1,
    max_size=12,
)


def accumulate(trades: list[tuple[float, float, Updates]], first: int = 0) -> Accumulator:
    found = Accumulator(0, 60)
    for order, (price, size, updates) in enumerate(trades, first):
        found.add(order, price, size, updates)
    return found


def bar_of(accumulator: Accumulator) -> Bar:
    return accumulator.bar("A", Frequency.MINUTE)


@given(DECIMALS)
def test_a_decimal_of_eight_places_is_an_integer_of_hundred_millionths(value: object) -> None:
    units = exact(float(value))  # type: ignore[arg-type]
    assert units == Fraction(repr(float(value))) * 10**8  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_exactly_the_decimal_that_it_prints_as(value: float) -> None:
    assert exact(value) == Fraction(repr(value)) * 10**8


@pytest.mark.parametrize("value", [0.1, 0.00000001, 61_828.01, 123_456.789, 7.0, -0.5])
def test_common_numbers_need_no_fractions(value: float) -> None:
    assert type(exact(value)) is int


def test_an_integer_stays_exact_however_large() -> None:
    assert exact(2**70) == 2**70 * 10**8


def test_ten_tenths_are_one() -> None:
    bar = bar_of(accumulate([(0.1, 0.1, Updates.EVERYTHING)] * 10))
    assert (bar.volume, bar.vwap) == (1.0, 0.1)


@pytest.mark.unmeasured
@given(TRADES, st.data())
def test_parts_merge_to_the_whole_in_any_order_and_grouping(
    trades: list[tuple[float, float, Updates]], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(trades)), max_size=4)))
    bounds = [0, *cuts, len(trades)]
    parts = [accumulate(trades[first:last], first) for first, last in pairwise(bounds)]
    merged = Accumulator(0, 60)
    for part in data.draw(st.permutations(parts)):
        merged.merge(part)
    assert bar_of(merged) == bar_of(accumulate(trades))


@pytest.mark.parametrize(
    ("updates", "bar"),
    [
        (Updates.VOLUME, Bar("A", "Minute", 0, None, None, None, None, 10, 1, 5.0)),
        (Updates.VOLUME | Updates.HIGH_LOW, Bar("A", "Minute", 0, None, 5.0, 5.0, None, 10, 1, 5.0)),
        (Updates.HIGH_LOW | Updates.OPEN_CLOSE, Bar("A", "Minute", 0, 5.0, 5.0, 5.0, 5.0, 0, 1, None)),
        (Updates.EVERYTHING, Bar("A", "Minute", 0, 5.0, 5.0, 5.0, 5.0, 10, 1, 5.0)),
    ],
)
def test_a_trade_changes_what_its_rule_lets_it_change(updates: Updates, bar: Bar) -> None:
    assert bar_of(accumulate([(5.0, 10, updates)])) == bar


def test_no_volume_has_no_average_price() -> None:
    assert bar_of(accumulate([(5.0, 0, Updates.EVERYTHING)])).vwap is None


@pytest.mark.parametrize(("size", "volume"), [(2**61, 3 * 2**61), (2**62, 3 * 2.0**62), (2**63 - 1, 3 * 2.0**63)])
def test_a_volume_beyond_the_integers_of_the_wire_is_a_float(size: int, volume: float) -> None:
    found = bar_of(accumulate([(1.0, size, Updates.EVERYTHING)] * 3)).volume
    assert (found, type(found)) == (volume, type(volume))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found)) == found
