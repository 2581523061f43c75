"""A feed with an eye on what a strategy subscribes to; without a hand on a single event."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, cast

from datafye_trio.client import Subscription, SubscriptionStatistics
from datafye_trio.model import FeedItem
from datafye_trio.strategy import Feed

__all__ = ["Watched"]

_SUBSCRIBING: Final = frozenset({"subscribe", "quotes", "trades", "bars", "sma", "ema"})


class Watched:
    """A feed that knows its subscriptions, whose own statistics then tell how much has come.

    All else is the feed's own. Rejected: counting what each of them yields, which costs as much again as taking it.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._open: set[Subscription[FeedItem]] = set()
        self._events = self._gaps = self._missing = self._dropped = 0
        """Of subscriptions that are closed."""
        self.now = feed.now  # asked often: not by way of __getattr__
        self.sleep_until = feed.sleep_until

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._feed, name)
        if name not in _SUBSCRIBING:
            return found
        return lambda *arguments, **options: _Entering(self, found(*arguments, **options))

    def as_feed(self) -> Feed:
        """The same, as what it stands for."""
        return cast("Feed", self)

    def taken(self) -> int:
        """Items that the strategy has taken so far."""
        return self._events + sum(one.delivered for one in self._statistics())

    def losses(self) -> tuple[int, int, int]:
        """Gaps so far, the messages known to be lost in them, and what was dropped as it was asked for."""
        told = self._statistics()
        return (
            self._gaps + sum(one.gaps for one in told),
            self._missing + sum(one.missing for one in told),
            self._dropped + sum(one.dropped for one in told),
        )

    def entered(self, subscription: Subscription[FeedItem]) -> None:
        """It counts from now on."""
        self._open.add(subscription)

    def left(self, subscription: Subscription[FeedItem]) -> None:
        """It will not change any more, and need not be kept."""
        self._open.discard(subscription)
        last = subscription.statistics()
        self._events += last.delivered
        self._gaps += last.gaps
        self._missing += last.missing
        self._dropped += last.dropped

    def _statistics(self) -> list[SubscriptionStatistics]:
        return [one.statistics() for one in self._open]


class _Entering(AbstractAsyncContextManager[Subscription[FeedItem]]):
    """A subscription until it is entered, and when it is left; `as` gives the subscription itself."""

    def __init__(self, watched: Watched, subscription: Subscription[FeedItem]) -> None:
        self._watched = watched
        self._subscription = subscription

    async def __aenter__(self) -> Subscription[FeedItem]:
        entered = await self._subscription.__aenter__()
        self._watched.entered(entered)
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watched.left(self._subscription)
        await self._subscription.__aexit__(kind, error, traceback)  # noqa: ASYNC102 -- waits for nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subscription, name)

    def __aiter__(self) -> Subscription[FeedItem]:
        return self._subscription

    async def __anext__(self) -> FeedItem:
        return await anext(self._subscription)
