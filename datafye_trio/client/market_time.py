"""Market time as a feed knows it: never behind the newest event that came, and going on by itself in between.

The clock of this machine is not asked: a server may replay a day of years ago, at any speed. What is kept is how far
market time is ahead of trio's, which only grows: so the clock never goes back, and an event that comes late does not
move it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from operator import attrgetter

import attrs
import trio

from datafye_trio.aggregates import event_time
from datafye_trio.errors import FeedError
from datafye_trio.model import AssetClass, Event

__all__ = ["MarketTime"]


@attrs.define(eq=False)
class _Wait:
    """Somebody waits for a time. To cancel its scope wakes it."""

    time: int
    scope: trio.CancelScope


class MarketTime:
    """See the module.

    Args:
        start: what it shows before anything is known, in nanoseconds since 1970 UTC.
        by_hand: whether those that wait are woken by whoever moves the clock, with `due`, one after the other, and by
            nothing else: on a recording the order in which tasks run must be the same each time.
    """

    def __init__(self, start: int, *, by_hand: bool = False) -> None:
        self._ahead = start - _trio_ns()
        self._by_hand = by_hand
        self._settled = by_hand
        self._failure: FeedError | None = None
        self._ended = False
        self._waits: list[_Wait] = []
        """By time; those of one time in the order in which they began."""

    def now(self) -> int:
        """Market time in nanoseconds since 1970 UTC."""
        return self._ahead + _trio_ns()

    def suppose(self, time_ns: int) -> None:
        """Show this, unless an event has already told better."""
        if not self._settled:
            self._set(time_ns)

    def saw(self, event: Event, asset_class: AssetClass = AssetClass.STOCKS) -> None:
        """An event has come: it is now as late as that at least. The first one may set the clock back."""
        self.reach(event_time(event, asset_class))

    def reach(self, time_ns: int) -> None:
        """It is as late as this at least."""
        if time_ns > self.now() or not self._settled:
            self._settled = True
            self._set(time_ns)

    def show(self, time_ns: int) -> None:
        """It is exactly this late: for whoever moves the clock by hand, where trio's is too coarse after some weeks."""
        self._ahead = time_ns - _trio_ns()

    def next_wait(self, before: int) -> int:
        """The first time that somebody waits for, or this one where that is not before it."""
        return min(self._waits[0].time, before) if self._waits else before

    def due(self) -> Callable[[], None] | None:
        """What wakes the first of those whose time has come; None where there is none."""
        return self._waits[0].scope.cancel if self._waits and self._waits[0].time <= self.now() else None

    def end(self, failure: FeedError | None) -> None:
        """Nothing more comes: the data has ended, or the feed by a failure. The clock goes on."""
        for wake in self.ending(failure):
            wake()

    def ending(self, failure: FeedError | None) -> list[Callable[[], None]]:
        """As `end`, but returns what wakes those that wait."""
        self._ended, self._failure = True, failure
        return [wait.scope.cancel for wait in self._waits]

    async def wait_until(self, time_ns: int) -> bool:
        """Wait until market time is there; False where the data has ended before. Always a checkpoint. Cancel-safe.

        Raises:
            FeedError: the feed has ended.
        """
        await trio.lowlevel.checkpoint()
        while time_ns > self.now() and not self._ended:
            wait = _Wait(time_ns, trio.CancelScope(deadline=self._deadline(time_ns)))
            insort(self._waits, wait, key=attrgetter("time"))
            try:
                with wait.scope:
                    await trio.sleep_forever()
            finally:
                self._waits.remove(wait)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return time_ns <= self.now()

    def _set(self, time_ns: int) -> None:
        self._ahead = time_ns - _trio_ns()
        # Moved, not woken: to be woken by each event would cost more than the event.
        for wait in self._waits:
            wait.scope.deadline = self._deadline(wait.time)

    def _deadline(self, time_ns: int) -> float:
        if self._by_hand:
            return float("inf")
        # Less than a microsecond may be lost in a float of seconds, and the waiting would spin.
        left = time_ns - self.now()
        return trio.current_time() + (max(left / 1e9, 1e-6) if left > 0 else 0.0)


def _trio_ns() -> int:
    return round(trio.current_time() * 1e9)
