"""Playing recorded events to a publisher: at their pace or at full speed, once or in a loop, as its controls say.

Each turn does one thing, decided by what is asked at that moment, and awaits only where that can be interrupted. What
was read but is not published stays in the queue over a pause; a batch is published whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import islice
from math import inf
from typing import TypeAlias

import attrs
import trio

from datafye_trio.errors import SourceError
from datafye_trio.model import Event, Timed
from datafye_trio.sources.base import BATCH, Mark, Publisher
from datafye_trio.sources.controls import Controls
from datafye_trio.sources.pacing import Schedule
from datafye_trio.sources.shifting import happened, moved

__all__ = ["Manner", "Player", "Reader"]

Reader: TypeAlias = Callable[[int | None], Generator[Timed]]
"""Opens the events from a time on; None is the beginning. May begin earlier: what lies before the time is skipped."""


@attrs.frozen
class Manner:
    """How to play.

    Attributes:
        speed: 1.0 is the pace of the recording, `math.inf` as fast as clients that read take it.
        loop: begin again at the end.
        shift_to_now: move all timestamps so that the first event of a lap happens when it is published.
        start: where a lap begins; None is the beginning.
    """

    speed: float = 1.0
    loop: bool = False
    shift_to_now: bool = False
    start: int | None = None


class Player:
    """Plays the events of `read` to a publisher."""

    def __init__(self, read: Reader, publisher: Publisher, controls: Controls, manner: Manner) -> None:
        self._read = read
        self._publisher = publisher
        self._controls = controls
        self._manner = manner
        self._queue: list[Timed] = []  # read, not published
        self._skip_to = manner.start  # what lies before is not played; None once that place was found
        self._schedule: Schedule | None = None  # None: begins with the next event
        self._shift: int | None = None  # None: fixed by the next event
        self._failure: SourceError | None = None
        self._rows = 0  # published in this lap
        self._whole = True  # this lap is one from the beginning
        self._at_end = False
        self._events = self._up_to_failure(read(manner.start))

    async def play(self) -> None:
        """Play to the end, but while paused not beyond: there one can still seek back.

        Raises:
            SourceError: the recording cannot be read any further; the events before that were published.
        """
        try:
            while await self._turn():
                pass
        finally:
            self._events.close()

    async def _turn(self) -> bool:
        """The next thing to do; False once there is nothing more."""
        allowed = self._controls.allowed
        target = self._controls.take_target()
        if target is not None:
            await self._publisher.mark(Mark.JUMP)
            self._open(target if self._manner.start is None else max(target, self._manner.start))
            self._whole = False
        elif self._skip_to is not None:
            await self._skip(self._skip_to)
        elif allowed == 0:
            self._schedule = None
            await self._controls.rest()
        elif self._at_end:
            if allowed is None:
                return False
            self._controls.drop_steps()
        else:
            await self._advance(allowed)
        return True

    def _open(self, start: int | None) -> None:
        self._events.close()
        self._queue.clear()
        self._skip_to = start
        self._schedule = self._failure = None
        self._rows, self._whole, self._at_end = 0, True, False
        self._events = self._up_to_failure(self._read(start))

    def _up_to_failure(self, events: Generator[Timed]) -> Generator[Timed]:
        """End the events where they fail, and keep the failure for later: those before it must still go out."""
        try:
            yield from events
        except SourceError as failure:
            self._failure = failure

    async def _skip(self, start: int) -> None:
        """Read past a batch of what lies before the place to begin at: with a checkpoint, however far that is."""
        await trio.lowlevel.checkpoint()
        for read, timed in enumerate(self._events, 1):
            if timed[0] >= start:
                self._queue.append(timed)
                break
            if read == BATCH:
                return
        self._skip_to = None

    async def _advance(self, allowed: int | None) -> None:
        """Publish the next batch, or wait until there is one, or finish the lap."""
        limit = BATCH if allowed is None else min(allowed, BATCH)
        if allowed is not None or self._manner.speed == inf:
            self._schedule = None  # a step takes its own time
            # Room first: what is read only when it can go out needs no place to wait in.
            with self._controls.interruptible() as scope:
                await self._publisher.room()
            if scope.cancel_called:
                return
            self._queue.extend(islice(self._events, max(0, limit - len(self._queue))))
            count = min(limit, len(self._queue))
        else:
            count = self._count_due(limit)
        if count:
            await self._publish(count)
        elif self._queue:
            assert self._schedule is not None  # noqa: S101 -- that event was found not to be due
            with self._controls.interruptible():
                await self._schedule.wait_due(self._queue[0][0])
        else:
            await self._finish_lap()

    def _count_due(self, limit: int) -> int:
        """How many of the next events are due, at most `limit`. Reads these and one more."""
        queue = self._queue
        count = 0
        while count < limit:
            if count == len(queue):
                if (timed := next(self._events, None)) is None:
                    break
                queue.append(timed)
            time = queue[count][0]
            if self._schedule is None:
                self._schedule = Schedule(time, self._manner.speed)
            if time > self._schedule.horizon and not self._schedule.is_due(time):
                break
            count += 1
        return count

    async def _publish(self, count: int) -> None:
        batch = [event for _, event in self._queue[:count]]
        shift = self._shift
        if self._manner.shift_to_now:
            if shift is None:
                shift = self._publisher.now_ns() - happened(batch[0])
            batch = _all_moved(batch, shift)
        with self._controls.interruptible() as scope:
            await self._publisher.publish(batch)
        if not scope.cancelled_caught:
            self._shift = shift
            self._rows += count
            self._controls.published(count, self._queue[count - 1][0], scope)
            del self._queue[:count]

    async def _finish_lap(self) -> None:
        if self._failure is not None:
            raise self._failure
        # Bars that this completes are published, too: not while paused.
        with self._controls.interruptible() as scope:
            await self._publisher.mark(Mark.END)
        if scope.cancelled_caught:
            return
        # A whole lap without events would repeat for ever without giving anybody a chance.
        if self._manner.loop and (self._rows or not self._whole):
            self._open(self._manner.start)
            self._shift = None
            # Where all events are due at once, nothing else would wait for clients.
            with self._controls.interruptible():
                await self._publisher.room()
        else:
            self._at_end = True


def _all_moved(events: list[Event], by: int) -> list[Event]:
    return [moved(event, by) for event in events]
