"""When the bars of a feed that has fallen silent are over, by the wall clock."""

from __future__ import annotations

from math import inf

import trio

from datafye_trio.aggregates import Aggregator

__all__ = ["Quiet"]


class Quiet:
    """Watches the bars of one dataset. Only within trio.

    Args:
        bars: those.
        grace: the seconds after their end at which they are over; None: no wall clock finishes them.
    """

    def __init__(self, bars: Aggregator, grace: float | None) -> None:
        self._bars = bars
        self._grace = grace
        self._clock = bars.clock
        self._moved = trio.current_time()
        """The trio time at which the feed's clock last moved."""
        self._woken = trio.Event()
        self._awaited = inf
        """The trio time that `wait` sleeps for; a bar that is due before it wakes it."""

    def note(self, now: float) -> None:
        """A trade was added, at this trio time."""
        if self._grace is None:
            return
        if self._bars.clock != self._clock:
            self._clock, self._moved = self._bars.clock, now
        if self._due() < self._awaited:
            self._woken.set()

    def until(self) -> int | None:
        """The market time up to which bars are over; None: nothing tells."""
        if self._grace is None:
            return None
        return self._bars.clock + round((trio.current_time() - self._moved - self._grace) * 1e9)

    async def wait(self) -> None:
        """Wait until a bar is over by the wall clock, on a feed that has not said so. For ever without a `grace`.

        The feed's clock is taken to go on by itself while the feed is silent: so this works for a feed whose times
        are not today's, too. Cancel-safe.
        """
        while (due := self._due()) > trio.current_time():
            self._woken, self._awaited = trio.Event(), due
            with trio.move_on_at(due):
                await self._woken.wait()

    def _due(self) -> float:
        end = self._bars.next_end
        if end is None or self._grace is None:
            return inf
        # A microsecond more: rounding must not wake us before the span is over, again and again.
        return self._moved + (end - self._bars.clock) / 1e9 + self._grace + 1e-6
