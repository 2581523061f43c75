"""What indicators are made of: the two means of an SMA, one line of an EMA, and the words of a crossing.

All go back one step: `undo` takes back the last push (or turn), and may not be called twice in a row. The rules that
they serve are those of `indicators`.
"""

from __future__ import annotations

from fractions import Fraction

from datafye_trio.model import Line

__all__ = ["BEARISH", "BULLISH", "NONE", "Crossing", "ExponentialLine", "Window"]

BULLISH = "BULLISH"
BEARISH = "BEARISH"
NONE = "NONE"

NOTHING = Fraction(0)


class Window:
    """The means of the last `fast` and of the last `slow` closes, exact but for one rounding; O(1) a close.

    The sums are integers in units of 2**-shift, fine enough for every close so far: nothing is lost when a close comes
    or goes. Rejected: a float sum (drifts), a compensated one (a price of 1e8 that leaves still hurts one of 1e-8),
    `math.fsum` over the window (O(slow) a close). One ring of `slow` closes serves both sums.
    """

    __slots__ = (
        "_at", "_dropped", "_fast", "_fast_before", "_fast_sum", "_ring", "_shift", "_slow", "_slow_before",
        "_slow_sum", "count",
    )  # fmt: skip

    def __init__(self, fast: int, slow: int) -> None:
        self._fast, self._slow = fast, slow
        self._ring: list[int] = []  # grows to `slow`, then goes round
        self._at = 0  # where the next close goes
        self._shift = 0
        self._fast_sum = self._slow_sum = 0
        self._fast_before = self._slow_before = self._dropped = 0
        self.count = 0  # of all closes, beyond `slow` too

    def means(self) -> tuple[float, float]:
        """Fast and slow, of at least one close; correctly rounded, as Python's division of integers is."""
        fast = self._fast_sum / (min(self.count, self._fast) << self._shift)
        return fast, self._slow_sum / (min(self.count, self._slow) << self._shift)

    def push(self, close: float) -> None:
        """Take in one close (finite), and drop those that leave the windows."""
        value = self._in_units(close)
        ring, at = self._ring, self._at
        self._fast_before, self._slow_before = self._fast_sum, self._slow_sum
        self._fast_sum += value
        if self.count >= self._fast:
            self._fast_sum -= ring[at - self._fast]  # a negative index wraps round, as the ring does
        self._slow_sum += value
        if self.count < self._slow:
            ring.append(value)
        else:
            self._dropped = ring[at]
            self._slow_sum -= self._dropped
            ring[at] = value
        self._at = at + 1 if at + 1 < self._slow else 0
        self.count += 1

    def undo(self) -> None:
        """Go back before the last push."""
        self._fast_sum, self._slow_sum = self._fast_before, self._slow_before
        self._at = (self._at or self._slow) - 1
        self.count -= 1
        if self.count < self._slow:
            self._ring.pop()
        else:
            self._ring[self._at] = self._dropped

    def _in_units(self, close: float) -> int:
        """The close in units; they are made finer first where they do not hold it (seldom after the first closes)."""
        numerator, denominator = close.as_integer_ratio()
        shift = self._shift + 1 - denominator.bit_length()  # the denominator is a power of two
        if shift >= 0:
            return numerator << shift
        self._shift -= shift
        self._fast_sum <<= -shift
        self._slow_sum <<= -shift
        self._ring = [value << -shift for value in self._ring]
        return numerator


class ExponentialLine:
    """One exponential moving average; see `indicators.EmaFold`."""

    __slots__ = ("_count_before", "_ma_before", "_sum", "_sum_before", "_weight", "count", "ma", "periods")

    def __init__(self, periods: int) -> None:
        self.periods = periods
        self._weight = 2.0 / (periods + 1)
        self.count = self._count_before = 0
        self.ma = self._ma_before = 0.0
        self._sum = self._sum_before = NOTHING  # of the values that make the seed, exact; let go of afterwards

    def push(self, value: float) -> None:
        """Take in one value."""
        self._count_before, self._ma_before, self._sum_before = self.count, self.ma, self._sum
        if self.count < self.periods:
            self.count += 1
            self._sum += Fraction(value)
            self.ma = float(self._sum / self.count)
        else:
            self._sum = NOTHING
            # Over one value it is that value, without the rounding of the sum.
            self.ma = value if self.periods == 1 else self.ma + self._weight * (value - self.ma)

    def undo(self) -> None:
        """Go back before the last push."""
        self.count, self.ma, self._sum = self._count_before, self._ma_before, self._sum_before

    def line(self) -> Line:
        """The line as it is published."""
        return Line(self.periods, self.count, self.ma)


class Crossing:
    """Says when a difference turns to the opposite of its last sign."""

    __slots__ = ("_before", "_sign")

    def __init__(self) -> None:
        self._sign = self._before = 0

    def turn(self, difference: float) -> str:
        """BULLISH, BEARISH or NONE at this difference."""
        last = self._before = self._sign
        if difference == 0.0:
            return NONE
        sign = self._sign = 1 if difference > 0.0 else -1
        if sign == last or last == 0:
            return NONE
        return BULLISH if sign > 0 else BEARISH

    def undo(self) -> None:
        """Go back before the last turn."""
        self._sign = self._before
