"""One dataset: its boards, its source and how that fares, and the publisher that the source is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import trio

from datafye_trio.broker.derived import Derived, topics_of_bar
from datafye_trio.broker.positions import DatasetPositions
from datafye_trio.broker.ring import RingStore
from datafye_trio.broker.topic import Board, BoardKey, Routed, Topic
from datafye_trio.broker.validate import channels_of, check_event
from datafye_trio.errors import EventError, SourceError, leaves_of
from datafye_trio.logs import get_logger
from datafye_trio.model import Bar, Channel, DatasetInfo, Ema, Event, Frequency, Sma, Trade
from datafye_trio.protocol import normalise_symbol
from datafye_trio.sources import BATCH, Historical, History, Mark, Source
from datafye_trio.sources.offers import aggregation_of, offered, places_of

if TYPE_CHECKING:
    from datafye_trio.broker.broker import Broker

__all__ = ["Dataset", "SourceState"]

log = get_logger("source")


class SourceState(StrEnum):
    """How a source fares."""

    RUNNING = "running"
    ENDED = "ended"
    CRASHED = "crashed"


class Dataset:
    """A dataset in the broker. It is the `Publisher` of its source."""

    def __init__(self, info: DatasetInfo, source: Source, epoch: str, store: RingStore, broker: Broker) -> None:
        aggregation = aggregation_of(source)
        self.info = info = offered(info, aggregation)
        self.epoch = epoch
        self.state = SourceState.RUNNING
        self.why = ""
        self.on_stop: Callable[[Dataset], None] = lambda _: None
        self.boards = {
            (key := BoardKey(*place)): Board(info.name, info.asset_class, epoch, key, store)
            for place in places_of(info, aggregation)
        }
        self.derived = None if aggregation is None else Derived(aggregation, info.name, info.asset_class, self.boards)
        self.source = source
        self.positions = DatasetPositions(self, broker)
        self._broker = broker
        self._scope = trio.CancelScope()
        self._routes: dict[tuple[type, str], tuple[Topic, ...]] = {}
        for key, board in self.boards.items():
            # Those of bars are made when they are needed: ten thousand symbols would make hundreds of thousands.
            for symbol in sorted(info.symbols or ()) if not key.channel.has_frequency else ():
                board.pin(symbol)

    @property
    def history(self) -> History | None:
        """The stored data of this dataset, if there is any."""
        return self.source.history if isinstance(self.source, Historical) else None

    # The publisher's side.

    async def publish(self, events: Event | Sequence[Event]) -> None:
        """See `datafye_trio.sources.Publisher.publish`."""
        batches = self._batches(events)
        if not batches:
            await trio.lowlevel.checkpoint()
        for batch in batches:
            await self._broker.publish((self, batch))

    def publish_nowait(self, events: Event | Sequence[Event]) -> None:
        """Hand over at most `BATCH` events at once.

        Raises:
            EventError: an event is malformed, or there are too many for one call.
            trio.WouldBlock: the broker has no room; nothing was published.
        """
        batches = self._batches(events)
        if len(batches) > 1:
            raise EventError(f"publish_nowait takes at most {BATCH} events at once")
        for batch in batches:
            self._broker.publish_nowait((self, batch))

    async def mark(self, mark: Mark) -> None:
        """See `datafye_trio.sources.Publisher.mark`."""
        if self.derived is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._broker.publish((self, mark))

    async def room(self) -> None:
        """See `datafye_trio.sources.Publisher.room`."""
        await self._broker.room()

    async def wait_subscribed(self, topics: int) -> None:
        """See `datafye_trio.sources.Publisher.wait_subscribed`."""
        await self._broker.wait_for(lambda: self.subscribed_topics() >= topics)

    def now_ns(self) -> int:
        """See `datafye_trio.sources.Publisher.now_ns`."""
        return self._broker.wall_clock()

    def subscribed_topics(self) -> int:
        """The topics that have a subscriber; a `*` subscription counts as one until the first symbol appears."""
        return sum(
            sum(1 for topic in board.topics.values() if topic.subscribers) or bool(board.wildcards)
            for board in self.boards.values()
        )

    def is_subscribed(
        self, channel: Channel | None = None, symbols: Sequence[str] = (), frequency: Frequency | None = None
    ) -> bool:
        """Whether each of these symbols has a subscriber (none given: whether any symbol has); None is any channel, any
        frequency. The symbol `*` is a subscription to every symbol.

        Raises:
            ValueError: one of them can be no symbol.
        """
        boards = [
            board
            for key, board in self.boards.items()
            if channel in (None, key.channel) and frequency in (None, key.frequency)
        ]
        if not symbols:
            return any(board.wildcards or any(t.subscribers for t in board.topics.values()) for board in boards)
        names = [one if one == "*" else normalise_symbol(one, self.info.asset_class) for one in symbols]
        return all(any(board.wildcards if name == "*" else board.is_wanted(name) for board in boards) for name in names)

    # The broker's side.

    async def run(self) -> None:
        """Run the source. It may end, crash or be cancelled; nobody else is harmed."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._close_quiet)
                    await self.source.run(self)
                    nursery.cancel_scope.cancel()
                await self.mark(Mark.END)
            self._stopped(SourceState.ENDED, "cancelled" if self._scope.cancelled_caught else "the data has ended")
        # except*, since a source with a nursery of its own raises groups, and when cancelled with Cancelled among them.
        except* Exception as crash:
            errors = list(leaves_of(crash))
            if not all(isinstance(error, SourceError) for error in errors):
                log.exception("source crashed", dataset=self.info.name)
            self._stopped(SourceState.CRASHED, "; ".join(map(_sentence, errors)))

    def cancel(self) -> None:
        """Stop the source; subscribers keep their connections."""
        self._scope.cancel()

    def expand(self, batch: Sequence[Event] | Mark, now: float) -> list[Routed]:
        """What goes out for a batch that was checked: its events, and all that follows from its trades, in order."""
        derived = self.derived
        if isinstance(batch, Mark):
            return [] if derived is None else derived.on(batch)
        if derived is None:
            return [(self._topics_of(event), event) for event in batch]
        routed: list[Routed] = []
        for event in batch:
            routed.append((self._topics_of(event), event))
            if event.__class__ is Trade:
                routed += derived.after(event, now)
        return routed

    async def _close_quiet(self) -> None:
        """Finish, by the wall clock, the bars of a feed that has fallen silent."""
        if self.derived is not None:
            while True:
                await self.derived.quiet.wait()
                await self.mark(Mark.QUIET)
                await self._broker.settle()

    def _topics_of(self, event: Event) -> tuple[Topic, ...]:
        topics = self._routes.get((event.__class__, event.symbol))
        return self._route(event) if topics is None else topics

    def _stopped(self, state: SourceState, why: str) -> None:
        self.state, self.why = state, why
        log.info("source stopped", dataset=self.info.name, state=state.value, why=why)
        self.on_stop(self)

    def _batches(self, events: Event | Sequence[Event]) -> list[list[Event]]:
        # A copy: the caller may go on to change its list while the batch waits.
        checked = list(events) if isinstance(events, Sequence) else [events]
        for event in checked:
            check_event(event)
            if (event.__class__, event.symbol) not in self._routes:
                self._route(event)
        return [checked[start : start + BATCH] for start in range(0, len(checked), BATCH)]

    def _route(self, event: Event) -> tuple[Topic, ...]:
        """The topics of an event; kept, but for bars and indicators, whose topics depend on their frequency too."""
        self._check_symbol(event)
        if isinstance(event, Bar | Sma | Ema):
            if self.derived is not None:
                raise EventError(f"the bars and indicators of dataset {self.info.name} are made of its trades")
            try:
                return topics_of_bar(event, self.boards)
            except KeyError:
                names = ", ".join(self.info.frequencies)
                raise EventError(f"{event.frequency!r} is not offered by dataset {self.info.name}: {names}") from None
        folded = self.derived is not None and isinstance(event, Trade)
        channels = channels_of(event, self.info, or_none=folded)
        topics = tuple(self.boards[BoardKey(channel)].pin(event.symbol) for channel in channels)
        self._routes[type(event), event.symbol] = topics
        return topics

    def _check_symbol(self, event: Event) -> None:
        try:
            symbol = normalise_symbol(event.symbol, self.info.asset_class)
        except ValueError as error:
            raise EventError(f"{event}: {error}") from None
        if symbol != event.symbol:
            raise EventError(f"{event.symbol!r} is not in normal form: publish it as {symbol!r}")
        if self.info.symbols is not None and symbol not in self.info.symbols:
            raise EventError(f"{symbol} is not one of the symbols of dataset {self.info.name}")


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"
