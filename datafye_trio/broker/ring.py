"""What each topic keeps so that a client can come back: frames in segments, one segment a pass.

A segment, not a message, is the unit: fan-out cost goes with passes. All rings of a broker share one store, which
holds the byte budget and forgets the oldest segment first, whichever topic it belongs to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from sys import maxsize
from typing import Final

import attrs

__all__ = ["Ring", "RingLimits", "RingStore", "Segment"]

_FRAME_OVERHEAD: Final = 41
"""Bytes of a CPython bytes object beside its content, and of the list slot that holds it."""
_SEGMENT_OVERHEAD: Final = 400
"""Bytes of a segment, its list and its place in the two orders, measured with tracemalloc and rounded up."""
_FIRST: Final = attrgetter("first")


@attrs.frozen
class RingLimits:
    """How far back a topic can be resumed: `seconds` and at least `messages`, within `bytes` for all topics."""

    seconds: float = 60.0
    messages: int = 1_000
    bytes: int = 512 * 2**20


@attrs.define(eq=False)
class Segment:
    """The frames of one topic in one pass; `first` is the `seq` of the first of them, `time` the pass's trio time."""

    ring: Ring
    time: float
    first: int
    frames: list[bytes]
    bytes: int


class RingStore:
    """The segments of all topics, oldest first."""

    def __init__(self, limits: RingLimits, now: float) -> None:
        self.limits = limits
        self.bytes = 0
        # An OrderedDict, since finding the first key of a dict costs more the more was deleted before it.
        self._order: OrderedDict[int, Segment] = OrderedDict()
        self._forgotten = now

    def add(self, segment: Segment) -> None:
        """Take in a segment and forget the oldest of all while over the budget."""
        self._order[id(segment)] = segment
        self.bytes += segment.bytes
        while self.bytes > self.limits.bytes and self._order:
            oldest = next(iter(self._order.values()))
            self._forgotten = max(self._forgotten, oldest.time)
            oldest.ring.forget_first()

    def remove(self, segment: Segment) -> None:
        """A ring has let go of a segment."""
        del self._order[id(segment)]
        self.bytes -= segment.bytes

    def clear(self, now: float) -> None:
        """Forget everything. The numbering goes on: whoever comes back and lacks anything is told of a gap."""
        while self._order:
            next(iter(self._order.values())).ring.forget_first()
        self._forgotten = now

    def reach(self, now: float) -> float:
        """The seconds for which every topic can be resumed without a gap."""
        return min(now - self._forgotten, self.limits.seconds)


class Ring:
    """The latest frames of one topic."""

    __slots__ = ("_count", "_next", "_segments", "_store")

    def __init__(self, store: RingStore) -> None:
        self._store = store
        self._segments: deque[Segment] = deque()
        self._count = 0
        self._next = 1

    def __len__(self) -> int:
        return self._count

    @property
    def first(self) -> int:
        """The `seq` of the first message that is kept; of the next one where none is."""
        return self._segments[0].first if self._segments else self._next

    def restart(self, first: int) -> None:
        """Forget everything: the next message has this `seq`. Where numbers are left out (a relayed feed that itself
        has lost some), a client that resumes is told of a gap, and not led across it in silence.
        """
        while self._segments:
            self.forget_first()
        self._next = first

    def prepend(self, now: float, frames: Sequence[bytes]) -> None:
        """Keep frames of the messages just before the first that is kept."""
        segment = self._segment(now, self.first - len(frames), frames)
        self._segments.appendleft(segment)
        self._count += len(segment.frames)
        self._store.add(segment)

    def append(self, now: float, first: int, frames: Sequence[bytes]) -> None:
        """Keep the frames of one pass, and forget what is older and more than the limits ask for."""
        if first != self._next:
            self.restart(first)
        segment = self._segment(now, first, frames)
        self._segments.append(segment)
        self._count += len(segment.frames)
        self._next = first + len(segment.frames)
        limits = self._store.limits
        horizon = now - limits.seconds
        while (oldest := self._segments[0]).time < horizon and self._count - len(oldest.frames) >= limits.messages:
            self.forget_first()
        self._store.add(segment)

    def _segment(self, now: float, first: int, frames: Sequence[bytes]) -> Segment:
        size = sum(map(len, frames)) + len(frames) * _FRAME_OVERHEAD + _SEGMENT_OVERHEAD
        return Segment(self, now, first, list(frames), size)

    def forget_first(self) -> None:
        """Let go of the oldest segment."""
        segment = self._segments.popleft()
        self._count -= len(segment.frames)
        self._store.remove(segment)

    def after(self, seq: int, messages: int = maxsize, size: int = maxsize) -> list[bytes] | None:
        """The frames of every message after `seq`, oldest first; None if some of them are gone.

        With bounds, the first of them only: at most `messages`, and `size` bytes in all, but one if there is any.
        """
        segments = self._segments
        if self.first > seq + 1:
            return None
        found: list[bytes] = []
        # Cut in two, not walked: a client that is far behind comes back for chunk after chunk.
        for place in range(max(0, bisect_right(segments, seq + 1, key=_FIRST) - 1), len(segments)):
            segment = segments[place]
            for frame in islice(segment.frames, max(0, seq + 1 - segment.first), None):
                size -= len(frame)
                if found and (size < 0 or len(found) == messages):
                    return found
                found.append(frame)
        return found
