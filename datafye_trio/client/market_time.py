"""Market time as a feed knows it: never behind the newest event that came, and going on by itself in between.

The clock of this machine is not asked: a server may replay a day of years ago, at any speed. What is kept is how far
market time is ahead of trio's, which only grows: so the clock never goes back, and an event that comes late does not
move it.
"""

from __future__ import annotations

import trio

from datafye_trio.aggregates import event_time
from datafye_trio.errors import FeedError
from datafye_trio.model import AssetClass, Event

__all__ = ["MarketTime"]


class MarketTime:
    """See the module. `start` is what it shows before anything is known, in nanoseconds since 1970 UTC."""

    def __init__(self, start: int) -> None:
        self._ahead = start - _trio_ns()
        self._settled = False
        self._failure: FeedError | None = None
        self._ended = False
        self._awaited: list[int] = []
        self._moved = trio.lowlevel.ParkingLot()

    def now(self) -> int:
        """Market time in nanoseconds since 1970 UTC."""
        return self._ahead + _trio_ns()

    def suppose(self, time_ns: int) -> None:
        """Show this, unless an event has already told better."""
        if not self._settled:
            self._ahead = time_ns - _trio_ns()
            self._moved.unpark_all()

    def saw(self, event: Event, asset_class: AssetClass = AssetClass.STOCKS) -> None:
        """An event has come: it is now as late as that at least. The first one may set the clock back."""
        self.reach(event_time(event, asset_class))

    def reach(self, time_ns: int) -> bool:
        """It is as late as this at least. Returns whether somebody has waited for it."""
        if time_ns > self.now() or not self._settled:
            return self.set(time_ns)
        return False

    def set(self, time_ns: int) -> bool:
        """It is exactly this now. Returns whether somebody has waited for it."""
        self._ahead, self._settled = time_ns - _trio_ns(), True
        # Who waits for later goes on to wait: to be woken by each event would cost more than the event.
        if not self._awaited or min(self._awaited) > time_ns:
            return False
        self._moved.unpark_all()
        return True

    def end(self, failure: FeedError | None) -> None:
        """Nothing more comes: the data has ended, or the feed by a failure. The clock goes on."""
        self._ended, self._failure = True, failure
        self._moved.unpark_all()

    async def wait_until(self, time_ns: int) -> bool:
        """Wait until market time is there; False where the data has ended before. Always a checkpoint. Cancel-safe.

        Raises:
            FeedError: the feed has ended.
        """
        await trio.lowlevel.checkpoint()
        self._awaited.append(time_ns)
        try:
            while (left := time_ns - self.now()) > 0 and not self._ended:
                # Less than a microsecond may be lost in a float of seconds, and this would spin.
                with trio.move_on_after(max(left / 1e9, 1e-6)):
                    await self._moved.park()
        finally:
            self._awaited.remove(time_ns)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return time_ns <= self.now()


def _trio_ns() -> int:
    return round(trio.current_time() * 1e9)
