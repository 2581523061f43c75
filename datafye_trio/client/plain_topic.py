"""A topic of a server that numbers nothing. No I/O.

The rules of this file. What comes is handed out as it comes: whether it is all of it, nobody can know. Where something
may be missing (the connection was made anew, or a subscription was too slow), one `Gap` of unknown size and of reason
`unnumbered` says so.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from datafye_trio.client.ledger import LedgerEntry
from datafye_trio.client.line import Line
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic, Wire
from datafye_trio.model import Gap, GapReason, TopicKey

__all__ = ["PlainLine", "PlainTopic"]

_UNNUMBERED: Final[GapReason] = "unnumbered"


@attrs.define(eq=False)
class PlainTopic(Topic):
    """See the module. Its `epoch` is empty; a place is one of `heard`, at which a subscription has all there was."""

    heard: int = 0
    """Messages and new connections so far, whether somebody read just then or not."""

    @property
    def held(self) -> bool:
        """Whether anybody is subscribed to it, even if it does not read just now."""
        return bool(self.live or self.parked)

    def came(self, item: Any) -> None:
        """A message."""
        if self.live:
            self.latest = item
            self.received += 1
        for sink in self.live:
            if not sink.put(self.key, self.epoch, None, item):
                sink.full()
        self.heard += 1  # last: who was parked by this message does not have it

    def joined(self) -> None:
        """The server sends it, for the first time or again."""
        if not self.placed:
            self.started("", 0)
            return
        self.restarts += 1
        self.latest = None
        for sink in self.live:
            self._tell(sink)
        self.heard += 1
        self.set_wire(Wire.ON)

    def join_from(self, sink: Sink, place: int | None) -> None:
        """A subscription that was too slow reads on; what it has missed is gone."""
        if place == self.heard or self._tell(sink):
            self.live = [*self.live, sink]
        else:
            self.parked[sink] = place

    def park(self, sink: Sink) -> None:
        """A subscription is full. The messages go on: to stop them there is no documented way but to hang up."""
        if any(one is sink for one in self.live):
            self.live = [one for one in self.live if one is not sink]
            self.parked[sink] = self.heard

    def entry(self) -> LedgerEntry:
        """What came, and how often something may be missing."""
        return LedgerEntry(self.key, self.epoch, 0, None, self.received, 0, self.restarts, 0)

    def _tell(self, sink: Sink) -> bool:
        told = sink.put_gap(Gap(self.key, self.epoch, None, None, _UNNUMBERED))
        if not told:
            sink.full()  # and is parked, to be told later
        return told


@attrs.define(eq=False)
class PlainLine(Line):
    """A line whose far end numbers nothing."""

    def new_topic(self, key: TopicKey) -> PlainTopic:
        """See `Line`."""
        return PlainTopic(key)
