"""Several subscriptions as one stream, in order of market time.

Rules, for whoever changes them:

- An item's time is `event_time`: when it can be known; for a bar, that is when its span ends. A gap and a mark have
  none: they come as soon as what stood before them in their subscription has. Nothing changes places within one
  subscription; what comes there with a time before one that was reached is late, and goes on at once.
- The item with the least time goes first; of equal ones, that of the subscription named first. It may go once no other
  subscription can still have something before it: each has an item of its own to compare with, or has ended, or is
  silent, and the oldest item has been here for `patience`. So no item is held back for longer.
- An item is here from when it was taken out of its subscription, which is done at once, by a task for each. It is
  trio's clock that counts there, not the market's: a server may replay a day at any speed.

On a feed in this process, all that happens at one moment is handed out before anybody is woken, so the order of ticks
is exact with any patience. What comes later than its time does, a bar of a quiet symbol, or anything on a wire, needs
some.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, NamedTuple, Self

import trio

from datafye_trio.aggregates import event_time
from datafye_trio.client import Subscription
from datafye_trio.errors import ConfigurationError, FeedClosedError
from datafye_trio.model import FeedItem, Gap, Live
from datafye_trio.nurseries import BareNursery
from datafye_trio.strategy.feed import Feed

__all__ = ["Merged", "merge"]

_CAPACITY: Final = 65_536
"""The most items of a subscription that are held, as in its own buffer; a batch of its may come on top. So it is also
how many may come in `patience` seconds beside a silent subscription, before the merge is too slow for them."""
_STEP: Final = 64
"""Items after which others get their turn."""


class _Held(NamedTuple):
    """An item, or what has ended its subscription, with its time, and when it was taken (of trio's clock)."""

    key: int
    taken: float
    item: FeedItem | Exception


class _Source:
    """One of the subscriptions, and what was taken out of it.

    Attributes:
        held: what was taken, and was not asked for yet.
        over: whether nothing more comes; the last item says why, where that is an error.
        room: who waits for room.
    """

    def __init__(self, feed: Feed, stream: Subscription[FeedItem]) -> None:
        self.held: deque[_Held] = deque()
        self.over = False
        self.room = trio.lowlevel.ParkingLot()
        self._feed = feed
        self._stream = stream
        self._key = 0

    @property
    def has_more(self) -> bool:
        """Whether something waits in the subscription."""
        return self._stream.statistics().waiting > 0

    async def follow(self, news: trio.lowlevel.ParkingLot) -> None:
        """Take what comes, and wake those who wait for news, until the end."""
        while not self.over:
            while len(self.held) >= _CAPACITY:
                await self.room.park()
            try:
                items = await self._stream.receive_many()
            except Exception as error:  # noqa: BLE001 -- raised where it stands, after what came before it
                self.held.append(_Held(self._key - 1, trio.current_time(), error))
                self.over = True
            else:
                self._take(items)
            news.unpark_all()

    def _take(self, items: Sequence[FeedItem]) -> None:
        self.over = not items
        taken, now = trio.current_time(), self._feed.now()
        for item in items:
            if isinstance(item, Gap | Live):
                self.held.append(_Held(self._key - 1, taken, item))  # as what is late: at once
            else:
                # Bars of a day end where their market does, which they do not say: but never later than now.
                self._key = min(event_time(item), now)
                self.held.append(_Held(self._key, taken, item))


class Merged(AsyncIterator[FeedItem]):
    """The items of several subscriptions; made by `merge`. Several tasks may iterate: each item goes to one of them."""

    def __init__(self, sources: Sequence[_Source], patience: float) -> None:
        self._sources = sources
        self._patience = patience
        self._reached = 0
        """The greatest time of all items that went."""
        self._left = _STEP
        self._news = trio.lowlevel.ParkingLot()
        self._met: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FeedItem:
        """The next item. Cancel-safe. A checkpoint where it waits, and at every 64th item.

        Raises:
            FeedError: what has ended one of the subscriptions, after all that came before it there.
        """
        if self._left == 0:
            self._left = _STEP
            await trio.lowlevel.checkpoint()
        while (source := self._next()) is None:
            # Past the deadline, it is for what waits in a subscription, and will be taken out as soon as its task runs.
            with trio.move_on_at(deadline if (deadline := self._deadline()) > trio.current_time() else math.inf):
                await self._news.park()
        key, _, item = source.held[0]
        if isinstance(item, Exception):
            self._met = item
            raise item  # it stays there: there is no more
        source.held.popleft()
        if source.room:
            source.room.unpark_all()
        self._reached = max(self._reached, key)
        self._left -= 1
        return item

    def _next(self) -> _Source | None:
        """Whose item goes now; None where that is not known yet.

        Raises:
            StopAsyncIteration: all have ended.
        """
        full = [source for source in self._sources if source.held]
        silent = [source for source in self._sources if not source.held and not source.over]
        if not full:
            if not silent:
                raise StopAsyncIteration
            return None
        first = min(full, key=lambda source: source.held[0].key)  # of equals, the first
        if first.held[0].key < self._reached or not silent:
            return first
        must_go = trio.current_time() >= self._deadline() and not any(source.has_more for source in silent)
        return first if must_go else None

    def _deadline(self) -> float:
        """When the item that is held longest must go."""
        return min((source.held[0].taken + self._patience for source in self._sources if source.held), default=math.inf)

    def _unmet(self) -> Exception | None:
        """What has ended a subscription, and was not raised to anybody."""
        last = [source.held[-1].item for source in self._sources if source.over and source.held]
        return next((item for item in last if isinstance(item, Exception) and item is not self._met), None)


class merge(AbstractAsyncContextManager[Merged]):  # noqa: N801 -- reads as the call that it is
    """Several subscriptions in order of market time: `async with merge(feed, quotes, trades) as merged: ...`.

    Then `async for item in merged`. See the module for the order. Gaps keep their place within their subscription.
    Iterating ends when all of them have ended; what ends one of them by an error is raised in its place, or by the end
    of the body where that has not come to it. Meanwhile nobody else reads the subscriptions. What the body raises
    leaves it bare.

    Args:
        feed: theirs.
        subscriptions: entered.
        patience: the most seconds (of trio's clock) that an item is held back for subscriptions that say nothing. More
            makes for better order where things come late, less for less delay where one of them is silent.

    Raises:
        ConfigurationError: no subscription; a patience below 0.
    """

    def __init__(self, feed: Feed, *subscriptions: Subscription[FeedItem], patience: float = 1.0) -> None:
        if not subscriptions:
            raise ConfigurationError("merge: name the subscriptions: merge(feed, quotes, trades)")
        if not patience >= 0:
            raise ConfigurationError(f"patience: seconds of at least 0, not {patience!r}")
        self._sources = [_Source(feed, stream) for stream in subscriptions]
        self._merged = Merged(self._sources, patience)
        self._tasks = BareNursery("the merge")

    async def __aenter__(self) -> Merged:
        if self._tasks.nursery is not None:
            raise FeedClosedError("a merge is entered once: call merge again for another one")
        nursery = await self._tasks.enter()
        for source in self._sources:
            nursery.start_soon(source.follow, self._merged._news)
        return self._merged

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
        if error is None and (unmet := self._merged._unmet()) is not None:
            raise unmet
