"""Publishing events as they fall due, or as fast as clients take them: the only place where a source sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import trio

from datafye_trio.model import Event, Timed
from datafye_trio.sources.base import BATCH, Publisher

__all__ = ["TICK", "flood", "pace"]

TICK: Final = 0.002
"""The shortest time in seconds between two wake-ups: at 5,000 events a second, a wake-up for each would cost more than
all else, for nothing. No event is early, and none is later than this."""


async def pace(events: Iterator[Timed], publisher: Publisher, *, origin: int, speed: float) -> int:
    """Publish each event when `(its time - origin) / speed` has passed since the call; returns how many there were.

    The schedule is absolute, so it does not drift, and after a stall all that is overdue goes out at once, in order.
    `speed` is finite and above 0. Cancelled, it has lost at most the events of its own unpublished batch.
    """
    began = woke = trio.current_time()
    nanoseconds = 1e9 * speed  # of the source's time, in one second of ours
    horizon = origin - 1  # events up to here are due
    published = 0
    batch: list[Event] = []
    for time, event in events:
        if time > horizon:
            horizon = origin + int((trio.current_time() - began) * nanoseconds)
        if time > horizon:
            if batch:
                await publisher.publish(batch)
                published += len(batch)
                batch = []
            await trio.sleep_until(max(began + (time - origin) / nanoseconds, woke + TICK))
            woke = trio.current_time()
            # Rounding may put the horizon a nanosecond before the event that the sleep was for.
            horizon = max(time, origin + int((woke - began) * nanoseconds))
        batch.append(event)
        if len(batch) == BATCH:
            await publisher.publish(batch)
            published += len(batch)
            batch = []
    if batch:
        await publisher.publish(batch)
    return published + len(batch)


async def flood(events: Iterator[Timed], publisher: Publisher) -> int:
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
