"""A client that changes its mind: it subscribes and unsubscribes, is cut off, and comes back; all of it is judged."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs
import trio

from datafye_trio.client import FeedConfig, FeedState, Reconnect, StateChange, open_feed
from datafye_trio.errors import FeedError, leaves_of
from datafye_trio.model import Channel
from datafye_trio.strategy import Feed
from datafye_trio.testing import Oracle, Topic, Verdict

__all__ = ["Restless"]

_RECONNECT: Final = Reconnect(first=0.05, ceiling=1.0, refused_ceiling=1.0, healthy_after=0.5)
"""Quick: what is tried is that they come back again and again."""
_MOST: Final = 4
"""Subscriptions at once."""
_MOST_SYMBOLS: Final = 3


@attrs.define(eq=False)
class _Stint:
    """One subscription, from its beginning to its end. What came before it, and comes after it, is nobody's."""

    topics: tuple[Topic, ...]
    oracle: Oracle
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)


class Restless:
    """See the module. All that is asked of it while it runs is sync.

    Attributes:
        subscribed: set once its first subscription stands.
        changes: how often it subscribed or unsubscribed.
        cuts: how often it was cut off.
        losses: how often it lost its connection, and how often an attempt failed.
        failure: what ended the feed, which nothing should.
    """

    def __init__(self, number: int, symbols: Sequence[str], seed: int) -> None:
        self.subscribed = trio.Event()
        self.done = trio.Event()
        self.changes = self.cuts = self.losses = 0
        self.failure: str | None = None
        self._name = f"client {number}"
        self._symbols = symbols
        self._chance = random.Random(f"{seed}/{number}")
        self._stints: list[_Stint] = []
        self._before = Verdict(0, 0, 0, 0, Counter(), ())
        """On all that are over."""
        self._stream: trio.SocketStream | None = None
        self._feed: Feed | None = None
        self._nursery: trio.Nursery | None = None
        self._live = False
        self._end: Mapping[Topic, int] | None = None
        self._news = trio.lowlevel.ParkingLot()

    async def run(self, port: int) -> None:
        """Be there until cancelled, or until the feed fails."""

        async def connect() -> trio.abc.Stream:
            self._stream = await trio.open_tcp_stream("127.0.0.1", port)
            return self._stream

        config = FeedConfig(_RECONNECT, open_stream=connect)
        try:
            async with (
                open_feed(f"ws://127.0.0.1:{port}/datafye-ws/v1", config) as feed,
                trio.open_nursery() as nursery,
            ):
                self._feed, self._nursery = feed, nursery
                nursery.start_soon(self._follow, feed.states())
                self.change()
                await trio.sleep_forever()
        except* FeedError as group:
            self.failure = str(next(leaves_of(group)))

    def change(self) -> None:
        """Subscribe to something, or unsubscribe from something; one subscription is always left."""
        assert self._nursery is not None  # set by run
        self.changes += 1
        count = len(self._stints)
        if count < 2 or (count < _MOST and self._chance.random() < 0.5):
            names = self._chance.sample(self._symbols, self._chance.randint(1, _MOST_SYMBOLS))
            topics = tuple((Channel.TRADES, name) for name in names)
            self._stints.append(_Stint(topics, Oracle(self._name)))
            self._nursery.start_soon(self._follow_stint, self._stints[-1])
        else:
            self._stints.pop(self._chance.randrange(count)).scope.cancel()

    def cut(self) -> None:
        """Let the transport end without a word, as far as either end can tell."""
        if self._stream is not None:
            self.cuts += 1
            with suppress(OSError):  # it has ended already
                self._stream.socket.shutdown(socket.SHUT_RDWR)

    async def wait_live(self) -> None:
        """Wait until all that it wants flows. Cancel-safe."""
        while not self._live:
            await self._news.park()

    def end(self, log: Mapping[Topic, int]) -> None:
        """This is the log: `done` once all of it has come to the subscriptions that are there, or was told lost."""
        self._end = log
        if all(stint.oracle.reached({topic: log[topic] for topic in stint.topics}) for stint in self._stints):
            self.done.set()

    @property
    def received(self) -> int:
        """Messages so far, a message for each subscription that wants it."""
        return self._before.received + sum(stint.oracle.received for stint in self._stints)

    def verdict(self, log: Mapping[Topic, int]) -> Verdict:
        """The verdict at the end, with the log; ask once."""
        ends = [stint.oracle.verdict({topic: log[topic] for topic in stint.topics}) for stint in self._stints]
        return Verdict.sum([self._before, *ends])

    async def _follow_stint(self, stint: _Stint) -> None:
        assert self._feed is not None  # set by run
        with stint.scope:
            async with self._feed.trades([symbol for _, symbol in stint.topics]) as subscription:
                self.subscribed.set()
                async for item in subscription:
                    stint.oracle.take(item)
                    if self._end is not None:
                        self.end(self._end)
        self._before = Verdict.sum([self._before, stint.oracle.verdict({})])

    async def _follow(self, states: AsyncIterable[StateChange]) -> None:
        async for change in states:
            self.losses += change.state is FeedState.DISCONNECTED
            self._live = change.state is FeedState.LIVE
            self._news.unpark_all()
