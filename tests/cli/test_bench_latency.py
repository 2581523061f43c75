"""The histogram of `bench`: how exact it is, and what it can tell of which stamps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.cli.bench_latency import Latencies, Scale

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def filled(latencies: list[int], weight: int = 1) -> Latencies:
    """Of events that have come a second after each other."""
    found = Latencies()
    for number, latency in enumerate(latencies):
        now = NOW + number * SECOND
        found.add(now, now - latency, weight)
    return found


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=100), st.sampled_from([50.0, 90.0, 99.9]))
def test_a_percentile_is_the_value_of_that_rank_to_a_64th(latencies: list[int], percent: float) -> None:
    exact = sorted(latencies)[math.ceil(percent / 100 * len(latencies)) - 1]
    assert filled(latencies).percentile(percent) == pytest.approx(exact, rel=1 / 64, abs=0)


def test_the_ends_are_exact_and_memory_is_bounded() -> None:
    found = Latencies()
    for power in range(62):
        for offset in range(300):
            found.add(0, -(2**power) - offset * 2**power // 300)
    assert (found.least, found.most) == (1, 2**61 + 299 * 2**61 // 300)
    assert len(found._counts) < 62 * 64 + 64


def test_a_weight_counts_for_so_many() -> None:
    found = filled([5], weight=99)
    found.add(NOW, NOW - 50)
    assert (found.count, found.percentile(99), found.percentile(99.9)) == (100, 5, 50)


def test_stamps_of_another_day_give_their_spread_to_a_microsecond() -> None:
    day = 86_400 * SECOND
    found = filled([day + 40_000, day, day + 1_000_000])
    assert found.scale is Scale.SPREAD
    assert found.percentile(50) - found.least == pytest.approx(40_000, abs=1_000)
    after = found.fresh()
    after.add(NOW, NOW - day - 70_000)
    after.add(NOW + 1, NOW + 1 - day - 64_000)
    assert after.percentile(50) - after.least == pytest.approx(0, abs=1_100)


@pytest.mark.parametrize(
    ("stamps", "scale"),
    [
        ([], Scale.NONE),
        ([NOW], Scale.LATENCY),
        ([NOW, NOW + SECOND // 10], Scale.LATENCY),  # a server that falls behind
        ([NOW, NOW + 10 * SECOND], Scale.NONE),  # a replay at ten times the speed, shifted to now
        ([0, SECOND], Scale.SPREAD),
        ([0, SECOND // 10], Scale.NONE),  # slow motion of another day
        ([0, 10 * SECOND], Scale.NONE),
    ],
)
def test_the_pace_of_the_stamps_decides_what_can_be_told(stamps: list[int], scale: Scale) -> None:
    found = Latencies()
    for number, stamp in enumerate(stamps):
        found.add(NOW + number * SECOND, stamp)
    assert found.scale is scale


def test_before_a_second_is_over_nobody_judges_the_pace() -> None:
    found = Latencies()
    found.add(NOW, NOW)
    found.add(NOW + SECOND // 2, NOW + 100 * SECOND)
    assert found.pace is None
