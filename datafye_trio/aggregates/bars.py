"""Bars of all frequencies from one pass over the trades of one dataset.

Each trade goes into the bar of the lowest frequency; when that is finished it is merged into the next one's, so that
a minute is the fold of its seconds, and a trade costs one update however many frequencies there are. The feed's clock
is the time of its newest trade, whichever symbol it is of: a span is over once the clock has reached its end, for all
symbols at once. Open bars of one frequency are thus always of one span, the one that the clock is in.

A trade behind the clock whose bar is finished corrects it: the bar comes once more with a `revision`, or for the first
time where the span had none. Open and close go by the order in which the trades came in, in corrected bars too.

A single time far ahead, by somebody's mistake, makes every trade after it too late. Where nothing but such trades
comes, it is the clock that is wrong: market time begins anew. Trades far ahead are not held back until others confirm
them, since on a thin feed the next trade, and with it the bar, may be hours away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from datafye_trio.aggregates.accumulator import Accumulator
from datafye_trio.aggregates.settings import Aggregation, Updates
from datafye_trio.aggregates.spans import span_of
from datafye_trio.model import AssetClass, Bar, Frequency, Trade

__all__ = ["Aggregator", "fold_trades"]

_BEFORE_ALL: Final = -(2**63)
_TURNED_BACK: Final = 100
"""So many trades in a row that are too late mean that market time has gone back. They are counted, and in no bar."""


class _Level:
    """The bars of one frequency: those of the current span, and finished ones that may still be corrected."""

    __slots__ = ("_expiry", "end", "finished", "frequency", "open", "start")

    def __init__(self, frequency: Frequency) -> None:
        self.frequency = frequency
        self.start = self.end = _BEFORE_ALL
        self.open: dict[str, Accumulator] = {}
        self.finished: dict[int, dict[str, Accumulator]] = {}
        """By start of the span, then by symbol."""
        self._expiry: deque[tuple[int, int]] = deque()

    def at(self, symbol: str) -> Accumulator:
        """The open bar of a symbol."""
        if (found := self.open.get(symbol)) is None:
            found = self.open[symbol] = Accumulator(self.start, self.end)
        return found

    def close(self) -> dict[str, Accumulator]:
        """Hand over the open bars, and keep them for corrections."""
        closed, self.open = self.open, {}
        if closed:
            self.span(self.start, self.end).update(closed)
        return closed

    def span(self, start: int, end: int) -> dict[str, Accumulator]:
        """The finished bars of a span, to look into and to add to."""
        if (found := self.finished.get(start)) is None:
            found = self.finished[start] = {}
            self._expiry.append((start, end))
        return found

    def forget(self, horizon: float) -> None:
        """Let go of bars whose span ended before a time: no trade that is not too late belongs to them."""
        while self._expiry and self._expiry[0][1] <= horizon:
            del self.finished[self._expiry.popleft()[0]]


class Aggregator:
    """The bars of one dataset. All calls are sync and never raise."""

    def __init__(self, aggregation: Aggregation, asset_class: AssetClass) -> None:
        self._rule = aggregation.rule
        self._lateness = aggregation.lateness * 1e9
        self._asset_class = asset_class
        self._frequencies = aggregation.all_frequencies()
        self._order = 0
        self.late = 0
        """Trades that came too late for their bars, and are in none."""
        self.beginnings = 0
        """How often market time was found to begin anew."""
        self.reset()

    def reset(self) -> None:
        """Forget every bar and the clock: market time begins anew."""
        self.clock = _BEFORE_ALL
        self._late_in_a_row = 0
        self._levels = [_Level(frequency) for frequency in self._frequencies]

    @property
    def next_end(self) -> int | None:
        """When the first of the bars under way will be over, None if there are none."""
        return min((level.end for level in self._levels if level.open), default=None)

    def add(self, trade: Trade) -> list[Bar]:
        """Take in a trade; returns the bars that it finishes, lower frequencies first, and those that it corrects."""
        self._order += 1
        time = trade.exchange_timestamp
        if time > self.clock:
            self.clock = time
        base = self._levels[0]
        finished = self._finish(time) if time >= base.end else []
        updates = self._rule(trade)
        if updates is not Updates.NOTHING:
            if time >= base.start:
                self._late_in_a_row = 0
                base.at(trade.symbol).add(self._order, trade.price, trade.size, updates)
            else:
                finished += self._correct(trade, updates)
        return finished

    def close_until(self, time: int) -> list[Bar]:
        """Finish the bars whose span is over at a time, on behalf of a feed that is silent. The clock stays."""
        return self._finish(time) if time >= self._levels[0].end else []

    def finish(self) -> list[Bar]:
        """The data ends: finish every bar as far as it goes, then `reset`."""
        bars = [bar for place in range(len(self._levels)) for bar in self._close(place)]
        self.reset()
        return bars

    def running(self, symbol: str, frequency: Frequency) -> Bar | None:
        """The bar under way, None if there is none. Its `final` is False."""
        found: Accumulator | None = None
        for level in self._levels[self._frequencies.index(frequency) :: -1]:
            if found is None:
                found = Accumulator(level.start, level.end)
            if (part := level.open.get(symbol)) is not None:
                found.merge(part)
        return found.bar(symbol, frequency, final=False) if found is not None and found.count else None

    def _finish(self, time: int) -> list[Bar]:
        """Close every frequency whose span is over at a time, and move it to the span of that time."""
        bars: list[Bar] = []
        horizon = self.clock - self._lateness
        for place, level in enumerate(self._levels):
            if time < level.end:
                break  # spans nest: those above end no sooner
            bars += self._close(place)
            level.forget(horizon)
            level.start, level.end = span_of(time, level.frequency, self._asset_class)
        return bars

    def _close(self, place: int) -> list[Bar]:
        level = self._levels[place]
        above = self._levels[place + 1] if place + 1 < len(self._levels) else None
        closed = level.close()
        if above is not None:
            for symbol, found in closed.items():
                above.at(symbol).merge(found)
        return [found.bar(symbol, level.frequency) for symbol, found in closed.items()]

    def _correct(self, trade: Trade, updates: Updates) -> list[Bar]:
        """A trade behind the current span of the lowest frequency: into what is open, and into what was finished."""
        time, symbol = trade.exchange_timestamp, trade.symbol
        if time < self.clock - self._lateness:
            return self._count_late()
        self._late_in_a_row = 0
        bars = []
        for level in self._levels:
            if time >= level.start:
                # The first one that is open; when it is finished, those above get the trade with it.
                level.at(symbol).add(self._order, trade.price, trade.size, updates)
                break
            start, end = span_of(time, level.frequency, self._asset_class)
            finished = level.span(start, end)
            if (found := finished.get(symbol)) is None:
                found = finished[symbol] = Accumulator(start, end)
            else:
                found.revision = (found.revision or 0) + 1
            found.add(self._order, trade.price, trade.size, updates)
            bars.append(found.bar(symbol, level.frequency))
        return bars

    def _count_late(self) -> list[Bar]:
        self.late += 1
        self._late_in_a_row += 1
        if self._late_in_a_row < _TURNED_BACK:
            return []
        self.beginnings += 1
        return self.finish()


def fold_trades(trades: Iterable[Trade], aggregation: Aggregation, asset_class: AssetClass) -> Iterator[Bar]:
    """The bars of a sequence of trades in the order they came in, those of the last spans included.

    Bars come as soon as they are finished, lower frequencies first; memory is bounded by symbols and lateness.
    """
    aggregator = Aggregator(aggregation, asset_class)
    for trade in trades:
        yield from aggregator.add(trade)
    yield from aggregator.finish()
