"""Times as texts: a table, days on which clocks change, and both directions against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.protocol.times import format_time, parse_time

S = 10**9
NOON = 1_723_118_400 * S  # 2024-08-08T12:00:00Z


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-08-08T12:00:00Z", NOON),
        ("2024-08-08T12:00Z", NOON),
        ("2024-08-08T14:00:00+02:00", NOON),
        ("2024-08-08T14:00:00+0200", NOON),
        ("2024-08-08T05:30:00-06:30", NOON),
        ("2024-08-09T11:59:00+23:59", NOON),
        ("2024-08-08T08:00:00", NOON),
        ("2024-08-08", NOON - 8 * 3600 * S),
        ("2024-08-08T12:00:00.1Z", NOON + S // 10),
        ("2024-08-08T12:00:00,1Z", NOON + S // 10),
        ("2024-08-08T12:00:00.123456789Z", NOON + 123_456_789),
        ("2024-08-08T08:00:00.000000001", NOON + 1),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2025-01-02T09:30:00", 1_735_828_200 * S),  # in winter New York is five hours behind
        ("2024-02-29T00:00Z", 1_709_164_800 * S),
        ("2261-12-31T23:59:59.999999999Z", 9_214_646_400 * S - 1),
    ],
)
def test_good_times(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write ISO 8601"),
        ("now", "write ISO 8601"),
        ("1723118400000000000", "write ISO 8601"),
        ("2024-08-08 12:00:00Z", "write ISO 8601"),
        ("2024-08-08T12:00:00 02:00", "write ISO 8601"),  # a plus that a URL's query has turned into a space
        ("2024-08-08T12", "write ISO 8601"),
        ("2024-08-08T12Z", "write ISO 8601"),
        ("2024-08-08Z", "write ISO 8601"),
        ("2024-08-08T12:00.5Z", "write ISO 8601"),
        ("2024-08-08T12:00:00.Z", "write ISO 8601"),
        ("2024-08-08T12:00:00.1234567890Z", "write ISO 8601"),
        ("2024-08-08T12:00:00z", "write ISO 8601"),
        ("2024-08-08T12:00:00+2", "write ISO 8601"),
        ("2024-08-08T12:00:00Z\n", "write ISO 8601"),
        (" 2024-08-08T12:00:00Z", "write ISO 8601"),
        ("20240808T120000Z", "write ISO 8601"),
        ("24-08-08T12:00:00Z", "write ISO 8601"),
        ("2024-W32-4", "write ISO 8601"),
        ("٢٠٢٤-08-08T12:00:00Z", "write ISO 8601"),
        ("2024-13-08T12:00:00Z", "month must be in 1..12"),
        ("2023-02-29T12:00:00Z", "day .*range"),
        ("2024-08-08T24:00:00Z", "hour must be in 0..23"),
        ("2024-08-08T12:60:00Z", "minute must be in 0..59"),
        ("2016-12-31T23:59:60Z", "second must be in 0..59"),
        ("2024-08-08T12:00:00+24:00", "an offset is between"),
        ("2024-08-08T12:00:00+02:60", "an offset is between"),
        ("0001-01-01T00:00:00+23:00", "out of reach: write a year from 1678 to 2261"),
        ("9999-12-31T23:00:00", "out of reach"),
        ("1677-12-31T23:00:00Z", "out of reach"),
        ("2262-01-01", "out of reach"),
    ],
)
def test_bad_times_are_told_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_time(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_an_hour_that_occurs_twice_is_the_first() -> None:
    assert parse_time("2024-11-03T01:30:00") == parse_time("2024-11-03T01:30:00-04:00")
    assert parse_time("2024-11-03T02:00:00") == parse_time("2024-11-03T02:00:00-05:00")


def test_a_time_that_is_skipped_goes_by_the_clock_before() -> None:
    assert parse_time("2024-03-10T02:30:00") == parse_time("2024-03-10T02:30:00-05:00")
    assert parse_time("2024-03-10T02:30:00") == parse_time("2024-03-10T03:30:00")


def test_days_in_new_york_are_as_long_as_they_are() -> None:
    hours = [
        (parse_time(f"2024-{after}") - parse_time(f"2024-{day}")) / (3600 * S)
        for day, after in (("03-10", "03-11"), ("11-03", "11-04"), ("08-08", "08-09"))
    ]
    assert hours == [23, 25, 24]


def test_a_time_is_written_in_utc_with_all_digits() -> None:
    assert format_time(NOON) == "2024-08-08T12:00:00.000000000Z"
    assert format_time(NOON + 1_000_000_042) == "2024-08-08T12:00:01.000000042Z"
    assert format_time(-1) == "1969-12-31T23:59:59.999999999Z"


@given(st.integers(-9_000 * 10**15, 9_000 * 10**15))
def test_what_is_written_is_read_back(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), st.integers(-1439, 1439))
def test_it_agrees_with_the_standard_library(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = moment.isoformat() if minutes else moment.isoformat().removesuffix("+00:00") + "Z"
    assert parse_time(text) == whole * 1_000
    assert datetime.fromisoformat(format_time(whole * 1_000)) == moment
