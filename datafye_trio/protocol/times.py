"""Points in time as texts: ISO 8601 in, to the nanosecond, and out. Never through a float, so no digit is lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["NEW_YORK", "format_time", "parse_time"]

NEW_YORK: Final = ZoneInfo("America/New_York")
"""What a time without an offset is meant in, whatever the asset class (protocol.md section 2)."""

_NS: Final = 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS: Final = range(1678, 2262)
"""The whole years whose nanoseconds fit 64 bits."""
# [0-9] and not \d, which takes the digits of every script.
_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:T(?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:(?<=:[0-9]{2}:[0-9]{2})[.,](?P<fraction>[0-9]{1,9}))?"
    r"(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2}))?)?"
)


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 UTC of `2024-08-08T23:55:00Z` and the like, exact to the last digit.

    Taken are a date (its midnight), or a date, `T`, hours and minutes, then as wanted seconds, up to nine digits after
    the point, and `Z` or an offset (`+02:00`, `+0200`). Without an offset the time is New York's. There, an hour that
    occurs twice (clocks go back) is taken as the first of the two; a time that is skipped (clocks go forward) as if
    the clocks had not been changed yet, so 02:30 is the moment that is called 03:30.

    Raises:
        ValueError: it is no such time; the text says what to write.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is no time: write ISO 8601 such as 2024-08-08T23:55:00Z, with Z or an offset such as "
            "-04:00 or, for New York, without"
        )
    zone = _zone(text, found)
    try:
        # From its parts: what fromisoformat takes differs between versions of Python (24:00, say).
        parts = [int(part) for part in re.split("[-:]", f"{found['date']}-{found['clock'] or '00:00'}")]
        moment = datetime(*parts, tzinfo=zone)  # type: ignore[misc,arg-type]  # at most six parts, by the pattern
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: {error}") from None
    if moment.year not in _YEARS:
        raise ValueError(f"{text!r} is out of reach: write a year from {_YEARS.start} to {_YEARS.stop - 1}")
    since = moment.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * _NS + int((found["fraction"] or "").ljust(9, "0"))


def format_time(ns: int) -> str:
    """Nanoseconds since 1970 as UTC with nine digits: `2024-08-08T23:55:00.000000000Z`; `parse_time` reads it back.

    Raises:
        OverflowError: the year is not between 1 and 9999.
    """
    seconds, fraction = divmod(ns, _NS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _zone(text: str, found: re.Match[str]) -> ZoneInfo | timezone:
    if found["utc"]:
        return UTC
    if not found["sign"]:
        return NEW_YORK
    hours, minutes = int(found["hours"]), int(found["minutes"])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text!r} is no time: an offset is between -23:59 and +23:59")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if found["sign"] == "+" else -offset)
