"""A feed with an eye on what a strategy subscribes to; without a hand on a single event."""

from __future__ import annotations

from typing import Any, Final, cast

from datafye_trio.client import Subscription
from datafye_trio.model import FeedItem
from datafye_trio.strategy import Feed

__all__ = ["Watched"]

_SUBSCRIBING: Final = frozenset({"subscribe", "quotes", "trades", "bars", "sma", "ema"})


class Watched:
    """A feed that remembers its subscriptions, whose own statistics then tell how much has come.

    All else is the feed's own. Rejected: counting in a wrapper around each subscription, which costs as much again as
    taking an event.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._subscriptions: list[Subscription[FeedItem]] = []
        self.now = feed.now  # asked often: not by way of __getattr__
        self.sleep_until = feed.sleep_until

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._feed, name)
        if name not in _SUBSCRIBING:
            return found

        def subscribing(*arguments: Any, **options: Any) -> Subscription[FeedItem]:
            made: Subscription[FeedItem] = found(*arguments, **options)
            self._subscriptions.append(made)
            return made

        return subscribing

    def as_feed(self) -> Feed:
        """The same, as what it stands for."""
        return cast("Feed", self)

    def taken(self) -> int:
        """Items that the strategy has taken so far."""
        return sum(one.statistics().delivered for one in self._subscriptions)

    def losses(self) -> tuple[int, int, int]:
        """Gaps so far, the messages known to be lost in them, and what was dropped as it was asked for."""
        told = [one.statistics() for one in self._subscriptions]
        return sum(one.gaps for one in told), sum(one.missing for one in told), sum(one.dropped for one in told)
