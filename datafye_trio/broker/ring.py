"""What each topic keeps so that a client can come back: frames in segments, one segment a pass.

A segment, not a message, is the unit: fan-out cost goes with passes. All rings of a broker share one store, which
holds the byte budget and forgets the oldest pass first, whichever topics it brought something.

With many topics, each message is a segment of its own, and what a segment costs is what a message costs: with 100,000
topics, 10 us of the processor a message where ten topics took 3.7. Most of that was the garbage collector, which walked
through two objects a message that a ring keeps, again and again, and an entry of an OrderedDict a segment. Now 5 us:
segments are tuples of what the collector need not look at, and the order is one of passes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice
from operator import itemgetter
from sys import maxsize
from typing import Final, TypeAlias

import attrs

__all__ = ["Frames", "Pass", "Ring", "RingLimits", "RingStore"]

Frames: TypeAlias = "bytes | Sequence[bytes]"
"""The frames of one topic in one pass; a single one by itself: a list of it costs as much as to keep it."""
_Segment: TypeAlias = "tuple[int, int, bytes | tuple[bytes, ...]]"
"""The place of the pass, the `seq` of the first frame, and the frames. The garbage collector does not look at a tuple
again in which it once found nothing that could be part of a cycle."""

_FRAME_OVERHEAD: Final = 41
"""Bytes of a CPython bytes object beside its content, and of the slot that holds it."""
_SEGMENT_OVERHEAD: Final = 130
"""Bytes of a segment and its places in its ring and its pass, measured with tracemalloc and rounded up."""
_PASS_OVERHEAD: Final = 290
"""Bytes of a pass, its list and its place in the order, likewise."""
_ALONE: Final = _FRAME_OVERHEAD + _SEGMENT_OVERHEAD
_FIRST: Final = itemgetter(1)


@attrs.frozen
class RingLimits:
    """How far back a topic can be resumed: `seconds` and at least `messages`, within `bytes` for all topics."""

    seconds: float = 60.0
    messages: int = 1_000
    bytes: int = 512 * 2**20


@attrs.define(eq=False)
class Pass:
    """What all rings took in at one trio time: one segment of each of `rings`; of so many it is `gone` again.

    `older` and `newer` are the places of its neighbours.
    """

    place: int
    time: float
    older: int
    newer: int
    rings: list[Ring] = attrs.Factory(list)
    gone: int = 0


class RingStore:
    """The passes of all rings, each in a place of its own, in a circle by age."""

    def __init__(self, limits: RingLimits, now: float) -> None:
        self.limits = limits
        self.bytes = 0
        # Rejected: an OrderedDict by number. Its table, half a megabyte for a minute of a hundred passes a second, is
        # made anew every few minutes, and the allocator's heap grew by that much now and then for a quarter of an hour.
        self._end = Pass(0, now, 0, 0)
        """Where the circle begins: newer than it is the oldest pass, older the newest."""
        self._passes = [self._end]
        self._free: list[int] = []
        self._forgotten = now

    def begin(self, now: float) -> Pass:
        """A new pass, of which at least one ring is to `take` something; `end` must follow."""
        passes, end = self._passes, self._end
        if self._free:
            place = self._free.pop()
        else:
            place = len(passes)
            passes.append(end)
        begun = passes[place] = Pass(place, now, end.older, 0)
        passes[end.older].newer = end.older = place
        self.bytes += _PASS_OVERHEAD
        return begun

    def end(self) -> None:
        """All rings have taken in theirs: forget the oldest passes while over the budget."""
        while self.bytes > self.limits.bytes and self._end.newer:
            oldest = self._passes[self._end.newer]
            self._forgotten = max(self._forgotten, oldest.time)
            self._forget(oldest)

    def get(self, place: int) -> Pass:
        """A pass of which something is kept."""
        return self._passes[place]

    def remove(self, place: int, size: int) -> None:
        """A ring has let go of its segment of a pass."""
        self.bytes -= size
        passes = self._passes
        found = passes[place]
        found.gone += 1
        if found.gone == len(found.rings):
            passes[found.older].newer, passes[found.newer].older = found.newer, found.older
            passes[place] = self._end
            self._free.append(place)
            self.bytes -= _PASS_OVERHEAD

    def clear(self, now: float) -> None:
        """Forget everything. The numbering goes on: whoever comes back and lacks anything is told of a gap."""
        while self._end.newer:
            self._forget(self._passes[self._end.newer])
        self._forgotten = now

    def reach(self, now: float) -> float:
        """The seconds for which every topic can be resumed without a gap."""
        return min(now - self._forgotten, self.limits.seconds)

    def _forget(self, oldest: Pass) -> None:
        for ring in oldest.rings:
            ring.forget(oldest.place)


class Ring:
    """The latest frames of one topic."""

    __slots__ = ("_next", "_segments", "_store")

    def __init__(self, store: RingStore) -> None:
        self._store = store
        self._segments: deque[_Segment] = deque()
        self._next = 1

    def __len__(self) -> int:
        return self._next - self.first

    @property
    def first(self) -> int:
        """The `seq` of the first message that is kept; of the next one where none is."""
        return self._segments[0][1] if self._segments else self._next

    def restart(self, first: int) -> None:
        """Forget everything: the next message has this `seq`. Where numbers are left out (a relayed feed that itself
        has lost some), a client that resumes is told of a gap, and not led across it in silence.
        """
        while self._segments:
            self._forget_first()
        self._next = first

    def prepend(self, now: float, frames: Sequence[bytes]) -> None:
        """Keep frames of the messages just before the first that is kept."""
        store = self._store
        kept = tuple(frames)
        # They go with the pass of those that they stand before: a ring forgets from its beginning.
        joined = store.get(self._segments[0][0]) if self._segments else store.begin(now)
        self._segments.appendleft((joined.place, self.first - len(kept), kept))
        joined.rings.append(self)
        store.bytes += _size(kept)
        store.end()

    def append(self, now: float, first: int, frames: Frames) -> None:
        """Keep the frames of a pass that has no other topic."""
        begun = self._store.begin(now)
        self.take(begun, first, frames)
        self._store.end()

    def take(self, begun: Pass, first: int, frames: Frames) -> None:
        """Keep the frames of one pass, and forget what is older and more than the limits ask for."""
        if first != self._next:
            self.restart(first)
        segments = self._segments
        store = self._store
        if isinstance(frames, bytes):
            segments.append((begun.place, first, frames))
            store.bytes += len(frames) + _ALONE
            self._next = first + 1
        else:
            segments.append((begun.place, first, tuple(frames)))
            store.bytes += _size(frames)
            self._next = first + len(frames)
        begun.rings.append(self)
        if self._next - segments[0][1] > store.limits.messages:
            self._trim(begun.time - store.limits.seconds)

    def forget(self, place: int) -> None:
        """Let go of what it has of a pass, which is the oldest."""
        while self._segments and self._segments[0][0] == place:
            self._forget_first()

    def _trim(self, horizon: float) -> None:
        least = self._next - self._store.limits.messages
        segments = self._segments
        # Where the second begins, the first has ended. The last one is of this pass, and young.
        while len(segments) > 1 and segments[1][1] <= least and self._store.get(segments[0][0]).time < horizon:
            self._forget_first()

    def _forget_first(self) -> None:
        place, _, frames = self._segments.popleft()
        self._store.remove(place, _size(frames))

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
            _, first, frames = segments[place]
            kept = (frames,) if isinstance(frames, bytes) else frames
            for frame in islice(kept, max(0, seq + 1 - first), None):
                size -= len(frame)
                if found and (size < 0 or len(found) == messages):
                    return found
                found.append(frame)
        return found


def _size(frames: Frames) -> int:
    if isinstance(frames, bytes):
        return len(frames) + _ALONE
    return sum(map(len, frames)) + len(frames) * _FRAME_OVERHEAD + _SEGMENT_OVERHEAD
