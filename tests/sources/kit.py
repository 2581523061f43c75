"""What the tests of sources share: a publisher that only notes, and a player between it and a list of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from math import inf
from typing import Any

import trio
from hypothesis import strategies as st

from datafye_trio.errors import SourceError
from datafye_trio.model import Event, Timed, Trade
from datafye_trio.sources import Mark
from datafye_trio.sources.controls import Controls
from datafye_trio.sources.player import Manner, Player

START_NS = 1_760_000_000_000_000_000
SECOND = 10**9
SPEEDS = [1.0, 1000.0, inf]
TIMES = st.lists(st.integers(0, 20), min_size=1, max_size=40).map(sorted)
"""Seconds of a tape, several at once too."""


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


def tape(*seconds: float) -> list[Timed]:
    """Trades at these seconds; each carries its number as its size."""
    return [(round(s * SECOND), Trade("A", round(s * SECOND), 1.0, n)) for n, s in enumerate(seconds)]


class Stage:
    """A player on a list of events, and everything around it."""

    def __init__(self, publisher: NotingPublisher, events: list[Timed], **manner: Any) -> None:
        self.publisher = publisher
        self.events = events
        self.opened = self.closed = 0
        self.fail_at: int | None = None
        self.skips = True
        self.controls = Controls("T", paused=manner.pop("paused", False))
        self.player = Player(self.read, publisher, self.controls, Manner(**manner))

    def read(self, start: int | None) -> Generator[Timed]:
        self.opened += 1
        try:
            for place, timed in enumerate(self.events):
                if place == self.fail_at:
                    raise SourceError(f"row {place} is broken")
                if start is None or timed[0] >= start or not self.skips:
                    yield timed
        finally:
            self.closed += 1

    async def play(self) -> None:
        await self.player.play()
        self.controls.end()

    @property
    def numbers(self) -> list[float]:
        return [event.size for event in self.publisher.events if isinstance(event, Trade)]
