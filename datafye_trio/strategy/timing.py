"""Ticks of market time."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Final, Self

import trio

from datafye_trio.errors import ConfigurationError
from datafye_trio.strategy.feed import Feed

__all__ = ["every", "span_ns"]

_SECOND: Final = 1_000_000_000
_MARGIN: Final = 1.0


class every(AsyncIterator[int]):  # noqa: N801 -- reads as the call that it is
    """Market time at whole multiples of a span: `async for time_ns in every(feed, 60): ...` ticks at each full minute.

    Multiples are counted from 1970 UTC, so that hours of UTC, and minutes everywhere, are full. The first tick is the
    first multiple after the market time at which iterating begins. What is yielded is the time that was planned; it
    comes once that has passed, after the events of that very nanosecond.

    A program that is late gets the newest multiple that has passed, at once, and no tick for those between: it falls
    behind by no more than one, and the difference to the tick before says how many it has missed. Ends where the data
    does; on the wire, never. Where a server replays, its first event may set market time back, and the ticks with it.

    An object, not an async generator: a loop may be left at any point, and gone on with later.

    Args:
        feed: whose market time.
        seconds: the span, above 0, to the nanosecond.

    Raises:
        ConfigurationError: the span makes no sense.
        FeedError: in iterating: the feed has ended.
    """

    def __init__(self, feed: Feed, seconds: float) -> None:
        self._feed = feed
        self._span = span_ns("every", seconds)
        self._next: int | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        """The next tick. Always a checkpoint. Cancel-safe."""
        while True:
            now, span = self._feed.now(), self._span
            passed = now - now % span
            due = passed + span if self._next is None else min(max(self._next, passed), passed + span)
            self._next = due  # planned from here on, though the waiting be given up
            # Market time goes at least as fast as trio's, but for once: the first event of a server that replays may
            # set it back by years. Then this waits in vain, and plans anew.
            with trio.move_on_after(max(due - now, 0) / _SECOND + _MARGIN) as scope:
                has_come = await self._feed.sleep_until(due + 1)
            if not scope.cancelled_caught:
                break
        if not has_come and self._feed.now() < due:
            raise StopAsyncIteration
        self._next = due + span
        return due


def span_ns(what: str, seconds: float) -> int:
    """A span of seconds in nanoseconds.

    Raises:
        ConfigurationError: it is not above 0, or no number.
    """
    if not math.isfinite(seconds) or round(seconds * _SECOND) <= 0:
        raise ConfigurationError(f"{what}: seconds above 0, not {seconds!r}")
    return round(seconds * _SECOND)
