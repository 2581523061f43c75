"""Publishing events as they fall due, or as fast as clients take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

import trio

from datafye_trio.model import Event, Timed
from datafye_trio.sources.base import BATCH

__all__ = ["TICK", "Outlet", "Schedule", "flood", "pace"]

TICK: Final = 0.002
"""The shortest time in seconds between two wake-ups: at 5,000 events a second, a wake-up for each would cost more than
all else, for nothing. No event is early, and none is later than this."""


class Outlet(Protocol):
    """Where events go: what is needed here of a `Publisher`, which is one."""

    async def publish(self, events: Sequence[Event]) -> None:
        """See `Publisher.publish`."""

    async def room(self) -> None:
        """See `Publisher.room`."""


class Schedule:
    """When events fall due: when `(time - origin) / speed` has passed since the schedule was made.

    It is absolute, so it does not drift. `speed` is finite and above 0.
    """

    def __init__(self, origin: int, speed: float) -> None:
        self._origin = origin
        self._nanoseconds = 1e9 * speed  # of the source's time, in one second of ours
        self._began = self._woke = trio.current_time()
        self.horizon = origin - 1
        """Events up to here are due, as far as is known: a look at the clock for each would cost more than all else."""

    def is_due(self, time: int) -> bool:
        """Look at the clock: whether an event beyond the horizon has fallen due by now."""
        self.horizon = self._origin + int((trio.current_time() - self._began) * self._nanoseconds)
        return time <= self.horizon

    async def wait_due(self, time: int) -> None:
        """Sleep until an event is due. Cancel-safe."""
        await trio.sleep_until(max(self._began + (time - self._origin) / self._nanoseconds, self._woke + TICK))
        self._woke = trio.current_time()
        # Rounding may put the horizon a nanosecond before the event that the sleep was for.
        self.horizon = max(time, self._origin + int((self._woke - self._began) * self._nanoseconds))


async def pace(events: Iterator[Timed], publisher: Outlet, *, origin: int, speed: float) -> int:
    """Publish each event when it is due (`Schedule`, from now on); returns how many there were.

    After a stall all that is overdue goes out at once, in order. Cancelled, it has lost at most the events of its own
    unpublished batch.
    """
    schedule = Schedule(origin, speed)
    published = 0
    batch: list[Event] = []
    for time, event in events:
        if time > schedule.horizon and not schedule.is_due(time):
            if batch:
                await publisher.publish(batch)
                published += len(batch)
                batch = []
            await schedule.wait_due(time)
        batch.append(event)
        if len(batch) == BATCH:
            await publisher.publish(batch)
            published += len(batch)
            batch = []
    if batch:
        await publisher.publish(batch)
    return published + len(batch)


async def flood(events: Iterator[Timed], publisher: Outlet) -> int:
    """Publish in full batches, as fast as clients that keep reading take them; returns how many events there were.

    Cancelled, it has lost at most the events of its own unpublished batch.
    """
    published = 0
    while True:
        # Room first: what is read from the source only when it can go out needs no place to wait in.
        await publisher.room()
        batch = [event for _, event in islice(events, BATCH)]
        if not batch:
            return published
        await publisher.publish(batch)
        published += len(batch)
