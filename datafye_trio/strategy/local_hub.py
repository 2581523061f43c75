"""Between sources and subscriptions of one process: hands events out, and makes a source wait for a slow program.

A source is made to wait as long as the program goes on reading; one that has not read for `PATIENCE` seconds, with a
full buffer, is passed over and told so by a gap, as a server does it: nobody is held up for longer by somebody else.
On a recording time stands still while anybody reads, so there is nothing to be patient for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import trio

from datafye_trio.client.board import BoardKey
from datafye_trio.client.market_time import MarketTime
from datafye_trio.client.options import Wish, resolve
from datafye_trio.client.sink import Sink
from datafye_trio.errors import FeedError
from datafye_trio.model import AssetClass, Event, Trade
from datafye_trio.protocol import DatasetOffer
from datafye_trio.sources import Mark
from datafye_trio.sources.positions import Positions
from datafye_trio.strategy.local_book import EPOCH, LocalBook, LocalTopic
from datafye_trio.strategy.local_dataset import LocalDataset, Routed

__all__ = ["PATIENCE", "LocalHub", "LocalPublisher"]

PATIENCE: Final = 5.0
MakeRoom: TypeAlias = Callable[[Callable[[], bool]], Awaitable[None]]


class LocalHub:
    """The `Host` of subscriptions to sources of the same process.

    Args:
        datasets: what there is, the first one the default.
        market: the market's clock.
        make_room: lets programs read that have no room, until a condition holds, or for as long as it has patience.
    """

    def __init__(self, datasets: Sequence[LocalDataset], market: MarketTime, make_room: MakeRoom | None = None) -> None:
        self.datasets = {dataset.info.name: dataset for dataset in datasets}
        self.book = LocalBook([(dataset.info, dataset.keys) for dataset in datasets])
        self.market = market
        self.failure: FeedError | None = None
        self.failure_met = False
        self._make_room = make_room or self._be_patient
        self._changed = trio.lowlevel.ParkingLot()
        self._fed: dict[Sink, None] = {}
        """Those that were handed something, in order, and waited for it: to look at all that wait would cost more."""
        self._offers = [
            DatasetOffer(one.info.name, one.info.asset_class, EPOCH, one.info.channels, one.info.frequencies)
            for one in datasets
        ]

    # What subscriptions call: see `Host`.

    async def boards(self, wish: Wish) -> Sequence[tuple[BoardKey, AssetClass]]:
        """Where a wish belongs. Always a checkpoint. Cancel-safe.

        Raises:
            SubscriptionError: there is no such dataset.
            FeedError: the feed has ended.
        """
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            self.failure_met = True
            raise self.failure.with_traceback(None)
        return resolve(wish, self._offers)

    def wake(self) -> None:
        """Something was attached, detached, paused or unpaused."""
        if self._changed:
            self._changed.unpark_all()

    # What gives events calls.

    def end(self, failure: FeedError | None = None) -> None:
        """Nothing more comes: the data has ended, or what gave it has failed. The first reason wins."""
        for wake in self.ending(failure):
            wake()

    def ending(self, failure: FeedError | None = None) -> list[Callable[[], None]]:
        """As `end`, but returns what wakes the programs that wait."""
        if self.failure is not None:
            return []
        self.failure = failure
        return [*self.book.ending(failure), *self.market.ending(failure)]

    async def hand_out(self, routed: Sequence[Routed]) -> None:
        """Put messages into the buffers of those who want them; waits for who reads and has no room, else not at all.

        Cancelled, some of them may have been handed out, and not all.
        """
        waiting = self.book.waiting
        for board, event in routed:
            if (topic := self.book.topic(board, event.symbol)) is None:
                continue
            full = topic.came(event)
            if waiting:
                self._fed |= {sink: None for sink in topic.live if sink in waiting}
            if full:
                await self._wait_for(full, topic)

    def readers(self) -> list[Sink]:
        """Those whose program waits for what was handed out since the last call, in the order of events."""
        fed, self._fed = self._fed, {}
        return [sink for sink in fed if sink in self.book.waiting and len(sink.buffer)]

    def wake_readers(self) -> None:
        """Wake them."""
        for sink in self.readers():
            sink.changed()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on subscriptions holds. Always a checkpoint. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.park()

    async def _wait_for(self, full: Sequence[Sink], topic: LocalTopic) -> None:
        for sink in full:
            sink.full()  # pauses it, or ends it, as its policy has it
        await self._make_room(lambda: not any(sink.paused for sink in full))
        for sink in full:
            if not sink.paused:
                self._fed[sink] = None
                if not topic.again(sink):
                    sink.full()  # something else has taken the room
            if sink.paused:
                for one in list(sink.topics):
                    assert isinstance(one, LocalTopic)  # noqa: S101 -- as the book makes them
                    one.leave_behind(sink, lacks_newest=one is topic)

    async def _be_patient(self, condition: Callable[[], bool]) -> None:
        self.wake_readers()
        with trio.move_on_after(PATIENCE):
            await self.wait_for(condition)


class LocalPublisher:
    """What a source is given; see `datafye_trio.sources.Publisher`. Several of its tasks may publish, one by one."""

    def __init__(self, hub: LocalHub, dataset: LocalDataset, wall_clock: Callable[[], int]) -> None:
        self._hub = hub
        self._dataset = dataset
        self._wall_clock = wall_clock
        self._publishing = trio.Lock()

    async def publish(self, events: Event | Sequence[Event]) -> None:
        """Hand events to the subscriptions; waits for a program that reads too slowly. Always a checkpoint.

        Cancelled where it waits, it has published a part.

        Raises:
            EventError: an event is malformed; nothing of the call was published.
        """
        batch = list(events) if isinstance(events, Sequence) else [events]
        dataset, hub = self._dataset, self._hub
        for event in batch:
            dataset.check(event)
        async with self._publishing:
            now = trio.current_time()
            for event in batch:
                hub.market.saw(event, dataset.info.asset_class)
                await hub.hand_out(dataset.expand(event, hub.book))
                if event.__class__ is Trade:
                    dataset.note(now)
            hub.wake_readers()
        await trio.lowlevel.checkpoint()

    async def mark(self, mark: Mark) -> None:
        """Tell what happens between events: the end of the data, a jump. Always a checkpoint."""
        dataset, hub = self._dataset, self._hub
        async with self._publishing:
            for routed in dataset.on(mark, hub.book):
                hub.market.saw(routed.event, dataset.info.asset_class)  # a bar that ends with the data is ahead of it
                await hub.hand_out([routed])
            hub.wake_readers()
        await trio.lowlevel.checkpoint()

    async def room(self) -> None:
        """A checkpoint: `publish` itself waits for room."""
        await trio.lowlevel.checkpoint()

    async def wait_subscribed(self, topics: int) -> None:
        """Wait until at least so many topics have a subscriber. Cancel-safe."""
        name = self._dataset.info.name
        await self._hub.wait_for(lambda: self._hub.book.subscribed_topics(name) >= topics)

    @property
    def positions(self) -> Positions:
        """There are none here: a source that needs them is refused before it runs."""
        raise NotImplementedError

    def now_ns(self) -> int:
        """The wall clock, in nanoseconds since 1970 UTC."""
        return self._wall_clock()
