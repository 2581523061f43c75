"""What a feed's subscriptions and its link share: the book, who is to be woken, and how the feed has ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import Book
from datafye_trio.client.config import FeedConfig
from datafye_trio.client.conversation import unit_of
from datafye_trio.client.decoding import Intake, RawIntake, TypedIntake
from datafye_trio.client.line import Line
from datafye_trio.client.market_time import MarketTime
from datafye_trio.client.options import Wish, resolve, resolve_plain
from datafye_trio.client.states import FeedState, States
from datafye_trio.client.wiring import PerChannel, Single, Wiring, WiringOptions
from datafye_trio.errors import FeedClosedError, FeedError
from datafye_trio.logs import get_logger
from datafye_trio.model import AssetClass
from datafye_trio.protocol import NS_PER_UNIT, Connected

__all__ = ["Hub"]

log = get_logger("feed")


class Hub:
    """See the module. `run` keeps the connection; all else is for subscriptions."""

    def __init__(self, url: str, config: FeedConfig, *, raw: bool) -> None:
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
        self.book = Book(self._line)
        """What is wanted, and what was received."""
        self.market = MarketTime(time.time_ns())
        """The market's clock, by the events that came; of raw ones, by the server's own alone."""
        self.raw = raw
        """Whether events stay as the server wrote them."""
        self.new_intake: Callable[[], Intake] = RawIntake if raw else TypedIntake
        """For stored data, which says nothing of the time now."""
        self._changed = trio.lowlevel.ParkingLot()
        live = RawIntake if raw else partial(TypedIntake, self.market.saw)
        options = WiringOptions(url, config, self.states, live, self._came)
        self._wirings: list[Single | PerChannel] = []
        """Still to be tried, the one that is in use first."""
        if config.layout != "per-channel":
            self._wirings.append(Single(options, self.book))
        if config.layout != "single":
            self._wirings.append(PerChannel(options, self.book))

    @property
    def wiring(self) -> Wiring:
        """The connections."""
        return self._wirings[0]

    async def run(self) -> None:
        """Keep the connection until cancelled, or until it cannot be kept: then every subscription ends with why."""
        try:
            if len(self._wirings) > 1:
                await self._try_single()
            await self.wiring.run()
        except FeedError as failure:
            self.end(failure)

    def end(self, failure: FeedError) -> None:
        """There is no more. The first reason wins."""
        self.failure = self.failure or failure
        self.states.set(FeedState.CLOSED, why=str(failure))
        self.book.fail(self.failure)
        self.market.end(self.failure)
        for fail in list(self.histories):
            fail(self.failure)
        self._changed.unpark_all()

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task of a subscription's until the feed ends, if it has not ended yet."""
        assert self.nursery is not None  # noqa: S101 -- nothing is to be had of a feed before it is open
        self.nursery.start_soon(task)

    def wake(self) -> None:
        """There may be something to ask of the server."""
        self.wiring.wake()

    async def boards(self, wish: Wish) -> Sequence[tuple[BoardKey, AssetClass]]:
        """Where a wish belongs; waits until it is known what the server has. Cancel-safe.

        Raises:
            SubscriptionError: the server does not have the dataset.
            FeedError: the feed has ended.
        """
        await self.wait_connected()
        return resolve_plain(wish) if self.connected is None else resolve(wish, self.connected.datasets)

    async def wait_connected(self) -> None:
        """Wait until it is known whether the server greets, and how. Cancel-safe. Raises FeedError as `boards`."""
        await trio.lowlevel.checkpoint()
        while self.failure is None and self.wiring.provable is None:
            await self._changed.park()
        if self.failure is not None:
            self.failure_met = True
            raise self.failure.with_traceback(None)

    def _came(self) -> None:
        wiring = self.wiring
        wiring.note()
        if self.connected is not wiring.connected or wiring.provable is False:
            if wiring.connected is not None and wiring.connected is not self.connected:
                self.market.suppose(wiring.connected.timestamp * NS_PER_UNIT[unit_of(wiring.connected)])
            self.connected = wiring.connected
            self._changed.unpark_all()
        book = self.book
        if book.waiting:
            for sink in [sink for sink in book.waiting if len(sink.buffer)]:
                sink.changed()

    async def _try_single(self) -> None:
        single, per_channel = self._wirings
        assert isinstance(single, Single) and isinstance(per_channel, PerChannel)  # noqa: S101, PT018 -- as made
        try:
            await single.run()
        except FeedError as failure:
            if (patience := single.patience_after(failure)) is None:
                raise
            log.info("no path for all channels: one connection for each", url=self.url, why=str(failure))
            per_channel.patience = patience
            del self._wirings[0]

    def _line(self, key: BoardKey) -> Line:
        return self.wiring.line(key)


def closed() -> FeedClosedError:
    """Why nothing more comes once the feed's own `async with` has ended."""
    return FeedClosedError("the feed is closed: its `async with` has ended")
