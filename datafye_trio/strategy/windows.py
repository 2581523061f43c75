"""Windows over a stream of items: by market time, or by count, one after the other, none overlapping.

A window of time is over when market time says so, not when the next item comes: a strategy that looks at each minute
must hear of a silent one, too. Time alone would be wrong as well: a program that was busy has items waiting which came
in time, so they are read first.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Final, Self

import attrs
import trio

from datafye_trio.aggregates import event_time
from datafye_trio.errors import ConfigurationError, FeedError
from datafye_trio.model import Bar, Ema, Event, FeedItem, Gap, Live, Sma
from datafye_trio.strategy.feed import Feed
from datafye_trio.strategy.timing import span_ns

__all__ = ["Window", "count_windows", "time_windows"]

_TURNS: Final = 8
"""Turns of the scheduler without an item, after which nothing waits: a subscription takes three, a merge some six."""


@attrs.frozen
class Window:
    """Some items of a stream.

    Attributes:
        start: of time: its first nanosecond, since 1970 UTC. By count: the time of its first event.
        end: of time: the first nanosecond after it. By count: the time of its last event.
        items: in the order in which they came; gaps and marks keep their place.
        late: how many of them belong to an earlier window, which had been handed out before they came.
        partial: whether something may be missing, since the stream began after its start, or ended before its end.
    """

    start: int
    end: int
    items: tuple[FeedItem, ...]
    late: int = 0
    partial: bool = False


@attrs.define
class _Filling:
    items: list[FeedItem] = attrs.Factory(list)
    late: int = 0


class time_windows(AsyncIterator[Window]):  # noqa: N801 -- reads as the call that it is
    """Windows of market time: `async for window in time_windows(feed, trades, 60): ...` has one for each minute.

    They begin at whole multiples of the span, counted from 1970 UTC, and follow each other without a hole: one without
    items is handed out, too. The first is that of the first item, if it is not over by then. A bar counts for the
    window in which its span has its last nanosecond, so that a window of five minutes has its five bars of a minute.
    What comes for a window that is gone counts for the oldest that is not, and as late there.

    Ends where the items do, after those windows that have begun; what ends the items by an error is raised likewise. An
    object, not an async generator: a loop may be left at any point, and gone on with later. All items of a window are
    held until it is handed out: where that is too much, keep what you need of each (`Rolling`), and use `every`.

    Args:
        feed: whose market time.
        items: a subscription, a merge; any whose `__anext__` is cancel-safe, as theirs are.
        seconds: the span, above 0.
        patience: seconds of market time after its end until a window is handed out, for items that come late. Give more
            than that of a merge which `items` is: what that holds back comes late here.

    Raises:
        ConfigurationError: the span or the patience make no sense.
        FeedError: in iterating, as `items` does.
    """

    def __init__(self, feed: Feed, items: AsyncIterator[FeedItem], seconds: float, *, patience: float = 1.0) -> None:
        self._feed = feed
        self._items = items
        self._span = span_ns("time_windows", seconds)
        if not (math.isfinite(patience) and patience >= 0):
            raise ConfigurationError(f"patience: seconds of at least 0, not {patience!r}")
        self._patience = round(patience * 1e9)
        self._begun: int | None = None
        """Market time when the first item came, before which that of a feed is not always known."""
        self._first = trio.lowlevel.ParkingLot()
        self._start = self._newest = 0
        """Where the oldest window begins that was not handed out, and that of the newest item."""
        self._filling: dict[int, _Filling] = {}
        self._came = 0
        self._end: Exception | None = None
        self._ended = 0
        """Market time when there were no more items."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Window:
        """The next window, once market time has passed its end. Always a checkpoint. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        if self._end is None:
            await self._read()
        if self._end is None:
            return self._hand_out(partial=False)
        if not self._filling:
            raise self._end
        return self._hand_out(partial=self._start + self._span > self._ended)

    async def _read(self) -> None:
        """Read items until the oldest window is over, or until there are no more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, nursery.cancel_scope)
            await self._over()
            came = -1
            while came != self._came:  # what came in time, and waits
                came = self._came
                for _ in range(_TURNS):
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    async def _follow(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                self._add(await anext(self._items))
        except Exception as error:  # noqa: BLE001 -- a failure, or StopAsyncIteration: raised after the last window
            self._end, self._ended = error, self._feed.now()
            scope.cancel()

    async def _over(self) -> None:
        """Wait until market time has passed the end of the oldest window; for ever where it never will."""
        while self._begun is None:
            await self._first.park()
        try:
            over = await self._feed.sleep_until(self._start + self._span + self._patience + 1)
        except FeedError:
            over = False
        if not over:
            await trio.sleep_forever()  # the items end, too, and say why

    def _add(self, item: FeedItem) -> None:
        start = self._start_for(item)
        if self._begun is None:
            self._begun = now = self._feed.now()
            # Not before the oldest one that is not over: the newest quote of a symbol, which comes first, may be of
            # long ago. But a bar comes when its window is just over.
            oldest = now - self._span - self._patience
            self._start = max(start, oldest + -oldest % self._span)
            self._first.unpark_all()
        window = self._filling.setdefault(max(start, self._start), _Filling())
        window.items.append(item)
        window.late += start < self._start
        self._newest = max(start, self._start)
        self._came += 1

    def _start_for(self, item: FeedItem) -> int:
        """Where the window of an item begins."""
        now = self._feed.now()
        if isinstance(item, Gap | Live):
            return now - now % self._span if self._begun is None else self._newest
        # Bars of a day end where their market does, which they do not say: but never later than now.
        time = min(_counted_at(item), now)
        return time - time % self._span

    def _hand_out(self, *, partial: bool) -> Window:
        start = self._start
        window = self._filling.pop(start, _Filling())
        self._start += self._span
        self._newest = max(self._newest, self._start)
        began_within = self._begun is not None and start < self._begun
        return Window(start, self._start, tuple(window.items), window.late, partial or began_within)


class count_windows(AsyncIterator[Window]):  # noqa: N801 -- likewise
    """Windows of so many events: `async for window in count_windows(trades, 100): ...`.

    Gaps and marks are in them, and do not count. Ends where the items do, after the last window, which is partial where
    it has fewer; what ends the items by an error is raised likewise. An object, not an async generator: a loop may be
    left at any point, and gone on with later.

    Args:
        items: a subscription, a merge; any whose `__anext__` is cancel-safe, as theirs are.
        count: the events of a window, at least 1.

    Raises:
        ConfigurationError: the count makes no sense.
        FeedError: in iterating, as `items` does.
    """

    def __init__(self, items: AsyncIterator[FeedItem], count: int) -> None:
        if not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"count: a whole number of at least 1, not {count!r}")
        self._items = items
        self._count = count
        self._held: list[FeedItem] = []
        self._times: list[int] = []
        self._end: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Window:
        """The next window. A checkpoint where `items` has one. Cancel-safe."""
        while self._end is None and len(self._times) < self._count:
            try:
                item = await anext(self._items)
            except Exception as error:  # noqa: BLE001 -- a failure, or StopAsyncIteration: raised after the last window
                self._end = error
            else:
                self._held.append(item)
                if not isinstance(item, Gap | Live):
                    self._times.append(event_time(item))
        if not self._times:
            assert self._end is not None  # noqa: S101 -- else there would be events
            raise self._end
        window = Window(self._times[0], self._times[-1], tuple(self._held), partial=len(self._times) < self._count)
        self._held, self._times = [], []
        return window


def _counted_at(event: Event) -> int:
    """The time that says for which window an event counts."""
    time = event_time(event)
    # The last nanosecond of its span; a bar that is still forming has the time at which its span begins.
    return time - 1 if isinstance(event, Sma | Ema) or (isinstance(event, Bar) and event.final) else time
