"""Bars of longer spans out of bars of shorter ones: five minutes out of minutes, say, whose trades are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datafye_trio.aggregates.accumulator import Accumulator
from datafye_trio.errors import ConfigurationError, EventError
from datafye_trio.model import Bar, Frequency

__all__ = ["fold_bars"]


def fold_bars(bars: Iterable[Bar], length: int, frequency: str, *, origin: int = 0) -> Iterator[Bar]:
    """The bars of the spans `[origin + n * length, origin + (n + 1) * length)`, all in nanoseconds since 1970 UTC.

    Open and close are the first and the last that there is, in the order of the bars; volume and count are exact sums.
    `vwap` weighs the vwaps of the parts, which are rounded: its last digits may differ from those of the trades' own.
    A span without a bar has none either. A symbol's bar comes when its next one begins, the last ones at the end; one
    bar a symbol is in memory.

    Args:
        bars: each within one of the spans, those of one symbol in the order of their starts; equal starts are parts of
            one span, so of a bar that was corrected only the last revision may be there.
        length: of the spans to make.
        frequency: what the bars made are called, such as `5m`.
        origin: where any one of the spans begins; by default all are counted from 1970.

    Raises:
        ConfigurationError: the length is below 1.
        EventError: a bar begins before the one before it of its symbol.
    """
    if length < 1:
        raise ConfigurationError(f"the span of a bar is 1 ns or more, not {length}")
    opened: dict[str, Accumulator] = {}
    newest: dict[str, int] = {}
    for order, bar in enumerate(bars):
        symbol, time = bar.symbol, bar.start
        if time < newest.get(symbol, time):
            raise EventError(f"bars of {symbol} are out of order: {time} comes after {newest[symbol]}")
        newest[symbol] = time
        start = time - (time - origin) % length
        found = opened.get(symbol)
        if found is None or start > found.start:
            if found is not None:
                yield _bar(found, symbol, frequency)
            found = opened[symbol] = Accumulator(start, start + length)
        found.add_bar(order, bar)
    for symbol, found in opened.items():
        yield _bar(found, symbol, frequency)


def _bar(found: Accumulator, symbol: str, frequency: str) -> Bar:
    bar = found.bar(symbol, Frequency.DAY)
    bar.frequency = frequency  # any text: there are more spans than Datafye has names for
    return bar
