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
    """What waits of one topic: its newest event, and the gaps and marks before and after it; None where there are none.

    There is something after the event only while there is an event.
    """

    __slots__ = ("after", "before", "event", "topic")

    def __init__(self, topic: TopicKey) -> None:
        self.topic = topic
        self.before: Trail | None = None
        self.event: Any = _NOTHING
        self.after: Trail | None = None


class Conflating:
    """Topics come out in the order in which they began to wait; `capacity` bounds how many wait."""

    __slots__ = ("_count", "_order", "_topics", "capacity", "conflated")

    dropped: Final = 0
    queue: Final = None

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.conflated = 0
        self._topics: dict[TopicKey, _Waiting] = {}
        self._order: deque[_Waiting] = deque()
        """The values of `_topics`: a dict finds its first key ever more slowly while its first keys are deleted."""
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
            if waiting.after is not None:
                self._move(waiting, waiting.after)
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
        waiting = self._order[0]
        before = waiting.before
        if before is None:
            item, waiting.event = waiting.event, _NOTHING
            waiting.before, waiting.after = waiting.after, None
        else:
            item = before.pop()
            if not before:
                waiting.before = None
        self._count -= 1
        if waiting.before is None and waiting.event is _NOTHING:
            self._order.popleft()
            del self._topics[waiting.topic]
        return item

    def pop_many(self, most: int) -> list[Any]:
        """As `pop`, `most` items or all that wait."""
        return [self.pop() for _ in range(min(most, self._count))]

    def _begin(self, topic: TopicKey) -> _Waiting:
        waiting = self._topics[topic] = _Waiting(topic)
        self._order.append(waiting)
        return waiting

    def _add(self, item: Gap | Live) -> None:
        waiting = self._topics.get(item.topic)
        if waiting is None:
            waiting = self._begin(item.topic)
        if waiting.event is _NOTHING:
            trail = waiting.before = Trail(item.topic) if waiting.before is None else waiting.before
        else:
            trail = waiting.after = Trail(item.topic) if waiting.after is None else waiting.after
        before = len(trail)
        trail.add(item)
        self._count += len(trail) - before

    def _move(self, waiting: _Waiting, after: Trail) -> None:
        """The event between them is skipped: what came after it now stands before the next one."""
        if waiting.before is None:
            waiting.before = after
        else:
            both = len(waiting.before) + len(after)
            waiting.before.extend(after)
            self._count += len(waiting.before) - both
        waiting.after = None
