"""Clients that note what becomes of their connection: it is not to end, or they are to come back soon."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, Final

import trio

from datafye_trio.client import FeedConfig, FeedState, StateChange, open_feed
from datafye_trio.errors import FeedError, leaves_of
from datafye_trio.model import FeedItem, Quote, Trade
from datafye_trio.testing import Topic, Verdict, number_of
from soaking.running import Client

__all__ = ["WatchedClient", "account_of", "undisturbed"]

_BUSY: Final = "HTTP 503"


class WatchedClient(Client):
    """A client that notes what becomes of its connection.

    Attributes:
        attempts: how often it began to connect.
        busy: how often it was told HTTP 503.
        lost: each loss of the connection, and each attempt that failed: when, in seconds of `time.monotonic()`, which
            is one for all processes of a machine; and why.
        back: for each life of the server, when its first event came, likewise.
        failure: what ended the feed, which nothing should.
    """

    def __init__(self, number: int, topics: Sequence[Topic], config: FeedConfig) -> None:
        super().__init__(number, topics, config.reconnect)
        self.attempts = self.busy = 0
        self.lost: list[tuple[float, str]] = []
        self.back: dict[int, float] = {}
        self.failure: str | None = None
        self._life = -1
        self._news = trio.lowlevel.ParkingLot()
        self._config = config

    async def run(self, port: int) -> None:
        """Subscribe, and have judged what comes, until cancelled, or until the feed fails."""
        url = f"ws://127.0.0.1:{port}/datafye-ws/v1"
        try:
            async with open_feed(url, self._config) as feed, trio.open_nursery() as nursery:
                nursery.start_soon(self.follow, feed.states())
                async with feed.trades([symbol for _, symbol in self.topics]) as subscription:
                    self.subscribed.set()
                    async for item in subscription:
                        self.take(item)
        except* FeedError as group:
            self.failure = str(next(leaves_of(group)))

    async def follow(self, states: AsyncIterable[StateChange]) -> None:
        """Note these changes, to their end."""
        async for change in states:
            if change.state is FeedState.CONNECTING:
                self.attempts += 1
            elif change.state is FeedState.DISCONNECTED:
                why = change.why or ""
                self.busy += _BUSY in why
                self.lost.append((time.monotonic() - (trio.current_time() - change.time), why))

    def take(self, item: FeedItem) -> None:
        """The next item."""
        if isinstance(item, Trade | Quote) and (life := number_of(item)[0]) != self._life:
            self._life = life
            self.back.setdefault(life, time.monotonic())
            self._news.unpark_all()
        super().take(item)

    async def wait_back(self, life: int) -> None:
        """Wait for the first event of a life of the server. Cancel-safe."""
        while life not in self.back:
            await self._news.park()


def account_of(clients: Iterable[WatchedClient], life: int = 0) -> Verdict:
    """One verdict on all of them, after `wait_for_all`; ask once."""
    return Verdict.sum([client.verdict(life) for client in clients])


def undisturbed(verdict: Verdict, clients: Iterable[WatchedClient], seen: Mapping[str, Any]) -> dict[str, bool]:
    """The promises that all came, and that neither end took a connection for dead.

    Args:
        verdict: on what came.
        clients: what they have noted.
        seen: what the server says of itself: it was asked while all clients were connected.
    """
    lost = [why for client in clients for _, why in client.lost]
    lost += [client.failure for client in clients if client.failure]
    codes = [code for _, code in seen["ended"]]
    return {
        "not all that was published came once and in order": verdict.sound and not verdict.gaps + verdict.restarts,
        f"clients lost their connection {len(lost)} times; the first: {lost[0] if lost else ''}": not lost,
        f"the server ended {len(codes)} connections, the first ones with {codes[:3]}": not codes,
    }
