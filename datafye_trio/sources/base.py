"""What a source is, and what the broker gives it. The broker implements `Publisher`; a source only calls it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from enum import Enum, StrEnum, auto
from typing import Protocol, runtime_checkable

import attrs

from datafye_trio.aggregates import Aggregation
from datafye_trio.model import Channel, DatasetInfo, Event, Frequency
from datafye_trio.sources.positions import Positions

__all__ = [
    "BATCH", "Aggregating", "Controllable", "Historical", "History", "HistoryQuery", "Mark", "PlayState", "Publisher",
    "Source",
]  # fmt: skip

BATCH = 1024
"""The most events that one call of `publish` should carry; the broker splits larger ones."""


class Mark(Enum):
    """What a source may tell between two events, for those who fold over its events (bars and indicators)."""

    END = auto()
    """The data ends here: what is open is complete as far as it goes. What follows is a new beginning."""
    JUMP = auto()
    """Market time jumps (a replay was moved): what is open will never be complete, and is dropped."""
    QUIET = auto()
    """The feed is silent: what is over by the wall clock is complete. The broker says so by itself on live feeds."""


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

    @property
    def positions(self) -> Positions:
        """For a source whose events have positions already: what it uses in place of `publish`."""

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


class PlayState(StrEnum):
    """What a source that can be controlled does."""

    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


@runtime_checkable
class Controllable(Protocol):
    """A source that can be paused, stepped and moved.

    All calls but one are sync, for the Trio thread, and in effect when they return. Times are places on the source's
    own timeline (`Timed`), in nanoseconds.
    """

    @property
    def state(self) -> PlayState:
        """Whether it runs, is paused, or has ended."""

    @property
    def position(self) -> int | None:
        """The time of the last event that was published, None before the first."""

    def pause(self) -> None:
        """Publish nothing more, not even the rest of a batch or of a step.

        Raises:
            SourceError: it has ended. So for the three below.
        """

    def resume(self) -> None:
        """Go on from the next event, which is due at once: what a pause made late does not go out in a burst."""

    def step(self, n: int = 1) -> None:
        """Publish the next `n` events as fast as clients read, then stay paused.

        Raises:
            ConfigurationError: `n` is below 1.
        """

    def seek(self, to_ns: int) -> None:
        """Go on with the first event at or after `to_ns`, forwards or backwards; paused, it stays paused."""

    async def wait_settled(self) -> None:
        """Wait until what was asked is done; `position` is exact then if the source is paused. Cancel-safe."""


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

    def read(self, query: HistoryQuery) -> Generator[Sequence[Event]]:
        """The events in order of time (ties: in the order they came, bars by symbol), a batch at a time.

        Batches hold at most `BATCH` events, may be empty, and each costs a few milliseconds of work at most, so that
        a task can checkpoint between them. A bar is complete even where its span ends after `query.end`.
        Closing the generator closes the files.

        Raises:
            SourceError: a file cannot be read; all before it was yielded.
        """


@runtime_checkable
class Historical(Protocol):
    """A source whose dataset also has stored data."""

    @property
    def history(self) -> History | None:
        """The stored data, None where there is none."""
