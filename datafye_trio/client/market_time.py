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

    def reach(self, time_ns: int) -> None:
        """It is as late as this at least."""
        ahead = time_ns - _trio_ns()
        if ahead > self._ahead or not self._settled:
            self._ahead, self._settled = ahead, True
            if self._moved:
                self._moved.unpark_all()

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
        while (left := time_ns - self.now()) > 0 and not self._ended:
            # A nanosecond is less than a float of seconds may hold: without the margin this could spin.
            with trio.move_on_after(left / 1e9 + 1e-9):
                await self._moved.park()
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return time_ns <= self.now()


def _trio_ns() -> int:
    return round(trio.current_time() * 1e9)
