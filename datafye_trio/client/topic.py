"""One topic as a client follows it: where each of its subscriptions stands, and what every message means. No I/O.

The rules of this file. Within an epoch a topic's `seq` counts from 1 without holes, and each subscription gets each of
them once, in order, or a `Gap` that covers it. `next` is the first one that no subscription has: it never goes back.
Those that have all before it are `live`. A subscription that was too slow is `parked` at a place of its own, and on its
way back it is `behind`: the server is asked to send again from there, and what the others have is for it alone.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, NamedTuple

import attrs

from datafye_trio.client.sink import Sink
from datafye_trio.model import Channel, Gap, GapReason, TopicKey

__all__ = ["LedgerEntry", "Place", "Topic", "Wire"]


class Wire(Enum):
    """What the server was asked about something, and whether it has answered."""

    OFF = auto()
    JOINING = auto()
    ON = auto()
    LEAVING = auto()


class Place(NamedTuple):
    """The last `seq` that a subscription has, or knows to be lost."""

    epoch: str
    seq: int


@attrs.frozen
class LedgerEntry:
    """The account of one topic: within `epoch`, `last - begin == received + missing`, always.

    Attributes:
        topic: whose account.
        epoch: the life of the numbering that the numbers below are of.
        begin: the `seq` before the first message that was due to us.
        last: the `seq` of the newest message that was received or is known to be lost; None before the first position.
        received: messages received, each counted once.
        missing: messages lost, all of them told as a `Gap`.
        restarts: how often the numbering began anew, or became unknown, each time told as a `Gap` of unknown size.
        repeated: messages that the server sent twice, and that were dropped.
    """

    topic: TopicKey
    epoch: str
    begin: int
    last: int | None
    received: int
    missing: int
    restarts: int
    repeated: int


@attrs.define(eq=False)
class Topic:
    """See the module. `listeners` are all its subscriptions that read; those that are parked do not."""

    key: TopicKey
    epoch: str = ""
    placed: bool = False
    """Whether the server has told a position."""
    next: int = 1
    wire_next: int = 1
    """The next `seq` on the wire; behind `next` while the server sends again."""
    fast: int = 0
    """`next` where a message with it goes to all of `live` and to nobody else; else 0, which no message has."""
    wire: Wire = Wire.OFF
    adopt: bool = False
    """The next message tells where the numbering stands."""
    resync: bool = False
    """What comes is not to be used: the topic is to be left, and joined again from `resume_from`."""
    live: list[Sink] = attrs.Factory(list)
    """Replaced, never changed in place: a delivery may be walking over it."""
    behind: dict[Sink, Place] = attrs.Factory(dict)
    parked: dict[Sink, Place] = attrs.Factory(dict)
    named: dict[Sink, None] = attrs.Factory(dict)
    """Those that asked for this very symbol, and not for `*`."""
    latest: Any = None
    """The newest message, for a subscription that joins later and wants a snapshot."""
    begin: int = 0
    received: int = 0
    missing: int = 0
    restarts: int = 0
    repeated: int = 0
    _tried: int = 0
    """The hole for which the server was asked to send again."""

    # Who listens.

    @property
    def wanted(self) -> bool:
        """Whether anybody reads it."""
        return bool(self.live or self.behind)

    @property
    def resume_from(self) -> int:
        """The `seq` after which the server is to send again."""
        places = [place.seq for place in self.behind.values()]
        return min([*places, self.next - 1] if self.live or not places else places)

    def join(self, sink: Sink) -> None:
        """A subscription reads it, from `next` on."""
        self.live = [*self.live, sink]
        self.refresh()
        if self.latest is not None and self._shows(sink):
            sink.put(self.key, self.epoch, 0, self.latest)

    def join_from(self, sink: Sink, place: Place) -> None:
        """A subscription reads it, from after a place of its own on."""
        if place.epoch != self.epoch:
            if sink.put_gap(Gap(self.key, self.epoch, None, None, "epoch_changed")):
                self.live = [*self.live, sink]
            else:
                self.parked[sink] = place
                sink.full()
        elif place.seq >= self.next - 1:
            self.live = [*self.live, sink]
        else:
            self.behind[sink] = place
            self.resync = self.resync or self.wire is Wire.ON
        self.refresh()

    def leave(self, sink: Sink) -> None:
        """A subscription reads it no longer."""
        self.live = [one for one in self.live if one is not sink]
        for group in (self.behind, self.parked, self.named):
            group.pop(sink, None)
        self.refresh()

    def park(self, sink: Sink) -> None:
        """A subscription is full: it keeps its place, and reads no further."""
        if sink in self.behind:
            self.parked[sink] = self.behind.pop(sink)
        elif any(one is sink for one in self.live):
            self.live = [one for one in self.live if one is not sink]
            self.parked[sink] = Place(self.epoch, self.next - 1)
        if not self.wanted and self.wire is Wire.ON:
            self.resync = True  # what comes now is kept for nobody
        self.refresh()

    def park_at(self, sink: Sink, seq: int) -> None:
        """A subscription that does not read now begins after `seq`."""
        self.parked[sink] = Place(self.epoch, seq)

    # What comes.

    def hand_out(self, item: Any) -> None:
        """The message with `fast`, in the common case: the hot path."""
        seq, key, epoch = self.fast, self.key, self.epoch
        for sink in self.live:
            if not sink.put(key, epoch, seq, item):
                sink.full()
        if self.fast:  # somebody still reads
            self.next = self.wire_next = self.fast = seq + 1
            self.received += 1
            self.latest = item

    def started(self, epoch: str, position: int) -> None:
        """Joined for the first time: what comes after `position` is ours."""
        self.epoch, self.placed, self.adopt, self.resync = epoch, True, False, False
        self.begin, self.next, self.wire_next = position, position + 1, position + 1
        self.parked = dict.fromkeys(self.parked, Place(epoch, position))
        self.set_wire(Wire.ON)

    def rejoined(self, position: int) -> None:
        """Joined again: the server sends what comes after `position`."""
        self.wire_next = position + 1
        # A subscription that came back meanwhile may lack what was before.
        self.resync = self.wanted and self.resume_from < position
        self.set_wire(Wire.ON)

    def restarted(self, epoch: str, reason: GapReason) -> None:
        """The numbering begins anew, or has become unknown: nobody knows how much was lost."""
        gap = Gap(self.key, epoch, None, None, reason)
        for sink in [*self.live, *self.behind]:
            if not sink.put_gap(gap):
                sink.full()  # and is parked at its place of the old epoch
        self.live = [*self.live, *self.behind]
        self.behind.clear()
        self.epoch, self.placed, self.adopt, self.resync, self.latest = epoch, True, True, False, None
        self.begin, self.next, self.wire_next, self._tried = 0, 1, 1, 0
        self.received = self.missing = 0
        self.restarts += 1
        self.refresh()

    def message(self, seq: int, conflated: int, item: Any) -> None:
        """A message with a number, where `synced` or the number says that it is not the next one.

        Delivered, dropped since it is a repeat, or the sign of a hole.
        """
        if self.adopt:
            self.begin, self.next, self.wire_next, self.adopt = seq - 1, seq, seq, False
        if self.resync or self.wire is not Wire.ON:
            return
        first = seq - conflated
        if not self.wanted:
            self.resync = True
        elif seq < self.wire_next:
            self.repeated += 1
        elif first <= self.wire_next or self._tried == self.wire_next:
            if first > self.wire_next:
                self.lose(first - 1, "unexplained")
            self.wire_next = seq + 1
            self._hand_out(seq, item)
        else:
            # Most likely a mistake of the server's, which may still have what it skipped: ask once, then believe it.
            self._tried, self.resync = self.wire_next, True
        self.refresh()

    def snapshot(self, seq: int, item: Any) -> None:
        """The newest message, sent once more: it counts neither as sent nor as received."""
        if self.adopt:
            self.begin, self.next, self.wire_next, self.adopt = seq, seq + 1, seq + 1, False
            self.refresh()
        if self.resync or self.wire is not Wire.ON or seq + 1 != self.next:
            return
        self.latest = item
        for sink in self.live:
            if self._shows(sink):
                sink.put(self.key, self.epoch, 0, item)

    def lost(self, first: int, last: int, reason: GapReason) -> None:
        """The server says that these never come on this connection."""
        if self.resync or self.wire is not Wire.ON or last < self.wire_next:
            return
        if first > self.wire_next:
            self.lose(first - 1, "unexplained")
        between = [place.seq for place in self.behind.values() if self.wire_next <= place.seq < last]
        if self.live and self.wire_next < self.next <= last:
            between.append(self.next - 1)
        if between and reason == "expired":
            # The server was asked for what the furthest behind lacks. Others lack less, and may get all of it.
            self.lose(min(between), reason)
            self.resync = True
        else:
            self.lose(last, reason)
        self.refresh()

    def lose(self, last: int, reason: GapReason) -> None:
        """What readers do not have up to `last` never comes: each is told exactly what it lacks."""
        self.wire_next = last + 1
        for sink, place in list(self.behind.items()):
            if place.seq < last:
                if sink.put_gap(Gap(self.key, place.epoch, place.seq + 1, last, reason)):
                    self.behind[sink] = place._replace(seq=last)
                else:
                    sink.full()
        if last >= self.next:
            gap = Gap(self.key, self.epoch, self.next, last, reason)
            for sink in self.live:
                if not sink.put_gap(gap):
                    sink.full()
            if self.live or self.behind:
                self.missing += gap.size
                self.next = last + 1
        self._catch_up()

    def set_wire(self, wire: Wire) -> None:
        """The server was asked something about it, or has answered."""
        self.wire = wire
        self.refresh()

    def refresh(self) -> None:
        """Say anew whether the next message can take the fast way; to be called after every change."""
        synced = self.wire is Wire.ON and self.wire_next == self.next and not (self.resync or self.adopt or self.behind)
        self.fast = self.next if synced and self.live else 0

    def entry(self) -> LedgerEntry:
        """The account so far."""
        last = self.next - 1 if self.placed and not self.adopt else None
        return LedgerEntry(
            self.key, self.epoch, self.begin, last, self.received, self.missing, self.restarts, self.repeated
        )

    def _shows(self, sink: Sink) -> bool:
        """Whether a subscription gets the newest message when it is joined: a quote stands until the next one."""
        return sink.snapshots and self.key.channel is Channel.QUOTES

    def _hand_out(self, seq: int, item: Any) -> None:
        for sink, place in list(self.behind.items()):
            if place.seq < seq:
                if sink.put(self.key, place.epoch, seq, item):
                    self.behind[sink] = place._replace(seq=seq)
                else:
                    sink.full()
        if seq >= self.next:
            for sink in self.live:
                if not sink.put(self.key, self.epoch, seq, item):
                    sink.full()
            if self.live or self.behind:
                self.next, self.latest = seq + 1, item
                self.received += 1
        self._catch_up()

    def _catch_up(self) -> None:
        """Those that have all that anybody has are live again."""
        for sink, place in list(self.behind.items()):
            if place.seq >= self.next - 1:
                del self.behind[sink]
                self.live = [*self.live, sink]
