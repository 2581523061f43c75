"""Where bars begin and end: half-open spans `[start, end)` on the exchange's time.

Seconds, minutes and hours are the same everywhere, since every zone in question is whole hours from UTC. A day is a UTC
day for crypto, which never closes, and a New York calendar day for stocks: 23 or 25 hours long when the clocks change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from datafye_trio.model import AssetClass, Frequency

__all__ = ["span_of"]

_SECOND: Final = 1_000_000_000
_HOUR: Final = 3_600 * _SECOND
_DAY: Final = 24 * _HOUR
_LENGTHS: Final = {Frequency.SECOND: _SECOND, Frequency.MINUTE: 60 * _SECOND, Frequency.HOUR: _HOUR}
_NEW_YORK: Final = ZoneInfo("America/New_York")


def span_of(time_ns: int, frequency: Frequency, asset_class: AssetClass) -> tuple[int, int]:
    """The span that holds a time: its first nanosecond, and the first one after it."""
    if frequency is Frequency.DAY:
        if asset_class is AssetClass.STOCKS:
            return _new_york_day(time_ns // _HOUR)
        length = _DAY
    else:
        length = _LENGTHS[frequency]
    start = time_ns - time_ns % length
    return start, start + length


# The day begins on a full hour of UTC, so one answer serves all times of an hour.
@lru_cache(maxsize=4_096)
def _new_york_day(hour: int) -> tuple[int, int]:
    midnight = datetime.fromtimestamp(hour * 3_600, _NEW_YORK).replace(hour=0, minute=0, second=0)
    # A day more on the wall, not 24 hours more: timedelta on an aware datetime moves its wall clock.
    return _nanoseconds(midnight), _nanoseconds(midnight + timedelta(days=1))


def _nanoseconds(time: datetime) -> int:
    return int(time.timestamp()) * _SECOND
