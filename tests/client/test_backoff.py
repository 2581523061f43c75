"""Coming back: how long to wait, and after what not to come back at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.client.backoff import LONGEST_RETRY_AFTER, Backoff, Reconnect, comes_back, judge
from datafye_trio.errors import ConfigurationError, ConnectError, DisconnectedError
from datafye_trio.protocol import Advice, CloseCode

LOST = DisconnectedError(1006, "lost")
REFUSED = ConnectError("refused", kind="refused")
TIMEOUT = ConnectError("no answer", kind="timeout")


def at_the_bound(config: Reconnect | None = None) -> Backoff:
    return Backoff(config or Reconnect(), lambda: 1.0)


def test_waits_double_from_a_quarter_of_a_second_to_thirty() -> None:
    backoff = at_the_bound()
    assert [backoff.next(LOST, 0) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.failures == 9


def test_each_wait_is_drawn_between_nothing_and_its_bound() -> None:
    draws = iter([0.0, 0.5, 0.25])
    backoff = Backoff(Reconnect(), lambda: next(draws))
    assert [backoff.next(LOST, 0) for _ in range(3)] == [0, 0.125, 0.125], "0.25 + twice what was waited"


def test_the_growth_stops_at_five_seconds_while_the_address_refuses() -> None:
    backoff = at_the_bound()
    assert [backoff.next(REFUSED, 0) for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert [backoff.next(TIMEOUT, 0) for _ in range(3)] == [10, 20, 30], "anything else goes on from there"
    assert backoff.next(REFUSED, 0) == 5


def test_only_a_minute_of_health_begins_anew() -> None:
    backoff = at_the_bound()
    assert [backoff.next(LOST, healthy) for healthy in (0, 0, 59.9, 60, 0)] == [0.25, 0.5, 1, 0.25, 0.5]


def test_health_forgets_how_long_the_row_before_it_was() -> None:
    draws = iter([1.0, 1.0, 1.0, 0.0, 1.0])
    backoff = Backoff(Reconnect(), lambda: next(draws))
    assert [backoff.next(LOST, healthy) for healthy in (0, 0, 0, 60, 0)] == [0.25, 0.5, 1, 0, 0.25]


def test_attempts_bound_the_failures_in_a_row() -> None:
    backoff = at_the_bound(Reconnect(attempts=2))
    waits = [backoff.next(LOST, healthy) for healthy in (0, 59, 0, 0, 61, 0, 0)]
    assert waits == [0.25, 0.5, None, None, 0.25, 0.5, None]


def test_no_attempts_means_never() -> None:
    assert at_the_bound(Reconnect(attempts=0)).next(LOST, 3_600) is None


@pytest.mark.parametrize("asked", [0.5, 5, 60, LONGEST_RETRY_AFTER])
def test_retry_after_is_honoured_and_clients_spread_over_half_of_it(asked: float) -> None:
    busy = ConnectError("busy", kind="status", status=503, retry_after=asked)
    assert Backoff(Reconnect(), lambda: 0.0).next(busy, 0) == asked
    assert at_the_bound().next(busy, 0) == asked + max(0.25, asked / 2)


@pytest.mark.parametrize("asked", [LONGEST_RETRY_AFTER + 1, 1e300, math.inf])
def test_nobody_is_sent_away_for_more_than_ten_minutes(asked: float) -> None:
    busy = ConnectError("busy", kind="status", status=503, retry_after=asked)
    assert Backoff(Reconnect(), lambda: 0.0).next(busy, 0) == 600


@pytest.mark.parametrize("asked", [0, -1, math.nan])
def test_a_retry_after_that_asks_for_nothing(asked: float) -> None:
    busy = ConnectError("busy", kind="status", status=503, retry_after=asked)
    assert at_the_bound().next(busy, 0) == 0.25


def test_too_many_requests_wait_for_at_least_five_seconds() -> None:
    busy = DisconnectedError(4013, "too many requests")
    assert Backoff(Reconnect(), lambda: 0.0).next(busy, 0) == 5
    assert at_the_bound().next(busy, 0) == 7.5


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3008, 4000, 4008, 4009, 4013, 4499])
def test_closes_after_which_one_comes_back(code: int) -> None:
    assert comes_back(code)
    assert judge(DisconnectedError(code, ""))
    assert not judge(DisconnectedError(code, "", retryable=False)), "whoever raised it may know better"


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003, 4500, 4501, 4999])
def test_closes_after_which_one_stops(code: int) -> None:
    assert not comes_back(code)
    assert at_the_bound().next(DisconnectedError(code, ""), 3_600) is None


@pytest.mark.parametrize("code", CloseCode)
def test_the_table_of_the_protocol_decides(code: CloseCode) -> None:
    assert comes_back(int(code)) == (code.advice is not Advice.STOP)


@pytest.mark.parametrize("retryable", [True, False])
def test_who_fails_to_connect_knows_whether_to_try_again(retryable: bool) -> None:
    failure = ConnectError("no trust", kind="tls", retryable=retryable)
    assert judge(failure) == retryable
    assert (at_the_bound().next(failure, 0) is not None) == retryable


@pytest.mark.parametrize("name", ["first", "ceiling", "refused_ceiling", "healthy_after"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "1", None])
def test_times_are_seconds_above_0(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"reconnect.{name}: a number of seconds above 0"):
        Reconnect(**{name: value})


@pytest.mark.parametrize("value", [-1, 1.5, True, "1"])
def test_attempts_are_counted(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"reconnect.attempts: None for no end, or a whole number from 0"):
        Reconnect(attempts=value)


def test_the_first_wait_is_not_above_the_last() -> None:
    with pytest.raises(ConfigurationError, match=r"reconnect.first: 2 s is above reconnect.ceiling, 1 s"):
        Reconnect(first=2, ceiling=1)


@pytest.mark.unmeasured
@given(
    st.lists(st.tuples(st.sampled_from([LOST, REFUSED, TIMEOUT]), st.floats(0, 100)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_no_wait_is_above_the_ceiling_and_the_row_is_what_health_says(
    failures: list[tuple[ConnectError | DisconnectedError, float]], random: Random
) -> None:
    backoff = Backoff(Reconnect(), random.random)
    row = 0
    for failure, healthy in failures:
        row = 1 if healthy >= 60 else row + 1
        wait = backoff.next(failure, healthy)
        assert wait is not None
        assert 0 <= wait <= min(0.25 * 2 ** (row - 1), 5 if failure is REFUSED else 30)
        assert backoff.failures == row


@pytest.mark.parametrize("down", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_client_is_back_within_three_seconds_of_a_server_that_was_down_for_one(down: float) -> None:
    late = [_seconds_late(down, Random(seed).random) for seed in range(2_000)]
    assert max(late) <= 2.25
    assert sum(late) / len(late) < 0.75


def _seconds_late(down: float, random: Callable[[], float]) -> float:
    """From the server's return to ours, where every attempt in between is refused at once."""
    backoff = Backoff(Reconnect(), random)
    now = backoff.next(LOST, 60) or 0.0
    while now < down:
        now += backoff.next(REFUSED, 0) or 0.0
    return now - down


def test_an_outage_of_an_hour_costs_few_attempts() -> None:
    for failure, most in ((TIMEOUT, 300), (REFUSED, 1_600)):
        backoff = Backoff(Reconnect(), Random(1).random)
        now = 0.0
        while now < 3_600:
            now += backoff.next(failure, 0) or 0.0
        assert backoff.failures < most


def test_the_jitter_of_a_feed_is_its_settings() -> None:
    draws = iter([1.0, 0.0])
    config = Reconnect(jitter=lambda: next(draws))
    backoff = Backoff(config, config.jitter)
    assert [backoff.next(LOST, 0) for _ in range(2)] == [0.25, 0]
