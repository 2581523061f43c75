"""Conflation: for `delivery: latest` topics only the newest message of each is kept, in one marker chunk's batch."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count as counting
from typing import TYPE_CHECKING, Final

import attrs
import trio

from datafye_trio.broker.chunks import Chunk
from datafye_trio.broker.outbox import Outbox
from datafye_trio.model import Event

if TYPE_CHECKING:
    from datafye_trio.broker.topic import Topic

__all__ = ["Delivery", "Latest", "LatestBatch", "Slot"]

_AT_ONCE: Final = 256
"""Messages that are made in one go: some 64 KiB, and a millisecond or two. Those of 10,000 topics took 60."""


@attrs.frozen
class Delivery:
    """`delivery: latest` of one subscription; `interval` seconds at least between two messages of a topic."""

    interval: float = 0.0


@attrs.define(eq=False)
class Slot:
    """The newest message of a topic that was not sent yet; `skipped` older ones were passed over."""

    event: Event
    seq: int
    skipped: int
    interval: float


@attrs.define(eq=False)
class LatestBatch:
    """What one marker chunk stands for."""

    slots: dict[Topic, Slot] = attrs.Factory(dict)


class Latest:
    """The conflated topics of one client. `render(topic, slot)` makes the frame of a slot when it goes out."""

    def __init__(self, outbox: Outbox, render: Callable[[Topic, Slot], bytes]) -> None:
        self.cut = False
        """Whether `take_due` has left something that is due: it stands before whatever waits in the outbox."""
        self._outbox = outbox
        self._render = render
        self._open: LatestBatch | None = None
        self._queued: dict[Topic, int] = {}
        """The `seq` of the last slot of a topic in the batches whose markers are still in the outbox."""
        self._unpaced: dict[Topic, int] = {}
        """Queued slots up to this `seq` do not wait for their rate: an answer about their topic follows them."""
        self._waiting: dict[Topic, Slot] = {}
        """Slots whose marker has passed but whose topic was sent too recently (maxRate); older than any queued one."""
        self._due: dict[Topic, float] = {}
        self._order: list[tuple[float, int, Topic]] = []
        """A heap of what waits, by when it is due; entries that no longer hold are passed over."""
        self._number = counting()

    def offer(self, topic: Topic, event: Event, count: int, delivery: Delivery) -> None:
        """Note `count` new messages of a topic, of which `event` (with the topic's `seq`) is the last."""
        if topic not in self._queued and (slot := self._waiting.get(topic)):
            slot.event, slot.seq, slot.skipped = event, topic.seq, slot.skipped + count
            return
        slots = self._batch().slots
        if slot := slots.get(topic):
            slot.event, slot.seq, slot.skipped = event, topic.seq, slot.skipped + count
        else:
            slots[topic] = Slot(event, topic.seq, count - 1, delivery.interval)
        self._queued[topic] = topic.seq

    def seal(self) -> None:
        """Start a new marker with the next message: what comes now must not overtake the answer that goes out next."""
        self._open = None

    def release(self, topic: Topic) -> None:
        """The topic's options change: what waits goes out ahead of the answer and of what follows it."""
        self._due.pop(topic, None)
        if topic not in self._queued and (slot := self._waiting.pop(topic, None)):
            self._batch().slots[topic] = slot
            self._queued[topic] = slot.seq
        self._unpace(topic)

    def forget(self, topic: Topic) -> None:
        """The topic is unsubscribed: what waits for its rate is not sent, what is queued goes out before the answer."""
        self._waiting.pop(topic, None)
        self._due.pop(topic, None)
        self._unpace(topic)

    def open_batch(self, batch: LatestBatch) -> None:
        """The writer has come to a batch's marker."""
        if batch is self._open:
            self._open = None
        for topic, slot in batch.slots.items():
            if slot.seq <= self._unpaced.get(topic, 0):
                self._due.pop(topic, None)
                slot.interval = 0.0
            if self._queued[topic] == slot.seq:
                del self._queued[topic]
                self._unpaced.pop(topic, None)
            if earlier := self._waiting.get(topic):
                slot.skipped += earlier.skipped + 1
            self._waiting[topic] = slot
            heappush(self._order, (self._due.get(topic, 0.0), next(self._number), topic))
        if len(self._order) > 2 * len(self._waiting) + _AT_ONCE:
            self._order = [entry for entry in self._order if self._holds(entry)]
            heapify(self._order)

    def next_due(self) -> float | None:
        """The trio time at which something waits to be sent, None if nothing does."""
        while self._order and not self._holds(self._order[0]):
            heappop(self._order)
        return self._order[0][0] if self._order else None

    def take_due(self) -> list[bytes]:
        """The frames that may go out now, or the first of them: then it is `cut`."""
        now = trio.current_time()
        frames: list[bytes] = []
        self.cut = False
        while (due := self.next_due()) is not None and due <= now:
            if len(frames) == _AT_ONCE:
                self.cut = True
                break
            topic = heappop(self._order)[2]
            slot = self._waiting.pop(topic)
            frames.append(self._render(topic, slot))
            if slot.interval:
                self._due[topic] = now + slot.interval
        return frames

    def _holds(self, entry: tuple[float, int, Topic]) -> bool:
        due, _, topic = entry
        return topic in self._waiting and self._due.get(topic, 0.0) == due

    def _batch(self) -> LatestBatch:
        if self._open is None:
            self._open = LatestBatch()
            self._outbox.put(Chunk(b"", latest=self._open))
        return self._open

    def _unpace(self, topic: Topic) -> None:
        if topic in self._queued:
            self._unpaced[topic] = self._queued[topic]
