"""`open_feed`: one logical connection to a server, for as long as its body runs, whatever happens to the wire."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, Unpack

import trio

from datafye_trio.client.base_feed import BaseFeed
from datafye_trio.client.config import FeedConfig
from datafye_trio.client.history import HistoryOptions, HistoryStream, Moment, make_query, parse_moment
from datafye_trio.client.hub import Hub, closed
from datafye_trio.client.ledger import LedgerEntry
from datafye_trio.client.options import SubscribeOptions, make_wish
from datafye_trio.client.seam import SubscriptionSince
from datafye_trio.client.states import StateChange, StateWatch
from datafye_trio.client.subscription import Subscription
from datafye_trio.client.urls import default_url, normal_url
from datafye_trio.errors import ConfigurationError, FeedClosedError
from datafye_trio.model import FeedItem, Frequency, Gap, Live, TopicKey
from datafye_trio.nurseries import BareNursery
from datafye_trio.protocol import Connected
from datafye_trio.wire.client import open_client

__all__ = ["WireFeed", "RawItem", "open_feed", "open_raw_feed"]

T = TypeVar("T")
RawItem: TypeAlias = dict[str, Any] | Gap | Live
"""What a raw feed yields: messages as the server wrote them, with gaps and marks between."""


class WireFeed(BaseFeed[T]):
    """A feed that runs; made by `open_feed`, which also ends it. Its subscriptions share its connections."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, hub.market)
        self._hub = hub

    def trades(
        self, symbols: str | Sequence[str], *, since: Moment | None = None, **options: Unpack[SubscribeOptions]
    ) -> Subscription[T]:
        """Trades. As `subscribe`; with `since`, stored ones first: see `SubscriptionSince`."""
        if since is None:
            return super().trades(symbols, **options)
        wish = make_wish("trades", symbols, Frequency.MINUTE, options)
        return SubscriptionSince(self._hub, wish, parse_moment("since", since))

    def bars(
        self,
        symbols: str | Sequence[str],
        *,
        frequency: str = Frequency.MINUTE,
        running: bool = False,
        since: Moment | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription[T]:
        """Bars. As `subscribe`; with `since`, stored ones first: see `SubscriptionSince`."""
        if since is None:
            return super().bars(symbols, frequency=frequency, running=running, **options)
        wish = make_wish("aggregates", symbols, frequency, options, running=running)
        return SubscriptionSince(self._hub, wish, parse_moment("since", since))

    def history(
        self,
        symbols: str | Sequence[str],
        *,
        start: Moment,
        end: Moment | None = None,
        **options: Unpack[HistoryOptions],
    ) -> HistoryStream[T]:
        """Stored events of a range of time, in order, and then the end: see `HistoryStream`.

        Args:
            symbols: one or several; `*` is every symbol of the dataset.
            start: the first moment of the range. For bars, it is their start that counts.
            end: the first moment after it; by default now, by the server's clock.
            options: see `HistoryOptions`.

        Raises:
            ConfigurationError: what no server could make sense of; a datetime without a time zone.
        """
        return HistoryStream(self._hub, make_query(symbols, start, end, options))

    @property
    def state(self) -> StateChange:
        """What the feed is doing."""
        return self._hub.states.current

    def states(self) -> StateWatch:
        """What the feed is doing, now and from now on: `async for change in feed.states()`. Ends after `closed`."""
        return self._hub.states.watch()

    @property
    def server(self) -> Connected | None:
        """What the server said about itself when it was last connected to; None before, or where it says nothing."""
        return self._hub.connected

    @property
    def provable(self) -> bool | None:
        """Whether the server numbers its messages, so that each loss is seen; None before the first connection.

        Where it is False, a `Gap` of reason `unnumbered` stands wherever something may be missing, and the ledger has
        no last `seq`.
        """
        return self._hub.wiring.provable

    async def wait_connected(self) -> Connected | None:
        """Wait until it is known what the server is: its first greeting, or None where it has none. Cancel-safe.

        Raises:
            FeedError: there is no connection, and there will be none.
        """
        await self._hub.wait_connected()
        return self._hub.connected

    def ledger(self) -> dict[TopicKey, LedgerEntry]:
        """What was received and what was lost, of each topic that is subscribed: the proof that nothing is missing."""
        return self._hub.book.ledger()

    @property
    def lag(self) -> int:
        """Messages that waited for us at the server when it last sent a heartbeat."""
        return self._hub.wiring.lag


class _Opening(AbstractAsyncContextManager[WireFeed[T]]):
    """Opens a feed, and ends it."""

    def __init__(self, url: str | None, config: FeedConfig | None, *, raw: bool) -> None:
        if url is not None and not isinstance(url, str):
            raise ConfigurationError(f"url: a text such as 'ws://localhost:8080', not {url!r}")
        if config is not None and not isinstance(config, FeedConfig):
            raise ConfigurationError(f"config: a FeedConfig(...), not {config!r}")
        self._url = default_url(os.environ) if url is None else normal_url(url)
        self._config = config if config is not None else FeedConfig()
        open_client(self._url, self._config.client_options())  # refuses here what it could not use
        self._raw = raw
        self._tasks = BareNursery("the feed")
        self._hub: Hub | None = None

    async def __aenter__(self) -> WireFeed[T]:
        if self._hub is not None:
            raise FeedClosedError("a feed is opened once: call open_feed again for another one")
        self._hub = Hub(self._url, self._config, raw=self._raw)
        self._hub.nursery = await self._tasks.enter()
        self._hub.nursery.start_soon(self._hub.run)
        return WireFeed(self._hub)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._hub is not None  # noqa: S101 -- set by __aenter__
        failure = self._hub.failure
        self._hub.end(closed())
        await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
        await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC102 -- tells outside what was taken out of the group
        if error is None and failure is not None and not self._hub.failure_met:
            raise failure.with_traceback(None)


class open_feed(_Opening[FeedItem]):  # noqa: N801 -- reads as the call that it is
    """Open a feed: `async with open_feed(url) as feed: async with feed.quotes("AAPL") as sub: ...`.

    It connects in the background, and comes back whenever the connection is lost. Entering does not wait, and a server
    that is not there yet is waited for (`Reconnect(attempts=0)` raises instead); `feed.states()` tells, and the log.
    What ends a feed for good is raised by whatever waits for its events, or by the next call; where nothing did, by the
    end of the body. What the body raises leaves it bare, not in an exception group.

    Args:
        url: a server's base URL, or a path below it; by default `DATAFYE_WS_URL`, or the local deployment.
        config: how to connect, and how to come back.

    Raises:
        ConfigurationError: the URL or a setting cannot be used.
    """

    def __init__(self, url: str | None = None, config: FeedConfig | None = None) -> None:
        super().__init__(url, config, raw=False)


class open_raw_feed(_Opening[RawItem]):  # noqa: N801 -- likewise
    """As `open_feed`, but events are plain dicts, as the server wrote them: its field names, its unit of time."""

    def __init__(self, url: str | None = None, config: FeedConfig | None = None) -> None:
        super().__init__(url, config, raw=True)
