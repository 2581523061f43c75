"""Statistics over the last so many values, or over those of the last so many seconds, that do not drift.

Sums are kept exactly, as integers in units of the smallest float (2**-1074), so that a value that leaves takes away
what it brought, whatever came between, and every result is the exact one, rounded once. Rejected: sums of floats, and
Welford's recurrence with its reverse step, whose errors pile up from day to day, and which lose small values beside
great ones (1e15 and 0.1) for good; adding up the window at each question, which costs its length.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from datafye_trio.errors import ConfigurationError

__all__ = ["Rolling"]

_SHIFT: Final = 1_074
"""Every finite float is a whole number of times 2**-1074."""


class Rolling:
    """The values that count now: `Rolling(count=20)` is the last 20, `Rolling(seconds=60)` those of the last minute.

    A window of seconds holds what is younger than that: `newest time - seconds < time <= newest time`. Its size is not
    bounded but by what comes in that time. To add costs the same however long the window is (amortised), and so does
    each question.

    Args:
        count: how many values, at least 1.
        seconds: how much time, above 0.

    Raises:
        ConfigurationError: neither or both are given, or make no sense.
    """

    def __init__(self, *, count: int | None = None, seconds: float | None = None) -> None:
        if (count is None) == (seconds is None):
            raise ConfigurationError("Rolling: give either count=20 or seconds=60")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise ConfigurationError(f"count: a whole number of at least 1, not {count!r}")
        if seconds is not None and not (math.isfinite(seconds) and round(seconds * 1e9) > 0):
            raise ConfigurationError(f"seconds: above 0, not {seconds!r}")
        self._most = count
        self._span = None if seconds is None else round(seconds * 1e9)
        self._values: deque[tuple[int, float]] = deque()
        self._lows: deque[tuple[int, float]] = deque()
        self._highs: deque[tuple[int, float]] = deque()
        """Each value by its number, that may yet become the least (greatest): no later one is less (greater)."""
        self._first = 0
        """The number of the oldest value that counts; they are numbered from 0."""
        self._sum = self._squares = 0
        """In units of 2**-1074 and 2**-2148."""
        self._began: int | None = None
        self._now = 0

    def add(self, time_ns: int, value: float) -> None:
        """Take in a value, and let go of those that are too old by now.

        Args:
            time_ns: when it was, in nanoseconds. A value that comes late counts as of the newest time so far.
            value: finite.

        Raises:
            ValueError: a NaN or an infinity. Nothing has changed.
        """
        if not math.isfinite(value):
            raise ValueError(f"a rolling window takes numbers, not {value!r}: leave it out")
        self._now = time_ns if self._began is None else max(self._now, time_ns)
        if self._began is None:
            self._began = time_ns
        number = self._first + len(self._values)
        self._values.append((self._now, value))
        units = _units(value)
        self._sum += units
        self._squares += units * units
        while self._lows and self._lows[-1][1] >= value:
            self._lows.pop()
        self._lows.append((number, value))
        while self._highs and self._highs[-1][1] <= value:
            self._highs.pop()
        self._highs.append((number, value))
        self._forget()

    def advance(self, time_ns: int) -> None:
        """Let time pass without a value: those of a window of seconds that are too old go. Earlier times do nothing."""
        if self._began is not None:
            self._now = max(self._now, time_ns)
            self._forget()

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self._values)

    @property
    def full(self) -> bool:
        """Whether `count` values are there; of seconds, whether so many have passed since the first value ever."""
        if self._most is not None:
            return len(self._values) == self._most
        return self._span is not None and self._began is not None and self._now - self._began >= self._span

    @property
    def sum(self) -> float:
        """The sum, rounded once; 0.0 of no values.

        Raises:
            OverflowError: it is no float any more.
        """
        return self._sum / (1 << _SHIFT)

    @property
    def mean(self) -> float:
        """The arithmetic mean, rounded once.

        Raises:
            ValueError: there are no values.
        """
        self._need(1)
        return self._sum / (len(self._values) << _SHIFT)

    @property
    def std(self) -> float:
        """The sample standard deviation, as `statistics.stdev` has it, rounded once.

        It is the root of `sum((x - mean)**2) / (n - 1)` (Bessel's correction), here from the exact sums as
        `(n * sum(x**2) - sum(x)**2) / (n * (n - 1))`: the textbook formula that is useless in floats, since it takes
        almost equal numbers from each other, and sound in integers.

        Raises:
            ValueError: there are fewer than two values.
        """
        self._need(2)
        n = len(self._values)
        # Both in units of 2**-2148, so the root is in units of 2**-1074.
        return _root(n * self._squares - self._sum * self._sum, n * (n - 1) << 2 * _SHIFT)

    @property
    def min(self) -> float:
        """The least value.

        Raises:
            ValueError: there are no values.
        """
        self._need(1)
        return self._lows[0][1]

    @property
    def max(self) -> float:
        """The greatest value.

        Raises:
            ValueError: there are no values.
        """
        self._need(1)
        return self._highs[0][1]

    def _need(self, least: int) -> None:
        if len(self._values) < least:
            raise ValueError(f"{len(self._values)} values in the window, and {least} are needed: look at `count` first")

    def _forget(self) -> None:
        values = self._values
        while values and (
            len(values) > self._most if self._most is not None else self._now - values[0][0] >= (self._span or 0)
        ):
            units = _units(values.popleft()[1])
            self._sum -= units
            self._squares -= units * units
            self._first += 1
        for extremes in (self._lows, self._highs):
            while extremes and extremes[0][0] < self._first:
                extremes.popleft()


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_SHIFT + 1 - denominator.bit_length())  # the denominator is a power of two


def _root(numerator: int, denominator: int) -> float:
    """The root of a fraction that is not negative, rounded once.

    The root of a large whole number is taken, of which at least 64 bits are exact; the last bit says whether anything
    is left beyond, so that the one rounding, to a float, is right.
    """
    if numerator == 0:
        return 0.0
    shift = max(0, (128 - numerator.bit_length() + denominator.bit_length() + 1) // 2)
    whole, rest = divmod(numerator << 2 * shift, denominator)
    root = math.isqrt(whole)
    return (root | (rest > 0 or root * root != whole)) / (1 << shift)
