"""Conflation: for `delivery: latest` topics only the newest message of each is kept, in one marker chunk's batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import trio

from datafye_trio.broker.outbox import Chunk, Outbox
from datafye_trio.model import Event

if TYPE_CHECKING:
    from datafye_trio.broker.topic import Topic

__all__ = ["Delivery", "Latest", "LatestBatch", "Slot"]


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
        self._outbox = outbox
        self._render = render
        self._open: LatestBatch | None = None
        self._waiting: dict[Topic, Slot] = {}
        """Slots whose marker has passed but whose topic was sent too recently (maxRate)."""
        self._due: dict[Topic, float] = {}

    def offer(self, topic: Topic, event: Event, count: int, delivery: Delivery) -> None:
        """Note `count` new messages of a topic, of which `event` (with the topic's `seq`) is the last."""
        if slot := self._waiting.get(topic):
            slot.event, slot.seq, slot.skipped = event, topic.seq, slot.skipped + count
            return
        if self._open is None:
            self._open = LatestBatch()
            self._outbox.put(Chunk(b"", latest=self._open))
        if slot := self._open.slots.get(topic):
            slot.event, slot.seq, slot.skipped = event, topic.seq, slot.skipped + count
        else:
            self._open.slots[topic] = Slot(event, topic.seq, count - 1, delivery.interval)

    def seal(self) -> None:
        """Start a new marker with the next message: what comes now must not overtake the answer that goes out next."""
        self._open = None

    def release(self, topic: Topic) -> None:
        """The topic's options change: what waits for its rate is due at once."""
        self._due.pop(topic, None)

    def forget(self, topic: Topic) -> None:
        """The topic is unsubscribed: what waits for its rate is never sent (it is conflated away)."""
        self._waiting.pop(topic, None)
        self._due.pop(topic, None)

    def open_batch(self, batch: LatestBatch) -> None:
        """The writer has come to a batch's marker."""
        if batch is self._open:
            self._open = None
        for topic, slot in batch.slots.items():
            if earlier := self._waiting.get(topic):
                slot.skipped += earlier.skipped + 1
            self._waiting[topic] = slot

    def next_due(self) -> float | None:
        """The trio time at which something waits to be sent, None if nothing does."""
        if not self._waiting:
            return None
        return min(self._due.get(topic, 0.0) for topic in self._waiting)

    def take_due(self) -> list[bytes]:
        """The frames that may go out now."""
        now = trio.current_time()
        ready = [topic for topic in self._waiting if self._due.get(topic, 0.0) <= now]
        frames = []
        for topic in ready:
            slot = self._waiting.pop(topic)
            frames.append(self._render(topic, slot))
            if slot.interval:
                self._due[topic] = now + slot.interval
        return frames
