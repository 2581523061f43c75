"""Coming back: waits that double up to a bound, and the closes after which one does not."""

from __future__ import annotations

import pytest

from datafye_trio.cli.backoff import Backoff, comes_back


def test_waits_double_from_a_quarter_of_a_second_to_thirty() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next(0) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_each_wait_is_drawn_between_nothing_and_its_bound() -> None:
    draws = iter([0.0, 0.5, 0.25])
    backoff = Backoff(lambda: next(draws))
    assert [backoff.next(0) for _ in range(3)] == [0, 0.25, 0.25]


def test_a_minute_of_health_begins_anew() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next(healthy) for healthy in (0, 0, 59.9, 60, 0)] == [0.25, 0.5, 1, 0.25, 0.5]


def test_too_many_requests_wait_for_five_seconds_more() -> None:
    assert Backoff(lambda: 1.0).next(0, 4013) == 5.25


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013, 3000, 4000, 4008, 4009, 4013, 4499])
def test_closes_after_which_one_comes_back(code: int) -> None:
    assert comes_back(code)


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 4500, 4501, 4999])
def test_closes_after_which_one_stops(code: int) -> None:
    assert not comes_back(code)
