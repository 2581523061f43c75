"""Between the pump and one subscription's reader: one bounded buffer, and a named policy for the day it is full.

All is sync, so that the pump never waits here, and without trio. `put` and `pop` run for each event and do as little as
their policy allows; in particular `wait`, the default, appends to a deque and knows nothing of topics.

- `wait` refuses when it is full: the caller pauses the topics on the wire, keeps their positions and resumes at
  `drained`. Nothing is lost here.
- `drop_oldest` drops its oldest events, and in their place one exact `Gap` of reason `buffer_full` for each topic.
- `latest` keeps the newest event of each topic; the skipped ones are `conflated`, which is no loss.
- `error` refuses like `wait`; the caller raises BufferOverflowError once what is held has been read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from datafye_trio.client.conflating import Conflating
from datafye_trio.client.trail import Trail
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import TopicKey
from datafye_trio.model.gaps import Gap, Live

__all__ = ["DEFAULT_CAPACITY", "Buffer", "Policy", "Queue", "make_buffer"]

Policy: TypeAlias = Literal["wait", "drop_oldest", "latest", "error"]

DEFAULT_CAPACITY: Final = 65_536


class Queue(Protocol):
    """The inside of a buffer that appends."""

    __slots__ = ()

    @property
    def room(self) -> int:
        """How many items may be appended. Below 1 where it is full."""
        ...

    @property
    def append(self) -> Callable[[Any], None]:
        """Add an item, without asking for room."""
        ...


class Buffer(Protocol):
    """What waits for one reader. `len` is the number of items that `pop` would give, gaps and marks among them."""

    __slots__ = ()

    @property
    def capacity(self) -> int:
        """The most events that may wait; for `latest`, the most topics.

        Marks, and the gaps that stand for dropped events, come on top: at most `trail.MAX_PARTS` for each topic.
        """
        ...

    @property
    def drained(self) -> bool:
        """Whether it is at most half full: time to ask for more."""
        ...

    @property
    def dropped(self) -> int:
        """Events that `drop_oldest` dropped; gaps in the stream stand for them. Snapshots do not count."""
        ...

    @property
    def conflated(self) -> int:
        """Events that `latest` skipped for a newer one."""
        ...

    @property
    def queue(self) -> Queue | None:
        """Where items may go as they are, as long as there is room; None where the policy looks at more than the item.

        Saves a call for each item.
        """
        ...

    def put(self, topic: TopicKey, epoch: str, seq: int | None, item: Any) -> bool:
        """Add an event; False: it is full, and the event was not taken.

        `seq` is None where the server numbers nothing, and 0 for a snapshot, which repeats what has a number. Only
        `wait` and `error` refuse, and `latest` where more topics wait than its capacity: it does not silently grow
        beyond it, and to drop a topic's only event would be a loss. The caller then does as for `error`.
        """
        ...

    def put_gap(self, gap: Gap) -> bool:
        """Add a gap in its place; False: it is full, and the gap was not taken."""
        ...

    def put_mark(self, item: Live) -> None:
        """Add a mark in its place. Always taken: there is one for each topic."""
        ...

    def pop(self) -> Any:
        """Take the oldest item.

        Raises:
            IndexError: there is none.
        """
        ...

    def pop_many(self, most: int) -> list[Any]:
        """Take the oldest items, `most` of them or all that are here."""
        ...

    def __len__(self) -> int: ...


def make_buffer(policy: Policy, capacity: int = DEFAULT_CAPACITY) -> Buffer:
    """An empty buffer.

    Raises:
        ConfigurationError: an unknown policy, or a capacity below 1.
    """
    if policy not in get_args(Policy):
        raise ConfigurationError(f"buffer policy: {policy!r} is none of {', '.join(get_args(Policy))}")
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise ConfigurationError(f"buffer capacity: a whole number of at least 1, not {capacity!r}")
    match policy:
        case "drop_oldest":
            return _DropOldest(capacity)
        case "latest":
            return Conflating(capacity)
        case _:
            return _Refusing(capacity)


class _Refusing:
    """Policies `wait` and `error`: full is full. `pop` is the deque's own method, which saves a call."""

    __slots__ = ("_items", "append", "capacity", "pop")

    dropped: Final = 0
    conflated: Final = 0

    def __init__(self, capacity: int) -> None:
        self._items: deque[Any] = deque()
        self.capacity = capacity
        self.append = self._items.append
        self.pop = self._items.popleft

    def __len__(self) -> int:
        return len(self._items)

    @property
    def drained(self) -> bool:
        return 2 * len(self._items) <= self.capacity

    def put(self, _topic: TopicKey, _epoch: str, _seq: int | None, item: Any) -> bool:
        items = self._items
        if len(items) >= self.capacity:
            return False
        items.append(item)
        return True

    @property
    def queue(self) -> Queue:
        return self

    @property
    def room(self) -> int:
        return self.capacity - len(self._items)

    def pop_many(self, most: int) -> list[Any]:
        items = self._items
        if len(items) > most:
            return [items.popleft() for _ in range(most)]
        taken = list(items)
        items.clear()
        return taken

    def put_gap(self, gap: Gap) -> bool:
        if len(self._items) >= self.capacity:
            return False
        self._items.append(gap)
        return True

    def put_mark(self, item: Live) -> None:
        self._items.append(item)


_SNAPSHOT: Final = 0
_NO_EVENT: Final = -1
"""In place of the `seq` of what is no event."""


class _DropOldest:
    """Policy `drop_oldest`. What was dropped stands in `_trails`, one for each topic, before all that remains.

    Within a topic that is the right place, since the oldest go first; between topics there is no order to keep. One
    `put` drops at most one item: the trails are beside the capacity and not in it, or else an event of each of many
    topics would have to go to make room for their gaps.
    """

    __slots__ = ("_items", "_order", "_trail_items", "_trails", "capacity", "dropped")

    conflated: Final = 0
    queue: Final = None

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.dropped = 0
        self._items: deque[tuple[TopicKey, str, int | None, Any]] = deque()
        self._trails: dict[TopicKey, Trail] = {}
        self._order: deque[Trail] = deque()
        """The values of `_trails`: a dict finds its first key ever more slowly while its first keys are deleted."""
        self._trail_items = 0

    def __len__(self) -> int:
        return len(self._items) + self._trail_items

    @property
    def drained(self) -> bool:
        return 2 * len(self._items) <= self.capacity

    def put(self, topic: TopicKey, epoch: str, seq: int | None, item: Any) -> bool:
        items = self._items
        if len(items) >= self.capacity:
            self._drop_first()
        items.append((topic, epoch, seq, item))
        return True

    def put_gap(self, gap: Gap) -> bool:
        return self.put(gap.topic, gap.epoch, _NO_EVENT, gap)

    def put_mark(self, item: Live) -> None:
        self.put(item.topic, item.epoch, _NO_EVENT, item)

    def pop(self) -> Any:
        if not self._order:
            return self._items.popleft()[3]
        trail = self._order[0]
        item = trail.pop()
        self._trail_items -= 1
        if not trail:
            del self._trails[trail.topic]
            self._order.popleft()
        return item

    def pop_many(self, most: int) -> list[Any]:
        return [self.pop() for _ in range(min(most, len(self)))]

    def _drop_first(self) -> None:
        topic, epoch, seq, item = self._items.popleft()
        trail = self._trails.get(topic)
        if trail is None:
            trail = self._trails[topic] = Trail(topic)
            self._order.append(trail)
        before = len(trail)
        if seq == _NO_EVENT:
            trail.add(item)
        elif seq == _SNAPSHOT:
            trail.add_snapshot(item)
        else:
            trail.add_event(epoch, seq)
            self.dropped += 1
        self._trail_items += len(trail) - before
