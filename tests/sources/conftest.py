"""What the tests of sources share: a publisher that only notes, and the sample data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

from datafye_trio.model import Event
from datafye_trio.sources import Mark

START_NS = 1_760_000_000_000_000_000


class NotingPublisher:
    """Notes every batch with the time it came at, in seconds since the publisher was made, and every mark.

    `before` is awaited at the start of each publish, to stall it; after `stop_after` events the source is cancelled.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[float, list[Event]]] = []
        self.rooms = 0
        self.marks: list[tuple[int, Mark]] = []
        self.asked_topics: list[int] = []
        self.subscribed = trio.Event()
        self.before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        self.stop_after = 10**9
        self._count = 0
        self._scope = trio.CancelScope()
        self._began = trio.current_time()

    @property
    def events(self) -> list[Event]:
        return [event for _, batch in self.batches for event in batch]

    @property
    def arrivals(self) -> list[float]:
        """When each event came."""
        return [time for time, batch in self.batches for _ in batch]

    async def publish(self, events: Event | Sequence[Event]) -> None:
        await self.before()
        batch = list(events) if isinstance(events, Sequence) else [events]
        self.batches.append((trio.current_time() - self._began, batch))
        self._count += len(batch)
        if self._count >= self.stop_after:
            self._scope.cancel()

    async def mark(self, mark: Mark) -> None:
        await trio.lowlevel.checkpoint()  # first: cancelled, a real one has not happened
        self.marks.append((len(self.events), mark))

    async def room(self) -> None:
        self.rooms += 1
        await trio.lowlevel.checkpoint()

    async def wait_subscribed(self, topics: int) -> None:
        self.asked_topics.append(topics)
        await self.subscribed.wait()

    def now_ns(self) -> int:
        return START_NS

    async def drive(self, source, *, seconds: float = 1e9, stop_after: int = 10**9) -> None:
        """Run a source until it ends, until `seconds` have passed, or until so many events came."""
        self.stop_after = stop_after
        with trio.move_on_after(seconds), self._scope:
            await source.run(self)


@pytest.fixture
async def publisher() -> NotingPublisher:
    return NotingPublisher()


@pytest.fixture
def start_ns() -> int:
    return START_NS
