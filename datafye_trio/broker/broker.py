"""The broker: the one place that knows datasets and topics. Its nursery owns the sources and the fan-out.

Whoever is cancelled (a source, a connection, the broker itself) leaves the rest whole: state changes only in sync
code, and the only thing that is awaited between taking events and handing them out is nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final, TypeAlias

import attrs
import trio

from datafye_trio.broker.chunks import Budget, OutboxLimits
from datafye_trio.broker.dataset import Dataset
from datafye_trio.broker.fanout import fan_out
from datafye_trio.broker.latest import Slot
from datafye_trio.broker.outbox import Outbox
from datafye_trio.broker.ring import RingLimits, RingStore
from datafye_trio.broker.subscriber import Subscriber
from datafye_trio.broker.topic import Topic
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Event, Halt, Resume
from datafye_trio.protocol import Codec, Encoding, Gap
from datafye_trio.sources import BATCH, Mark, Source
from datafye_trio.sources.positions import Relaying

__all__ = ["Broker", "BrokerConfig"]

_QUEUE_BATCHES: Final = 16
_SLICE: Final = 256
"""Messages handed out at once where a pass makes more of its batch (bars of thousands of symbols end together): some
64 KiB a client, what its writer takes in one turn, so that a client that reads is not cut for our own burst."""
_SHARED: Final[frozenset[type]] = frozenset({Halt, Resume})
"""Events that go out on two channels: only these messages say on which they came."""
Batch: TypeAlias = "tuple[Dataset, Sequence[Event] | Mark]"


@attrs.frozen
class BrokerConfig:
    """Limits of a broker. `memory` bounds the bytes of all outboxes and rings together, `max_streams` the streams of
    stored data of all connections.
    """

    outbox: OutboxLimits = OutboxLimits()
    ring: RingLimits = RingLimits()
    memory: int = 2 * 2**30
    max_topics: int = 200_000
    max_streams: int = 256


class Broker:
    """Topics, rings and fan-out of any number of datasets.

    Args:
        config: the limits.
        codec: encodes messages, in the server's unit of time.
        frame: makes a WebSocket frame of a payload; handed in because the wire lies above this layer.
        wall_clock: nanoseconds since 1970 UTC.
        new_epoch: names one life of a dataset's sequence numbers.
    """

    def __init__(
        self,
        config: BrokerConfig,
        codec: Codec,
        frame: Callable[[bytes, Encoding], bytes],
        *,
        wall_clock: Callable[[], int],
        new_epoch: Callable[[], str],
    ) -> None:
        self.config = config
        self.codec = codec
        self.frame = frame
        self.wall_clock = wall_clock
        self.datasets: dict[str, Dataset] = {}
        self.store = RingStore(config.ring, trio.current_time())
        self.budget = Budget(max(0, config.memory - config.ring.bytes))
        self.streams = 0
        """Streams of stored data under way, on all connections."""
        self.reading = trio.Lock()
        """Held for each step of such a stream. The lock is fair, so they take turns, and whoever is served live waits
        for one step of a few milliseconds; without it, each would take a step in every round of the scheduler."""
        self.turn = trio.Lock()
        """Held for each chunk that a client which resumes is sent, and for each slice of a large request: a thousand of
        them take turns, too."""
        self._new_epoch = new_epoch
        self._subscribers: set[Subscriber] = set()
        self._send, self._receive = trio.open_memory_channel[Batch](_QUEUE_BATCHES)
        self._queued = 0
        self._changed = trio.lowlevel.ParkingLot()

    def add(self, source: Source) -> Dataset:
        """Offer a source's dataset; `run` will run the source.

        Raises:
            ConfigurationError: two sources name the same dataset.
        """
        info = source.dataset
        if info.name in self.datasets:
            raise ConfigurationError(f"the dataset {info.name} is named twice: give each source its own")
        epoch = source.epoch if isinstance(source, Relaying) else self._new_epoch()
        dataset = Dataset(info, source, epoch, self.store, self)
        self.datasets[info.name] = dataset
        return dataset

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the sources and the fan-out until cancelled."""
        async with trio.open_nursery() as nursery:
            for dataset in self.datasets.values():
                nursery.start_soon(dataset.run)
            task_status.started()
            while True:
                await self._fan_out(await self._receive.receive())

    def cancel_sources(self) -> None:
        """Stop every source."""
        for dataset in self.datasets.values():
            dataset.cancel()

    async def settle(self) -> None:
        """Wait until all that was published is handed out. Cancel-safe.

        For the end: emptying the channel from outside would overtake a batch that `run` was already given.
        """
        await self.wait_for(lambda: not self._queued)

    # What a dataset's publisher calls.

    async def publish(self, batch: Batch) -> None:
        """Hand one batch to the fan-out; waits for room. Cancel-safe."""
        self._queued += 1
        try:
            await self._send.send(batch)
        except trio.Cancelled:
            self._queued -= 1
            self.notify()  # settle() and room() count it
            raise

    def publish_nowait(self, batch: Batch) -> None:
        """Hand one batch to the fan-out.

        Raises:
            trio.WouldBlock: there is no room.
        """
        self._send.send_nowait(batch)
        self._queued += 1

    async def room(self) -> None:
        """Wait until all that was published is handed out and no client that reads lags. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        while True:
            now = trio.current_time()
            holding = [until for subscriber in self._subscribers if (until := subscriber.congested_until(now))]
            if not self._queued and not holding:
                return
            with trio.move_on_at(min(holding, default=float("inf"))):
                await self._changed.park()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on subscriptions holds. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.park()

    # What a connection calls.

    def subscriber(self, encoding: Encoding, on_full: Callable[[], None], *, history: bool = False) -> Subscriber:
        """A new client. Give it back with `remove`.

        `on_full` is called in the midst of a pass: it may decide to end the client, but must not `remove` it there.
        With `history` its own reading is the flow control: age does not count, nothing is dropped, and however slowly
        it reads, no source waits for it (protocol.md section 6).
        """
        limits = self.config.outbox
        if history:
            limits = attrs.evolve(limits, seconds=inf, policy="disconnect")
        outbox = Outbox(limits, self.budget, on_full=on_full, on_room=self.notify)
        subscriber = Subscriber(outbox, encoding, self._render)
        if not history:
            self._subscribers.add(subscriber)
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """A client is gone. Idempotent."""
        subscriber.leave_everything()
        subscriber.outbox.close()
        self._subscribers.discard(subscriber)
        self.notify()

    def notify(self) -> None:
        """Something changed that a source may wait for."""
        if self._changed:
            self._changed.unpark_all()

    def topic_count(self) -> int:
        """The topics of all datasets."""
        return sum(len(board.topics) for dataset in self.datasets.values() for board in dataset.boards.values())

    def encode(self, topic: Topic, event: Event, seq: int, encoding: Encoding) -> bytes:
        """The frame of a data message."""
        return self.frame(self.codec.write(self._data(topic, event, seq), encoding), encoding)

    def snapshot(self, topic: Topic, encoding: Encoding) -> bytes | None:
        """The frame of a topic's latest data message, sent once more; None if there is none."""
        if topic.latest is None:
            return None
        data = self._data(topic, topic.latest, topic.seq)
        data.snapshot = True
        return self.frame(self.codec.write(data, encoding), encoding)

    def gap(self, topic: Topic, reason: str, lost: tuple[int, int] | None, encoding: Encoding) -> bytes:
        """The frame of a gap: the first and last `seq` lost, None where that is unknown."""
        board = topic.board
        first, last = lost or (None, None)
        message = Gap(
            dataset=board.dataset,
            asset_class=board.asset_class,
            channel=board.key.channel,
            symbol=topic.symbol,
            epoch=board.epoch,
            reason=reason,
            frequency=board.key.frequency,
            running=board.key.running or None,
            from_=first,
            to=last,
        )
        return self.frame(self.codec.encode(message, encoding), encoding)

    async def _fan_out(self, first: Batch) -> None:
        """One pass: takes all that has arrived, up to `BATCH` events."""
        batches = [first]
        size = _size(first)
        while size < BATCH:
            try:
                batch = self._receive.receive_nowait()
            except trio.WouldBlock:
                break
            batches.append(batch)
            size += _size(batch)
        try:
            await self._hand_out(batches)
        finally:
            self._queued -= len(batches)
            self.notify()
        # receive() is no checkpoint that yields when there is more: writers must get their turn between passes.
        await trio.lowlevel.checkpoint()

    async def _hand_out(self, batches: Sequence[Batch]) -> None:
        now = trio.current_time()
        events = [routed for dataset, batch in batches for routed in dataset.expand(batch, now)]
        if len(events) <= 2 * BATCH:
            fan_out(events, self.encode, now)
            return
        for start in range(0, len(events), _SLICE):
            fan_out(events[start : start + _SLICE], self.encode, trio.current_time())
            await trio.lowlevel.checkpoint()

    def _data(self, topic: Topic, event: Event, seq: int) -> Any:
        board = topic.board
        data = self.codec.data(event, board.dataset, board.asset_class, seq)
        if board.key.running:
            # Final bars go out on both topics: with two numberings, nobody could tell which is which.
            data.running = True
        if event.__class__ in _SHARED:
            data.channel = board.key.channel
        return data

    def _render(self, topic: Topic, slot: Slot, encoding: Encoding) -> bytes:
        data = self._data(topic, slot.event, slot.seq)
        if slot.skipped:
            data.conflated = slot.skipped
        return self.frame(self.codec.write(data, encoding), encoding)


def _size(batch: Batch) -> int:
    content = batch[1]
    return 1 if isinstance(content, Mark) else len(content)
