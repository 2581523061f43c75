"""SMA and EMA (MACD) as folds over the closes of one symbol at one frequency. No clock, no I/O.

Which bars count, for both folds:

- Each final bar that has a close gives one value, from the first bar on; its `timestamp` is the bar's start, its
  `price` the close. A bar without a close (odd lots alone, say) has no value and leaves the lines as they are.
- A running bar, or one that does not begin after the newest (a late trade made it in a span that had none), changes
  nothing and has no value: values that were sent stand.
- `correct` takes in the correction of the newest bar. Corrections of older bars change nothing.

Lines: `count` is how many values a line holds so far, at most `periods`. A line is full when the two are equal; before,
its `ma` is the plain mean of what it holds.

Crossovers: one curve crosses another at the bar where the sign of their difference turns to the opposite of its last
sign that was not zero: BULLISH to positive, BEARISH to negative, NONE at all other bars. So to touch and go back is no
crossing; to touch and go on is one, at the bar that goes on. Only full lines count, and the first sign that they show
is no crossing. Equal means a difference of exactly 0.0. An epsilon was rejected: it would have to know each symbol's
tick and price, and it would hide true crossings of calm symbols. None is needed where prices stand still, because all
plain means are rounded once, from exact sums: on a flat price all lines are that price to the last digit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from datafye_trio.aggregates.lines import NONE, Crossing, ExponentialLine, Window
from datafye_trio.aggregates.settings import EmaPeriods, SmaPeriods
from datafye_trio.errors import EventError
from datafye_trio.model import Bar, Ema, Line, Sma

__all__ = ["EmaFold", "SmaFold"]

BEFORE_ALL = -(1 << 63)
"""A start before that of any bar."""

Value = TypeVar("Value", Sma, Ema)


class _Fold(ABC, Generic[Value]):
    """Which bars count, and the one step back that a correction needs."""

    __slots__ = ("_counted", "_newest")

    def __init__(self) -> None:
        self._newest = BEFORE_ALL
        self._counted = False  # whether the newest bar had a close

    def add(self, bar: Bar) -> Value | None:
        """The value after `bar`; None where it has none (see the module).

        Raises:
            EventError: the close is a NaN or an infinity. The fold is as it was.
        """
        if bar.start <= self._newest or not bar.final:
            return None
        close = _close_of(bar)
        self._newest = bar.start
        self._counted = close is not None
        if close is None:
            return None
        self._push(close)
        return self._value(bar, close)

    def correct(self, bar: Bar) -> None:
        """Go on as if the newest bar's close had been this one from the start. Nothing is sent again.

        A close may also appear where there was none, or go: the bar then counts, or does not, from here on. The next
        crossover is judged against the corrected bar, so that a word already sent may be sent once more.

        Raises:
            EventError: the close is a NaN or an infinity. The fold is as it was.
        """
        if bar.start != self._newest or not bar.final:
            return
        close = _close_of(bar)
        if self._counted:
            self._undo()
        self._counted = close is not None
        if close is not None:
            self._push(close)

    @abstractmethod
    def _push(self, close: float) -> None:
        """Take in one close."""

    @abstractmethod
    def _undo(self) -> None:
        """Go back before the last push. Never called twice without a push between."""

    @abstractmethod
    def _value(self, bar: Bar, close: float) -> Value:
        """The event after the last push."""


class SmaFold(_Fold[Sma]):
    """Simple moving averages: the means of the last `fast` and of the last `slow` closes.

    `macd` is fast minus slow; `crossover` says where the fast line goes through the slow one. The means are correctly
    rounded: they depend on the closes of their window alone, not on how many bars came before.
    """

    __slots__ = ("_crossing", "_fast", "_fast_ma", "_slow", "_slow_ma", "_window", "_word")

    def __init__(self, periods: SmaPeriods) -> None:
        super().__init__()
        self._fast, self._slow = periods.fast, periods.slow
        self._window = Window(periods.fast, periods.slow)
        self._fast_ma = self._slow_ma = 0.0
        self._crossing = Crossing()
        self._word = NONE

    def _push(self, close: float) -> None:
        window = self._window
        window.push(close)
        self._fast_ma, self._slow_ma = window.means()
        full = window.count >= self._slow
        self._word = self._crossing.turn(self._fast_ma - self._slow_ma) if full else NONE

    def _undo(self) -> None:
        if self._window.count >= self._slow:
            self._crossing.undo()
        self._window.undo()

    def _value(self, bar: Bar, close: float) -> Sma:
        count = self._window.count
        return Sma(
            bar.symbol,
            bar.frequency,
            bar.start,
            close,
            Line(self._slow, min(count, self._slow), self._slow_ma),
            Line(self._fast, min(count, self._fast), self._fast_ma),
            self._fast_ma - self._slow_ma,
            self._word,
        )


class EmaFold(_Fold[Ema]):
    """Exponential moving averages and MACD.

    A line's seed is the plain mean of its first `periods` closes, as in talipp; afterwards
    `ma += 2 / (periods + 1) * (close - ma)`. `macd` is fast minus slow. The signal line is the same over macd, from the
    first macd whose slow line is full; until then its count is 0 and its `ma` 0.0.

    - `crossover`: the fast line through the slow one.
    - `zero_crossover`: macd through zero; the same event as `crossover`, kept because Datafye has the field.
    - `signal_crossover`: macd through the signal line, once that is full.
    - `zero_line_crossover`: the signal line through zero, once it is full.
    - `last_zero_line_crossover`: the latest `zero_line_crossover` that was not NONE, this bar's included; NONE before.
    """

    __slots__ = (
        "_crossing", "_fast", "_last", "_last_before", "_signal", "_signal_crossing", "_signal_word", "_slow", "_word",
        "_zero_line_crossing", "_zero_line_word",
    )  # fmt: skip

    def __init__(self, periods: EmaPeriods) -> None:
        super().__init__()
        self._fast = ExponentialLine(periods.fast)
        self._slow = ExponentialLine(periods.slow)
        self._signal = ExponentialLine(periods.signal)
        self._crossing, self._signal_crossing, self._zero_line_crossing = Crossing(), Crossing(), Crossing()
        self._word = self._signal_word = self._zero_line_word = NONE
        self._last = self._last_before = NONE

    def _push(self, close: float) -> None:
        fast, slow, signal = self._fast, self._slow, self._signal
        self._last_before = self._last
        self._word = self._signal_word = self._zero_line_word = NONE
        fast.push(close)
        slow.push(close)
        if slow.count < slow.periods:
            return
        macd = fast.ma - slow.ma
        self._word = self._crossing.turn(macd)
        signal.push(macd)
        if signal.count < signal.periods:
            return
        self._signal_word = self._signal_crossing.turn(macd - signal.ma)
        self._zero_line_word = self._zero_line_crossing.turn(signal.ma)
        if self._zero_line_word != NONE:
            self._last = self._zero_line_word

    def _undo(self) -> None:
        self._last = self._last_before
        if self._slow.count == self._slow.periods:
            self._crossing.undo()
            if self._signal.count == self._signal.periods:
                self._signal_crossing.undo()
                self._zero_line_crossing.undo()
            self._signal.undo()
        self._slow.undo()
        self._fast.undo()

    def _value(self, bar: Bar, close: float) -> Ema:
        return Ema(
            bar.symbol,
            bar.frequency,
            bar.start,
            close,
            self._slow.line(),
            self._fast.line(),
            self._fast.ma - self._slow.ma,
            self._word,
            self._signal.line(),
            self._word,
            self._signal_word,
            self._zero_line_word,
            self._last,
        )


def _close_of(bar: Bar) -> float | None:
    """The bar's close.

    Raises:
        EventError: it is a NaN or an infinity, which would stay in an EMA for ever.
    """
    close = bar.close
    if close is not None and not math.isfinite(close):
        raise EventError(f"the close of {bar.symbol}'s {bar.frequency} bar at {bar.start} is {close}; give a number")
    return close
