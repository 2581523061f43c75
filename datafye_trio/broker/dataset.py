"""One dataset: its boards, its source and how that fares, and the publisher that the source is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import trio

from datafye_trio.broker.ring import RingStore
from datafye_trio.broker.topic import Board, BoardKey, Topic
from datafye_trio.broker.validate import channels_of, check_event
from datafye_trio.errors import EventError, SourceError, leaves_of
from datafye_trio.logs import get_logger
from datafye_trio.model import DatasetInfo, Event
from datafye_trio.protocol import normalise_symbol
from datafye_trio.sources import BATCH, Historical, History, Mark, Source

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
        self.info = info
        self.epoch = epoch
        self.state = SourceState.RUNNING
        self.why = ""
        self.on_stop: Callable[[Dataset], None] = lambda _: None
        self.boards: dict[BoardKey, Board] = {
            BoardKey(channel): Board(info.name, info.asset_class, epoch, BoardKey(channel), store)
            for channel in info.channels
        }
        self._source = source
        self._broker = broker
        self._scope = trio.CancelScope()
        self._routes: dict[tuple[type, str], tuple[Topic, ...]] = {}
        for board in self.boards.values():
            for symbol in sorted(info.symbols or ()):
                board.topic(symbol).pinned = True

    @property
    def history(self) -> History | None:
        """The stored data, None where the source has none."""
        return self._source.history if isinstance(self._source, Historical) else None

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

    async def mark(self, mark: Mark) -> None:  # noqa: ARG002 -- folds come with the next change
        """See `datafye_trio.sources.Publisher.mark`."""
        await trio.lowlevel.checkpoint()

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

    # The broker's side.

    async def run(self) -> None:
        """Run the source. It may end, crash or be cancelled; nobody else is harmed."""
        try:
            with self._scope:
                await self._source.run(self)
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

    def topics_of(self, event: Event) -> tuple[Topic, ...]:
        """The topics of an event that was checked."""
        return self._routes.get((event.__class__, event.symbol)) or self._route(event)

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
        channels = channels_of(event, self.info)
        try:
            symbol = normalise_symbol(event.symbol, self.info.asset_class)
        except ValueError as error:
            raise EventError(f"{event}: {error}") from None
        if symbol != event.symbol:
            raise EventError(f"{event.symbol!r} is not in normal form: publish it as {symbol!r}")
        if self.info.symbols is not None and symbol not in self.info.symbols:
            raise EventError(f"{symbol} is not one of the symbols of dataset {self.info.name}")
        topics = tuple(self.boards[BoardKey(channel)].topic(symbol) for channel in channels)
        for topic in topics:
            topic.pinned = True
        self._routes[type(event), symbol] = topics
        return topics


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"
