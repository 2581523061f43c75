"""Whether something grows: a line through what was measured, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

__all__ = ["Trend", "trend_of"]


@attrs.frozen
class Trend:
    """The slope of a line through measurements, and its standard error, both in units a second."""

    slope: float
    error: float


def trend_of(times: Sequence[float], values: Sequence[float]) -> Trend:
    """The line of least squares; with fewer than three measurements none is sure, and the error is infinite.

    The error takes the measurements for independent. Memory that was freed late lifts several in a row, so that it
    is rather too small: it tells when a run was too short, not that one was long enough.
    """
    count = len(times)
    if count < 3:
        return Trend(0.0, math.inf)
    middle, mean = sum(times) / count, sum(values) / count
    spread = sum((time - middle) ** 2 for time in times)
    if not spread:
        return Trend(0.0, math.inf)
    slope = sum((time - middle) * (value - mean) for time, value in zip(times, values, strict=True)) / spread
    rest = sum((value - mean - slope * (time - middle)) ** 2 for time, value in zip(times, values, strict=True))
    return Trend(slope, math.sqrt(rest / (count - 2) / spread))
