"""One span of one symbol, while its trades come in: the fold behind every bar.

Sums are exact, so that no order and no grouping of the additions can be seen in a bar: prices and sizes are the
decimals that their floats stand for (the shortest that read back the same), counted in hundred-millionths as Python's
unbounded integers, and as fractions where eight decimals do not do. Floats were rejected: 0.1 + 0.2 is no volume that
an exchange would publish, and a minute would differ in its last digit from the sum of its seconds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, TypeAlias

from datafye_trio.aggregates.settings import Updates
from datafye_trio.model import Bar, Frequency

__all__ = ["Accumulator", "Exact", "exact"]

Exact: TypeAlias = int | Fraction
"""A number in hundred-millionths."""

_UNITS: Final = 10**8
_LARGEST: Final = 1e7
"""Below it, a number with eight decimals has at most 15 digits."""
_EVERYTHING: Final = Updates.EVERYTHING
_NEVER: Final = 2**63
_LARGEST_INTEGER: Final = 2**63 * _UNITS
"""Beyond it no integer fits the wire, and a volume is a float: nobody trades so much, but a feed may say so."""


def exact(value: float) -> Exact:
    """The decimal that a finite number is printed as, in hundred-millionths. An integer for up to eight decimals."""
    if type(value) is int:
        return value * _UNITS
    # Two decimals of up to 15 digits are never one float: if this one reads back as the value, it is the one.
    if -_LARGEST < value < _LARGEST and (units := round(value * 1e8)) / 1e8 == value:
        return units
    return Fraction(repr(value)) * _UNITS


class Accumulator:
    """What is known of a span `[start, end)` so far.

    Parts of a span merge in any order and grouping: what comes first and last is told by the order in which the
    trades came in, which `add` is given, not by the order of the calls.
    """

    __slots__ = (
        "_close", "_close_order", "_high", "_low", "_notional", "_open", "_open_order", "_volume", "_whole",
        "count", "end", "revision", "start",
    )  # fmt: skip

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.count = 0
        self.revision: int | None = None
        self._open: float | None = None
        self._high: float | None = None
        self._low: float | None = None
        self._close: float | None = None
        self._open_order = _NEVER
        self._close_order = -1
        self._volume: Exact = 0
        self._notional: Exact = 0
        self._whole = True

    def add(self, order: int, price: float, size: float, updates: Updates) -> None:
        """Take in a trade. `order` rises from one trade of the feed to the next."""
        self.count += 1
        every = updates is _EVERYTHING
        if every or Updates.VOLUME in updates:
            volume = exact(size)
            self._volume += volume
            self._notional += volume * exact(price)
            if type(size) is not int:
                self._whole = False
        if every or Updates.HIGH_LOW in updates:
            if self._high is None or price > self._high:
                self._high = price
            if self._low is None or price < self._low:
                self._low = price
        if every or Updates.OPEN_CLOSE in updates:
            if order < self._open_order:
                self._open, self._open_order = price, order
            if order > self._close_order:
                self._close, self._close_order = price, order

    def merge(self, part: Accumulator) -> None:
        """Take in all that another accumulator holds; its span is the same or lies within."""
        self.count += part.count
        self._volume += part._volume
        self._notional += part._notional
        self._whole &= part._whole
        if part._high is not None and (self._high is None or part._high > self._high):
            self._high = part._high
        if part._low is not None and (self._low is None or part._low < self._low):
            self._low = part._low
        if part._open_order < self._open_order:
            self._open, self._open_order = part._open, part._open_order
        if part._close_order > self._close_order:
            self._close, self._close_order = part._close, part._close_order

    def add_bar(self, order: int, bar: Bar) -> None:
        """Take in a bar; its span is the same or lies within. `order` rises from one bar (or trade) to the next.

        All is exact but the turnover, which is that of the bar's own `vwap`, a rounded number; without one it is none.
        """
        part = Accumulator(self.start, self.end)
        part.count = bar.count
        part._volume = exact(bar.volume)
        part._notional = part._volume * exact(bar.vwap) if bar.vwap is not None else 0
        part._whole = type(bar.volume) is int
        part._high, part._low = bar.high, bar.low
        if bar.open is not None:
            part._open, part._open_order = bar.open, order
        if bar.close is not None:
            part._close, part._close_order = bar.close, order
        self.merge(part)

    def bar(self, symbol: str, frequency: Frequency, *, final: bool = True) -> Bar:
        """The bar as it stands."""
        volume = self._volume
        return Bar(
            symbol,
            str(frequency),  # in C; `value` is a property in Python, and takes as long as the rest of the bar
            self.start,
            self._open,
            self._high,
            self._low,
            self._close,
            # Divisions of integers and of fractions are rounded once, to the nearest float.
            int(volume // _UNITS) if self._whole and volume < _LARGEST_INTEGER else float(volume / _UNITS),
            self.count,
            float(self._notional / (volume * _UNITS)) if volume else None,
            final,
            self.revision,
        )
