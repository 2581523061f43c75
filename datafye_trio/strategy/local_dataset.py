"""One dataset in this process: what a source publishes, checked, and what follows from its trades. No I/O, all sync."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from datafye_trio.aggregates import Derivation, Value
from datafye_trio.broker.quiet import Quiet
from datafye_trio.broker.validate import channels_of, check_event
from datafye_trio.client.board import BoardKey
from datafye_trio.errors import EventError
from datafye_trio.model import EVENT_CHANNELS, Bar, DatasetInfo, Ema, Event, Frequency, Sma, Trade
from datafye_trio.protocol import normalise_symbol
from datafye_trio.sources import Mark
from datafye_trio.sources.offers import aggregation_of, offered, places_of
from datafye_trio.strategy.local_book import LocalBook

__all__ = ["LocalDataset", "Offering", "Routed"]


class Offering(Protocol):
    """What has a dataset: a source, or a recording. It may be `Aggregating` and `Historical`, too."""

    @property
    def dataset(self) -> DatasetInfo:
        """What it offers by itself."""


class Routed(NamedTuple):
    """A message and the board that it goes out on."""

    board: BoardKey
    event: Event


class LocalDataset:
    """See the module. By the rules of a server's dataset, so that a strategy sees the same. Made within trio."""

    def __init__(self, source: Offering) -> None:
        aggregation = aggregation_of(source)
        self.source = source
        self.info: DatasetInfo = offered(source.dataset, aggregation)
        self.keys = dict.fromkeys(BoardKey(self.info.name, *place) for place in places_of(self.info, aggregation))
        self._running = [key for key in self.keys if key.running]
        self._derivation = None if aggregation is None else Derivation(aggregation, self.info.asset_class)
        self.quiet = None
        """Tells when the bars of a feed that has fallen silent are over, by the wall clock."""
        if aggregation is not None and self._derivation is not None:
            self.quiet = Quiet(self._derivation.bars, aggregation.grace)
        self._symbols: set[str] = set()
        self._ticks: dict[type, tuple[BoardKey, ...]] = {}

    def check(self, event: Event) -> None:
        """Refuse what a server would.

        Raises:
            EventError: it is malformed, or nothing that this dataset has.
        """
        check_event(event)
        if event.symbol not in self._symbols:
            self._check_symbol(event)
        if isinstance(event, Bar | Sma | Ema):
            if self._derivation is not None:
                raise EventError(f"the bars and indicators of dataset {self.info.name} are made of its trades")
            # Frequencies are texts, and equal to their names.
            if BoardKey(self.info.name, EVENT_CHANNELS[type(event)][0], event.frequency) not in self.keys:  # type: ignore[arg-type]
                names = ", ".join(self.info.frequencies)
                raise EventError(f"{event.frequency!r} is not offered by dataset {self.info.name}: {names}")
        elif type(event) not in self._ticks:
            folded = self._derivation is not None and isinstance(event, Trade)
            channels = channels_of(event, self.info, or_none=folded)
            self._ticks[type(event)] = tuple(BoardKey(self.info.name, channel) for channel in channels)

    def expand(self, event: Event, book: LocalBook) -> list[Routed]:
        """What goes out for an event that was checked: itself, and what a trade brings about."""
        boards = self._ticks.get(event.__class__)
        if boards is None:
            return self._values([event], book)
        routed = [Routed(board, event) for board in boards]
        if self._derivation is not None and event.__class__ is Trade:
            assert isinstance(event, Trade)  # noqa: S101 -- as its class says
            if values := self._derivation.add(event):
                routed += self._values(values, book)
            for key in self._running:
                if key.frequency is not None and book.is_wanted(key, event.symbol):
                    bar = self._derivation.running(event.symbol, key.frequency)
                    routed += [Routed(key, bar)] if bar is not None else []
        return routed

    def note(self, now: float) -> None:
        """Trades have gone out, at this trio time: a live feed's bars are over some time later."""
        if self.quiet is not None:
            self.quiet.note(now)

    def on(self, mark: Mark, book: LocalBook) -> list[Routed]:
        """What a mark of the source brings about, for those who want it."""
        if self._derivation is None:
            return []
        values: list[Value] = []
        if mark is Mark.END:
            values = self._derivation.finish()
        elif mark is Mark.JUMP:
            self._derivation.reset()
        elif self.quiet is not None and (time := self.quiet.until()) is not None:
            values = self._derivation.close_until(time)
        return [one for one in self._values(values, book) if book.is_wanted(one.board, one.event.symbol)]

    def _values(self, values: Iterable[Event], book: LocalBook) -> list[Routed]:
        """Bars and indicators; a final bar also goes out among the running ones, where somebody wants those."""
        routed = []
        for value in values:
            channel, frequency = EVENT_CHANNELS[type(value)][0], Frequency(value.frequency)  # type: ignore[union-attr]  # these have one
            final = not isinstance(value, Bar) or value.final
            if final:
                routed.append(Routed(BoardKey(self.info.name, channel, frequency), value))
            if isinstance(value, Bar):
                key = BoardKey(self.info.name, channel, frequency, running=True)
                if book.is_wanted(key, value.symbol):
                    routed.append(Routed(key, value))
        return routed

    def _check_symbol(self, event: Event) -> None:
        info = self.info
        try:
            symbol = normalise_symbol(event.symbol, info.asset_class)
        except ValueError as error:
            raise EventError(f"{event}: {error}") from None
        if symbol != event.symbol:
            raise EventError(f"{event.symbol!r} is not in normal form: publish it as {symbol!r}")
        if info.symbols is not None and symbol not in info.symbols:
            raise EventError(f"{symbol} is not one of the symbols of dataset {info.name}")
        self._symbols.add(symbol)
