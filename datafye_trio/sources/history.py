"""Stored data: the synthetic market of any time, and what a recording holds, as ticks or as bars.

Bars are folded from the trades by the dataset's own rule, so they are those that a live client saw, but each comes
once: as its last correction left it. Hence a bar is held back until no correction can follow. All is done in steps of a
few milliseconds, with a batch between them, often an empty one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from math import inf
from typing import Final

import attrs

from datafye_trio.aggregates import Aggregation, Aggregator, default_aggregation, span_of
from datafye_trio.errors import SourceError
from datafye_trio.logs import get_logger
from datafye_trio.model import AssetClass, Bar, Channel, Event, Frequency, Halt, Quote, Resume, Trade
from datafye_trio.recordings.base import Recording, Selection
from datafye_trio.sources.base import BATCH, HistoryQuery
from datafye_trio.sources.market import Choice, SyntheticConfig, SyntheticMarket

__all__ = ["RecordedHistory", "SyntheticHistory"]

log = get_logger("source")

_FOR_EVER: Final = 2**63
_ROWS: Final = 512
"""Rows that are read at once: some five milliseconds' worth."""


class SyntheticHistory:
    """The stored data of a synthetic dataset: any range, past or to come, made when it is asked for.

    An event is the same here and live, since it depends on nothing but the settings and its own time.
    """

    def __init__(self, config: SyntheticConfig, aggregation: Aggregation | None = None) -> None:
        self._market = SyntheticMarket(config, 0)
        self._asset_class = config.asset_class
        found = aggregation or default_aggregation(config.dataset)
        # Trades come in order here: nothing is ever late, and a bar needs no shorter ones below it.
        self._aggregation = attrs.evolve(found, lateness=0.0)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Crypto has no quotes."""
        ticks = (Channel.TRADES,) if self._asset_class is AssetClass.CRYPTO else (Channel.QUOTES, Channel.TRADES)
        return (*ticks, Channel.AGGREGATES)

    def read(self, query: HistoryQuery) -> Generator[Sequence[Event]]:
        """See `datafye_trio.sources.History.read`. Raises nothing."""
        symbols = None if query.symbols is None else frozenset(query.symbols)
        if query.frequency is None:
            trades = query.channel is Channel.TRADES
            choice = Choice(symbols, quotes=not trades, trades=trades)
            yield from self._batches(query.start, query.end, choice)
            return
        first, end = _whole_spans(query, query.frequency, self._asset_class)
        folding = attrs.evolve(self._aggregation, frequencies=(query.frequency,), sma=None, ema=None)
        batches = self._batches(first, end, Choice(symbols, quotes=False))
        yield from _fold(batches, folding, _Bars(query, query.frequency, self._asset_class))

    def _batches(self, start: int, end: int, choice: Choice) -> Generator[list[Event]]:
        for block in self._market.blocks(start, end, choice):
            while True:
                batch = [event for _, event in islice(block, BATCH)]
                yield batch
                if len(batch) < BATCH:
                    break


class RecordedHistory:
    """The stored data of a recording.

    Ticks are chosen by when they happened and come in the recording's own order, in which a late report stands where
    it came in. A recording is in order of its own time, which may be any distance from the exchange's (that of a
    recorded replay, say): only what is known to hold nothing of the range is passed over (`Selection.happened`), all
    other rows are read. Symbols are not left to the recording to choose: the search for a rare one would hold up
    everybody. Bars are folded where there are trades, else they are those that were recorded. `symbols` is what the
    dataset offers of it, None is all.
    """

    def __init__(
        self, recording: Recording, aggregation: Aggregation | None = None, symbols: tuple[str, ...] | None = None
    ) -> None:
        self._recording = recording
        self._symbols = symbols
        self._aggregation = aggregation or default_aggregation(recording.name)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What was recorded, and bars where there are trades."""
        held = set(self._recording.channels) & {Channel.QUOTES, Channel.TRADES, Channel.AGGREGATES}
        if Channel.TRADES in held:
            held.add(Channel.AGGREGATES)
        return tuple(channel for channel in Channel if channel in held)

    def read(self, query: HistoryQuery) -> Generator[Sequence[Event]]:
        """See `datafye_trio.sources.History.read`.

        Raises:
            SourceError: as `Recording.read`.
        """
        if query.symbols is None:
            query = attrs.evolve(query, symbols=self._symbols)  # every symbol of the dataset, if not of the recording
        if query.frequency is None:
            yield from self._ticks(query)
            return
        bars = _Bars(query, query.frequency, self._recording.asset_class)
        if Channel.TRADES in self._recording.channels:
            yield from self._folded(query, query.frequency, bars)
        else:
            yield from self._recorded(query, bars)

    def _ticks(self, query: HistoryQuery) -> Generator[list[Event]]:
        symbols = None if query.symbols is None else frozenset(query.symbols)
        with closing(self._batches(query.channel, (query.start, query.end))) as batches:
            for batch in batches:
                yield [
                    event
                    for event in batch
                    if (time := _happened(event, query.channel)) is not None
                    and query.start <= time < query.end
                    and (symbols is None or event.symbol in symbols)
                ]

    def _folded(self, query: HistoryQuery, frequency: Frequency, bars: _Bars) -> Generator[list[Bar]]:
        # Every trade is folded, in bars of every frequency, whatever is asked for: the time of the newest trade of all
        # tells what is late, and the answer must not depend on what else is in the question.
        found = self._aggregation
        wanted = tuple({*found.all_frequencies(), frequency})
        folding = attrs.evolve(found, frequencies=wanted, sma=None, ema=None)
        first, end = _whole_spans(query, frequency, self._recording.asset_class)
        # Without an end: the trades behind it move the clock, and stop the reading soon.
        with closing(self._batches(Channel.TRADES, (first, _FOR_EVER))) as batches:
            yield from _fold(_between(batches, first, end + found.lateness * 1e9), folding, bars)

    def _recorded(self, query: HistoryQuery, bars: _Bars) -> Generator[list[Bar]]:
        lateness = self._aggregation.lateness * 1e9
        newest = -inf
        with closing(self._batches(Channel.AGGREGATES, (query.start, query.end))) as batches:
            try:
                for batch in batches:
                    found = [event for event in batch if type(event) is Bar and event.final]
                    bars.take(found)
                    newest = max([newest, *(bar.start for bar in found)])
                    yield from bars.release(newest - lateness)
            except SourceError:
                yield from bars.release(inf)
                raise
        yield from bars.release(inf)

    def _batches(self, channel: Channel, happened: tuple[int, int]) -> Generator[list[Event]]:
        with closing(self._recording.read(Selection(frozenset({channel}), happened=happened))) as rows:
            while True:
                batch: list[Event] = []
                try:
                    for _, event in islice(rows, _ROWS):
                        batch.append(event)  # one by one: extend need not keep them
                except SourceError:
                    yield batch  # all before the failure
                    raise
                yield batch
                if len(batch) < _ROWS:
                    return


class _Bars:
    """The bars that a query asks for, held back until they are final for good, then released in order."""

    def __init__(self, query: HistoryQuery, frequency: Frequency, asset_class: AssetClass) -> None:
        self._query = query
        self._symbols = None if query.symbols is None else frozenset(query.symbols)
        self._frequency = frequency
        self.asset_class = asset_class
        self._held: dict[int, dict[str, Bar]] = {}

    def take(self, bars: Iterable[Bar]) -> None:
        """Hold those that are asked for; a correction takes the place of what it corrects."""
        for bar in bars:
            if (
                bar.frequency == self._frequency
                and self._query.start <= bar.start < self._query.end
                and (self._symbols is None or bar.symbol in self._symbols)
            ):
                self._held.setdefault(bar.start, {})[bar.symbol] = bar

    def release(self, horizon: float) -> Iterator[list[Bar]]:
        """Let go of the bars whose spans ended at or before a time, in batches. At least one batch, if an empty one."""
        starts = sorted(s for s in self._held if span_of(s, self._frequency, self.asset_class)[1] <= horizon)
        ready = (bar for start in starts for _, bar in sorted(self._held.pop(start).items()))
        while True:
            batch = list(islice(ready, BATCH))
            yield batch
            if len(batch) < BATCH:
                return


def _fold(batches: Iterable[Sequence[Event]], aggregation: Aggregation, bars: _Bars) -> Generator[list[Bar]]:
    """The bars of trades; other events are passed over. Where the trades fail, what is certain still comes."""
    aggregator = Aggregator(aggregation, bars.asset_class)
    lateness = aggregation.lateness * 1e9
    try:
        for batch in batches:
            for event in batch:
                if type(event) is Trade and (finished := aggregator.add(event)):
                    bars.take(finished)
            yield from bars.release(aggregator.clock - lateness)
    except SourceError:
        yield from bars.release(inf)
        raise
    bars.take(aggregator.finish())
    yield from bars.release(inf)
    if aggregator.late:
        log.warning("trades came too late for their bars", count=aggregator.late)


def _whole_spans(query: HistoryQuery, frequency: Frequency, asset_class: AssetClass) -> tuple[int, int]:
    """The time that the bars asked for take up: from the first one that begins in the range to the end of the last."""
    start, end = span_of(query.start, frequency, asset_class)
    return (query.start if start == query.start else end), span_of(query.end - 1, frequency, asset_class)[1]


def _between(batches: Iterable[Sequence[Event]], first: int, stop: float) -> Iterator[Sequence[Event]]:
    """Trades from a time on, up to a batch that is so far beyond the end that whatever follows is too late to count.

    A whole batch: a single time far ahead may be a mistake.
    """
    for batch in batches:
        trades = [event for event in batch if type(event) is Trade and event.exchange_timestamp >= first]
        yield trades
        if batch and len(trades) == len(batch) and all(trade.exchange_timestamp >= stop for trade in trades):
            return


def _happened(event: Event, channel: Channel) -> int | None:
    """When it did, on the exchange; None for what is not of the channel."""
    if isinstance(event, Halt | Resume):
        return event.timestamp
    if isinstance(event, Trade if channel is Channel.TRADES else Quote):
        return event.exchange_timestamp
    return None
