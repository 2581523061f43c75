"""What a source is, and what the broker gives it. The broker implements `Publisher`; a source only calls it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Protocol, runtime_checkable

import attrs

from datafye_trio.aggregates import Aggregation
from datafye_trio.model import Channel, DatasetInfo, Event, Frequency

__all__ = ["BATCH", "Aggregating", "Historical", "History", "HistoryQuery", "Mark", "Publisher", "Source"]

BATCH = 1024
"""The most events that one call of `publish` should carry; the broker splits larger ones."""


class Mark(Enum):
    """What a source may tell between two events, for those who fold over its events (bars and indicators)."""

    END = auto()
    """The data ends here: what is open is complete as far as it goes. What follows is a new beginning."""
    JUMP = auto()
    """Market time jumps (a replay was moved): what is open will never be complete, and is dropped."""


class Publisher(Protocol):
    """A source's end of the broker's bounded channel, bound to that source's dataset."""

    async def publish(self, events: Event | Sequence[Event]) -> None:
        """Hand over events, in order; waits for room in the broker's channel. Always a checkpoint.

        Cancel-safe for batches of at most `BATCH` events: cancelled, it has published all of them or none.

        Raises:
            EventError: an event is malformed (NaN, infinity, symbol, channel); nothing of the call was published.
        """

    async def mark(self, mark: Mark) -> None:
        """Tell what happens between the events before and after this call; in order with them. Cancel-safe."""

    async def room(self) -> None:
        """Wait until no client that keeps reading lags: what a source at full speed awaits before each batch.

        Always a checkpoint. Cancel-safe.
        """

    async def wait_subscribed(self, topics: int) -> None:
        """Wait until at least so many topics of this dataset have a subscriber. Cancel-safe."""

    def now_ns(self) -> int:
        """The wall clock, in nanoseconds since 1970 UTC. Intervals come from `trio.current_time()`, never from here."""


class Source(Protocol):
    """Anything that produces events. It runs in the broker's nursery; sleeping (pacing) happens in sources only."""

    @property
    def dataset(self) -> DatasetInfo:
        """What the source offers; constant over its life."""

    async def run(self, publisher: Publisher) -> None:
        """Publish until there is no more. Returning means 'ended'; an exception means 'crashed'; both are reported.

        Raises:
            SourceError: the data cannot be read; the text names file and line.
        """


@runtime_checkable
class Aggregating(Protocol):
    """A source whose trades are to be folded into bars and indicators, which are published with them."""

    @property
    def aggregation(self) -> Aggregation | None:
        """How; None for a source that has no trades, or publishes bars of its own."""


@attrs.frozen
class HistoryQuery:
    """What is asked of stored data: events that happened, or bars that began, in `start <= time < end` (nanoseconds).

    `symbols` are in normal form; None is every symbol. `frequency` is None for ticks (`channel` trades or quotes), else
    `channel` is `aggregates`.
    """

    channel: Channel
    frequency: Frequency | None
    symbols: tuple[str, ...] | None
    start: int
    end: int


class History(Protocol):
    """The stored data of one dataset. No I/O beyond local files; never imports trio's time."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Of trades, quotes and aggregates, what can be asked for."""

    def read(self, query: HistoryQuery) -> Iterator[Sequence[Event]]:
        """The events in order of time (ties: in the order they came, bars by symbol), a batch at a time.

        Batches hold at most `BATCH` events, may be empty, and each costs a few milliseconds of work at most, so that
        a task can checkpoint between them. A bar is complete even where its span ends after `query.end`.

        Raises:
            SourceError: a file cannot be read; all before it was yielded.
        """


@runtime_checkable
class Historical(Protocol):
    """A source whose dataset also has stored data."""

    @property
    def history(self) -> History | None:
        """The stored data, None where there is none."""
