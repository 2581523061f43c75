"""All that follows from the trades of one dataset: its bars, and the indicators over their closes, in one stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from datafye_trio.aggregates.bars import Aggregator
from datafye_trio.aggregates.indicators import EmaFold, SmaFold
from datafye_trio.aggregates.settings import Aggregation
from datafye_trio.model import AssetClass, Bar, Channel, Ema, Frequency, Sma, Trade

__all__ = ["Derivation", "Value"]

Value: TypeAlias = Bar | Sma | Ema
"""What is made of trades."""


class Derivation:
    """Bars and indicators of one dataset. All calls are sync and never raise.

    `bars` is the fold below, which knows the feed's clock and the trades that came too late.
    """

    def __init__(self, aggregation: Aggregation, asset_class: AssetClass) -> None:
        self._aggregation = aggregation
        self.bars = Aggregator(aggregation, asset_class)
        self._published, self._sma, self._ema = (
            frozenset(aggregation.frequencies_of(channel)) for channel in (Channel.AGGREGATES, Channel.SMA, Channel.EMA)
        )
        self._lines: dict[tuple[str, str], tuple[SmaFold | EmaFold, ...]] = {}

    def add(self, trade: Trade) -> list[Value]:
        """Take in a trade; returns what it finishes and corrects, each bar before its indicators."""
        beginnings = self.bars.beginnings
        values = self._with_lines(bars) if (bars := self.bars.add(trade)) else []
        if self.bars.beginnings != beginnings:
            self._lines.clear()
        return values

    def close_until(self, time: int) -> list[Value]:
        """Finish what is over at a time, on behalf of a feed that is silent."""
        return self._with_lines(self.bars.close_until(time))

    def finish(self) -> list[Value]:
        """The data ends: finish what is open as far as it goes; what follows is a new beginning."""
        events = self._with_lines(self.bars.finish())
        self._lines.clear()
        return events

    def reset(self) -> None:
        """Market time jumps: forget what is open, and the closes so far."""
        self.bars.reset()
        self._lines.clear()

    def running(self, symbol: str, frequency: Frequency) -> Bar | None:
        """The bar under way, None if there is none."""
        return self.bars.running(symbol, frequency)

    def _with_lines(self, bars: Iterable[Bar]) -> list[Value]:
        events: list[Value] = []
        for bar in bars:
            if bar.frequency in self._published:
                events.append(bar)
            key = bar.frequency, bar.symbol
            if (lines := self._lines.get(key)) is None:
                lines = self._lines[key] = self._make_lines(Frequency(bar.frequency))
            for fold in lines:
                if bar.revision is not None:
                    fold.correct(bar)  # what was sent is not sent again
                elif (value := fold.add(bar)) is not None:
                    events.append(value)
        return events

    def _make_lines(self, frequency: Frequency) -> tuple[SmaFold | EmaFold, ...]:
        sma, ema = self._aggregation.sma, self._aggregation.ema
        return (
            *([SmaFold(sma)] if sma is not None and frequency in self._sma else []),
            *([EmaFold(ema)] if ema is not None and frequency in self._ema else []),
        )
