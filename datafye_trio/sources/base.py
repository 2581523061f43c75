"""What a source is, and what the broker gives it. The broker implements `Publisher`; a source only calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from datafye_trio.model import DatasetInfo, Event

__all__ = ["BATCH", "Publisher", "Source"]

BATCH = 1024
"""The most events that one call of `publish` should carry; the broker splits larger ones."""


class Publisher(Protocol):
    """A source's end of the broker's bounded channel, bound to that source's dataset."""

    async def publish(self, events: Event | Sequence[Event]) -> None:
        """Hand over events, in order; waits for room in the broker's channel. Always a checkpoint.

        Cancel-safe for batches of at most `BATCH` events: cancelled, it has published all of them or none.

        Raises:
            EventError: an event is malformed (NaN, infinity, symbol, channel); nothing of the call was published.
        """

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
