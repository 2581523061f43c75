"""The buffer of policy `latest`: the newest event of each topic, and the gaps and marks that belong around it.

A newer event takes the place of the one that waits. What stood between the two (a gap, a mark) then stands before the
newer one, so that the order within the topic stays what the server made it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from datafye_trio.client.trail import Trail
from datafye_trio.model import TopicKey
from datafye_trio.model.gaps import Gap, Live

__all__ = ["Conflating"]

_NOTHING: Final = object()


class _Waiting:
    """What waits of one topic: its newest event, and the gaps and marks before and after it."""

    __slots__ = ("after", "before", "event")

    def __init__(self, topic: TopicKey) -> None:
        self.before = Trail(topic)
        self.event: Any = _NOTHING
        self.after = Trail(topic)

    def __len__(self) -> int:
        return len(self.before) + (self.event is not _NOTHING) + len(self.after)

    def pop(self) -> Any:
        if self.before or self.event is _NOTHING:
            return self.before.pop()
        event, self.event = self.event, _NOTHING
        self.before, self.after = self.after, self.before
        return event


class Conflating:
    """Topics come out in the order in which they began to wait; `capacity` bounds how many wait."""

    __slots__ = ("_count", "_order", "_topics", "capacity", "conflated")

    dropped: Final = 0

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.conflated = 0
        self._topics: dict[TopicKey, _Waiting] = {}
        self._order: deque[TopicKey] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def drained(self) -> bool:
        """Whether at most half as many topics wait as may."""
        return 2 * len(self._order) <= self.capacity

    def put(self, topic: TopicKey, _epoch: str, _seq: int | None, item: Any) -> bool:
        """Take the place of the event of this topic that waits; False: too many other topics do."""
        waiting = self._topics.get(topic)
        if waiting is None:
            if len(self._order) >= self.capacity:
                return False
            waiting = self._begin(topic)
        if waiting.event is _NOTHING:
            self._count += 1
        else:
            self.conflated += 1
            if waiting.after:
                self._move(waiting, topic)
        waiting.event = item
        return True

    def put_gap(self, gap: Gap) -> bool:
        """Add a gap behind what waits of its topic; False: too many other topics wait."""
        if len(self._order) >= self.capacity and gap.topic not in self._topics:
            return False
        self._add(gap)
        return True

    def put_mark(self, item: Live) -> None:
        """Add a mark behind what waits of its topic."""
        self._add(item)

    def pop(self) -> Any:
        """The next item of the topic that has waited longest; IndexError where there is none."""
        topic = self._order[0]
        waiting = self._topics[topic]
        item = waiting.pop()
        self._count -= 1
        if not waiting:
            del self._topics[topic]
            self._order.popleft()
        return item

    def _begin(self, topic: TopicKey) -> _Waiting:
        waiting = self._topics[topic] = _Waiting(topic)
        self._order.append(topic)
        return waiting

    def _add(self, item: Gap | Live) -> None:
        waiting = self._topics.get(item.topic)
        if waiting is None:
            waiting = self._begin(item.topic)
        trail = waiting.before if waiting.event is _NOTHING else waiting.after
        before = len(trail)
        trail.add(item)
        self._count += len(trail) - before

    def _move(self, waiting: _Waiting, topic: TopicKey) -> None:
        """The event between them is skipped: what came after it now stands before the next one."""
        before = len(waiting)
        waiting.before.extend(waiting.after)
        waiting.after = Trail(topic)
        self._count += len(waiting) - before
