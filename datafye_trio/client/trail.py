"""What stands in front of a topic's next event: gaps that merge, and marks that keep their place between them.

A trail never holds more than `MAX_PARTS` items, whatever happens: touching gaps of one epoch are one; when there are
too many that do not touch (a numbering that began anew several times, a topic that was left and joined again and again,
while nobody read), all but the newest become one gap of unknown size. That is less exact, and never silent. Of marks
and of snapshots it holds the newest; a snapshot is gone when anything after it is lost, since the gap says more.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from datafye_trio.model import TopicKey
from datafye_trio.model.gaps import Gap, GapReason, Live

__all__ = ["MAX_PARTS", "Trail"]

MAX_PARTS: Final = 4
"""Items for each topic: a span, a new epoch and a span in it, and a mark or a snapshot."""


@attrs.define
class _Span:
    """A gap that can grow in place: to build a new `Gap` for each dropped event would cost six times as much.

    `last` is at least `first`; where the size is unknown, both are 0 (a `seq` counts from 1).
    """

    epoch: str
    first: int
    last: int
    reason: GapReason

    def is_before(self, epoch: str, seq: int | None) -> bool:
        """Whether a dropped event of `seq` does no more than make this gap longer."""
        return seq == self.last + 1 and self.first > 0 and self.reason == "buffer_full" and self.epoch == epoch

    def absorb(self, later: _Span) -> bool:
        """Grow by `later` if the two touch; what `later` repeats counts once."""
        if not self.first and not later.first:
            self.epoch = later.epoch
        elif self.epoch == later.epoch and 0 < self.first <= later.first <= self.last + 1:
            self.last = max(self.last, later.last)
        else:
            return False
        self.reason = _joined(self.reason, later.reason)
        return True


def _joined(one: GapReason, other: GapReason) -> GapReason:
    """The reason of two gaps in one. A new epoch is what the reader must know; else the buffer is what joined them."""
    if one == other:
        return one
    return "epoch_changed" if "epoch_changed" in (one, other) else "buffer_full"


class _Snapshot:
    """A topic's newest message, which the server sent once more: it has no number, and no gap can stand for it."""

    __slots__ = ("item",)

    def __init__(self, item: Any) -> None:
        self.item = item


_Part: TypeAlias = _Span | Live | _Snapshot


class Trail:
    """The gaps, the mark and the snapshot of one topic, oldest first. `len` is how many items `pop` still gives."""

    __slots__ = ("_parts", "topic")

    def __init__(self, topic: TopicKey) -> None:
        self.topic = topic
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add_event(self, epoch: str, seq: int | None) -> None:
        """An event that is never delivered; `seq` is None where the server numbers nothing."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _Span) and last.is_before(epoch, seq):
            last.last += 1  # the common case by far, without a new object
        else:
            self._add(_Span(epoch, seq or 0, seq or 0, "buffer_full"))

    def add_snapshot(self, item: Any) -> None:
        """A snapshot, which is kept as long as nothing after it is lost."""
        self._remove(_Snapshot)
        self._append(_Snapshot(item))

    def add(self, item: Gap | Live) -> None:
        """A gap or a mark that comes after all that is here."""
        if isinstance(item, Live):
            self._remove(Live)
            self._append(item)
        else:
            self._add(_Span(item.epoch, item.first or 0, item.last or 0, item.reason))

    def extend(self, later: Trail) -> None:
        """All gaps and marks of `later`, behind what is here; `later` is used up."""
        while later:
            self.add(later.pop())

    def pop(self) -> Any:
        """Take the oldest.

        Raises:
            IndexError: there is none.
        """
        part = self._parts.pop(0)
        if isinstance(part, _Span):
            return Gap(self.topic, part.epoch, part.first or None, part.last or None, part.reason)
        return part.item if isinstance(part, _Snapshot) else part

    def _add(self, span: _Span) -> None:
        self._remove(_Snapshot)
        last = self._parts[-1] if self._parts else None
        if not (isinstance(last, _Span) and last.absorb(span)):
            self._append(span)

    def _remove(self, kind: type[Live | _Snapshot]) -> None:
        self._parts = [part for part in self._parts if not isinstance(part, kind)]

    def _append(self, part: _Part) -> None:
        self._parts.append(part)
        if len(self._parts) > MAX_PARTS:
            self._fold()

    def _fold(self) -> None:
        """Make the gaps before the newest part one of unknown size, in front of a mark and a snapshot."""
        *old, newest = self._parts
        spans = [part for part in old if isinstance(part, _Span)]
        others = [part for part in old if not isinstance(part, _Span)]
        reason = spans[0].reason
        for span in spans:
            reason = _joined(reason, span.reason)
        unknown = _Span(spans[-1].epoch, 0, 0, reason)
        absorbed = not others and isinstance(newest, _Span) and unknown.absorb(newest)
        self._parts = [unknown, *others, *([] if absorbed else [newest])]
