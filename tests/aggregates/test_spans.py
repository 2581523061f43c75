from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates import span_of
from datafye_trio.model import AssetClass, Frequency

STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
SECOND = 1_000_000_000
NEW_YORK = ZoneInfo("America/New_York")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("frequency", "start", "end"),
    [
        (Frequency.SECOND, "2024-01-02T15:04:05Z", "2024-01-02T15:04:06Z"),
        (Frequency.MINUTE, "2024-01-02T15:04:00Z", "2024-01-02T15:05:00Z"),
        (Frequency.HOUR, "2024-01-02T15:00:00Z", "2024-01-02T16:00:00Z"),
    ],
)
@pytest.mark.parametrize("asset_class", AssetClass)
def test_short_spans(frequency: Frequency, start: str, end: str, asset_class: AssetClass) -> None:
    assert span_of(ns("2024-01-02T15:04:05Z") + 999_999_999, frequency, asset_class) == (ns(start), ns(end))


def test_a_day_of_crypto_is_one_of_utc() -> None:
    span = (ns("2024-03-10T00:00:00Z"), ns("2024-03-11T00:00:00Z"))
    assert span_of(ns("2024-03-10T23:59:59Z"), Frequency.DAY, CRYPTO) == span


@pytest.mark.parametrize(
    ("time", "start", "end", "hours"),
    [
        ("2024-01-02T21:00:00Z", "2024-01-02T05:00:00Z", "2024-01-03T05:00:00Z", 24),
        ("2024-07-03T03:59:59Z", "2024-07-02T04:00:00Z", "2024-07-03T04:00:00Z", 24),
        ("2024-07-03T04:00:00Z", "2024-07-03T04:00:00Z", "2024-07-04T04:00:00Z", 24),
        ("2024-03-10T12:00:00Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z", 23),
        ("2024-11-03T05:30:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z", 25),
        ("2024-11-04T04:59:59Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z", 25),
    ],
)
def test_a_day_of_stocks_is_one_of_new_york(time: str, start: str, end: str, hours: int) -> None:
    assert span_of(ns(time), Frequency.DAY, STOCKS) == (ns(start), ns(end))
    assert ns(end) - ns(start) == hours * 3_600 * SECOND


@given(st.integers(0, 2**63 - 1), st.sampled_from(list(Frequency)), st.sampled_from(list(AssetClass)))
def test_spans_hold_their_time_and_follow_each_other_without_a_gap(
    time: int, frequency: Frequency, asset_class: AssetClass
) -> None:
    start, end = span_of(time, frequency, asset_class)
    assert start <= time < end
    assert span_of(start, frequency, asset_class) == span_of(end - 1, frequency, asset_class) == (start, end)
    assert span_of(end, frequency, asset_class)[0] == end


@given(st.integers(0, 2**32))
def test_a_new_york_day_is_the_date_on_the_wall(second: int) -> None:
    start, _ = span_of(second * SECOND, Frequency.DAY, STOCKS)
    wall = datetime.fromtimestamp(second, NEW_YORK)
    begin = datetime.fromtimestamp(start // SECOND, UTC).astimezone(NEW_YORK)
    assert (begin.date(), begin.hour, begin.minute) == (wall.date(), 0, 0)
