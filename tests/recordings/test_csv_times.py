"""Times of tick files in every unit, exact to the nanosecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.recordings.csv_times import TIME_UNITS

LAST = 2**63 - 1


@pytest.mark.parametrize(
    ("unit", "text", "time"),
    [
        ("ns", "1723161255342000001", 1_723_161_255_342_000_001),
        ("us", "1723161255342000", 1_723_161_255_342_000_000),
        ("us", "1723161255342000.001", 1_723_161_255_342_000_001),
        ("ms", "1723161255342", 1_723_161_255_342_000_000),
        ("ms", "1723161255342.", 1_723_161_255_342_000_000),
        ("s", "1626992741.06217", 1_626_992_741_062_170_000),
        ("s", "0", 0),
        ("iso", "2024-08-08T23:54:15.342000001Z", 1_723_161_255_342_000_001),
        ("iso", "2024-08-08 23:54:15,5+00:00", 1_723_161_255_500_000_000),
        ("iso", "2024-08-08T19:54:15", 1_723_161_255_000_000_000),  # New York
        ("iso", "2024-08-08T23:54Z", 1_723_161_240_000_000_000),
    ],
)
def test_a_time(unit: str, text: str, time: int) -> None:
    assert TIME_UNITS[unit](text) == time


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("ns", "1.5"), ("ns", ""), ("ns", "-1"), ("ns", str(LAST + 1)), ("ns", "١٢"),
        ("us", "1.0001"), ("us", "1e3"), ("us", ".5"), ("us", ""), ("us", "1_0"), ("us", "1.+1"),
        ("ms", "1.1234567"), ("ms", " 1"), ("ms", "9" * 19), ("s", "1.1234567890"), ("s", "nan"), ("s", "9" * 20),
        ("iso", "yesterday"), ("iso", "1969-12-31T23:59:59Z"), ("iso", "2024-13-01T00:00:00Z"), ("iso", ""),
        ("iso", "2024-08-08T23:54:15.1234567890Z"), ("iso", "2024-08-08T23:54:15 Z"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(unit: str, text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        TIME_UNITS[unit](text)


@given(st.integers(0, LAST), st.sampled_from([("us", 3), ("ms", 6), ("s", 9)]))
def test_no_digit_is_lost(time: int, unit: tuple[str, int]) -> None:
    name, digits = unit
    whole, fraction = divmod(time, 10**digits)
    assert TIME_UNITS[name](f"{whole}.{fraction:0{digits}}") == time


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2261, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
    st.integers(0, 999),
)
def test_iso_is_what_the_library_says(moment: datetime, minutes: int, extra: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    time = ((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1_000 + extra
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}{extra:03}{zoned:%z}"
    assert TIME_UNITS["iso"](text) == time
