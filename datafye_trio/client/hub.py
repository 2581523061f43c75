"""What a feed's subscriptions and its link share: the book, who is to be woken, and how the feed has ended."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

import trio

from datafye_trio.client.backoff import Backoff
from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import Book
from datafye_trio.client.config import FeedConfig
from datafye_trio.client.decoding import Intake
from datafye_trio.client.link import Link
from datafye_trio.client.options import Wish, resolve
from datafye_trio.client.states import FeedState, States
from datafye_trio.client.talk import Talk
from datafye_trio.errors import FeedClosedError, FeedError
from datafye_trio.model import AssetClass
from datafye_trio.protocol import Connected

__all__ = ["Hub"]


class Hub:
    """See the module. `run` keeps the connection; all else is for subscriptions."""

    def __init__(self, url: str, config: FeedConfig, intake: Intake) -> None:
        self.url = url
        self.config = config
        self.nursery: trio.Nursery | None = None
        """The feed's own; None before it is open."""
        self.histories: set[Callable[[FeedError], None]] = set()
        """What is to be told when the feed ends, beside the book."""
        self.states = States(url)
        self.failure: FeedError | None = None
        self.failure_met = False
        """Whether a program was told of `failure`."""
        self.connected: Connected | None = None
        """What the server said about itself, last time."""
        self._talk = Talk(intake)
        self.new_intake: Callable[[], Intake] = type(intake)
        self._changed = trio.lowlevel.ParkingLot()
        backoff = Backoff(config.reconnect, random.random)
        self._link = Link(url, self._talk, config, self.states, backoff, self._came)

    @property
    def book(self) -> Book:
        """What is wanted, and what was received."""
        return self._talk.book

    @property
    def talk(self) -> Talk:
        """What is said on the connection."""
        return self._talk

    async def run(self) -> None:
        """Keep the connection until cancelled, or until it cannot be kept: then every subscription ends with why."""
        try:
            await self._link.run()
        except FeedError as failure:
            self.end(failure)

    def end(self, failure: FeedError) -> None:
        """There is no more. The first reason wins."""
        self.failure = self.failure or failure
        self.states.set(FeedState.CLOSED, why=str(failure))
        self.book.fail(self.failure)
        for fail in list(self.histories):
            fail(self.failure)
        self._changed.unpark_all()

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task of a subscription's until the feed ends, if it has not ended yet."""
        assert self.nursery is not None  # noqa: S101 -- nothing is to be had of a feed before it is open
        self.nursery.start_soon(task)

    def wake(self) -> None:
        """There may be something to ask of the server."""
        self._link.wake()

    async def boards(self, wish: Wish) -> Sequence[tuple[BoardKey, AssetClass]]:
        """Where a wish belongs; waits for the server's first message. Cancel-safe.

        Raises:
            SubscriptionError: the server does not have the dataset.
            FeedError: the feed has ended.
        """
        await self.wait_connected()
        assert self.connected is not None  # noqa: S101 -- what was waited for
        return resolve(wish, self.connected)

    async def wait_connected(self) -> None:
        """Wait until a server has greeted for the first time. Cancel-safe. Raises FeedError as `boards`."""
        await trio.lowlevel.checkpoint()
        while self.failure is None and self.connected is None:
            await self._changed.park()
        if self.failure is not None:
            self.failure_met = True
            raise self.failure

    def _came(self) -> None:
        if self._talk.connected is not None and self._talk.connected is not self.connected:
            self.connected = self._talk.connected
            self._changed.unpark_all()
        book = self.book
        if book.waiting:
            for sink in [sink for sink in book.waiting if len(sink.buffer)]:
                sink.changed()


def closed() -> FeedClosedError:
    """Why nothing more comes once the feed's own `async with` has ended."""
    return FeedClosedError("the feed is closed: its `async with` has ended")
