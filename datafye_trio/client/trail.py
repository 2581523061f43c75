"""What stands in front of a topic's next event: gaps that merge, and marks that keep their place between them.

A trail never holds more than `MAX_PARTS` items, whatever happens: touching gaps of one epoch are one; when there are
too many that do not touch (a numbering that began anew several times, a topic that was left and joined again and again,
while nobody read), all but the newest become one gap of unknown size. That is less exact, and never silent.
"""

from __future__ import annotations

from typing import Final

import attrs

from datafye_trio.model import TopicKey
from datafye_trio.model.gaps import Gap, GapReason, Live

__all__ = ["MAX_PARTS", "Trail"]

MAX_PARTS: Final = 4
"""Items for each topic: a span, a new epoch and a span in it, and the mark between past and live."""


@attrs.define
class _Span:
    """A gap that can grow in place: to build a new `Gap` for each dropped event would cost six times as much.

    `last` is at least `first`; where the size is unknown, both are 0 (a `seq` counts from 1).
    """

    epoch: str
    first: int
    last: int
    reason: GapReason

    def is_before(self, epoch: str, seq: int) -> bool:
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


class Trail:
    """The gaps and marks of one topic, oldest first. `len` is the number of items that `pop` still gives."""

    __slots__ = ("_parts", "_topic")

    def __init__(self, topic: TopicKey) -> None:
        self._topic = topic
        self._parts: list[_Span | Live] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add_event(self, epoch: str, seq: int) -> None:
        """An event that is never delivered; `seq` is 0 where the server numbers nothing."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _Span) and last.is_before(epoch, seq):
            last.last = seq  # the common case by far, without a new object
        else:
            self._add(_Span(epoch, seq, seq, "buffer_full"))

    def add(self, item: Gap | Live) -> None:
        """A gap or a mark that comes after all that is here."""
        if isinstance(item, Live):
            if self._parts and isinstance(self._parts[-1], Live):
                self._parts.pop()  # two marks with nothing between say no more than the second
            self._append(item)
        else:
            self._add(_Span(item.epoch, item.first or 0, item.last or 0, item.reason))

    def extend(self, later: Trail) -> None:
        """All of `later`, behind what is here; `later` is used up."""
        for part in later._parts:
            if isinstance(part, Live):
                self.add(part)
            else:
                self._add(part)

    def pop(self) -> Gap | Live:
        """Take the oldest.

        Raises:
            IndexError: there is none.
        """
        part = self._parts.pop(0)
        if isinstance(part, Live):
            return part
        return Gap(self._topic, part.epoch, part.first or None, part.last or None, part.reason)

    def _add(self, span: _Span) -> None:
        last = self._parts[-1] if self._parts else None
        if not (isinstance(last, _Span) and last.absorb(span)):
            self._append(span)

    def _append(self, part: _Span | Live) -> None:
        self._parts.append(part)
        if len(self._parts) > MAX_PARTS:
            self._fold()

    def _fold(self) -> None:
        """Make all but the newest one gap of unknown size, and keep the newest mark behind it."""
        *old, newest = self._parts
        spans = [part for part in old if isinstance(part, _Span)]
        marks = [part for part in old if isinstance(part, Live)]
        reason = spans[0].reason
        for span in spans:
            reason = _joined(reason, span.reason)
        unknown = _Span(spans[-1].epoch, 0, 0, reason)
        if isinstance(newest, Live):
            self._parts = [unknown, newest]
        elif marks:
            self._parts = [unknown, marks[-1], newest]
        else:
            self._parts = [unknown] if unknown.absorb(newest) else [unknown, newest]
