"""What comes first on a subscription with a past: the newest messages of each topic, sent again. No I/O, all sync."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from datafye_trio.client.buffers import Buffer
from datafye_trio.client.joining import Join
from datafye_trio.model import Gap, Live, TopicKey

__all__ = ["Catcher"]


class Catcher:
    """A `Buffer` before another one: it takes what belongs to the windows of `joins`, and lets pass what comes later.

    `changed` is called when a window is complete, or is known never to be.
    """

    def __init__(self, buffer: Buffer, changed: Callable[[], None]) -> None:
        self.joins: dict[TopicKey, Join] = {}
        self._buffer = buffer
        self._changed = changed
        self._open: set[TopicKey] = set()

    def begin(self, joins: Iterable[Join]) -> None:
        """Forget what was caught, and wait for these windows."""
        self.joins = {join.key: join for join in joins}
        self._open = {join.key for join in joins if join.position}

    @property
    def complete(self) -> bool:
        """Whether no window is waited for."""
        return not self._open

    @property
    def capacity(self) -> int:
        """See `Buffer`, as all that follows."""
        return self._buffer.capacity

    @property
    def drained(self) -> bool:
        """See `Buffer`."""
        return self._buffer.drained

    @property
    def dropped(self) -> int:
        """See `Buffer`."""
        return self._buffer.dropped

    @property
    def conflated(self) -> int:
        """See `Buffer`."""
        return self._buffer.conflated

    queue: Final = None

    def put(self, topic: TopicKey, epoch: str, seq: int | None, item: Any) -> bool:
        """See `Buffer`."""
        if topic not in self._open:
            return self._buffer.put(topic, epoch, seq, item)
        join = self.joins[topic]
        join.window.append(item)
        if seq == join.position:
            self._settle(topic)
        return True

    def put_gap(self, gap: Gap) -> bool:
        """See `Buffer`. A window that the server does not hold any more is none."""
        if not self._buffer.put_gap(gap):
            return False
        if gap.topic in self._open:
            join = self.joins[gap.topic]
            join.window.clear()
            join.epoch, join.position = gap.epoch, 0 if gap.first is None else gap.first - 1
            self._settle(gap.topic)
        return True

    def put_mark(self, item: Live) -> None:
        """See `Buffer`."""
        self._buffer.put_mark(item)

    def pop(self) -> Any:
        """See `Buffer`."""
        return self._buffer.pop()

    def pop_many(self, most: int) -> list[Any]:
        """See `Buffer`."""
        return self._buffer.pop_many(most)

    def __len__(self) -> int:
        return len(self._buffer)

    def _settle(self, topic: TopicKey) -> None:
        self._open.discard(topic)
        self._changed()
