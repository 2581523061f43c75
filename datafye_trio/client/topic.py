"""One topic as a client follows it: where each of its subscriptions stands, and what every message means. No I/O.

The rules of this file. Within an epoch a topic's `seq` counts from 1 without holes, and each subscription gets each of
them once, in order, or a `Gap` that covers it. `next` is the first one that no subscription has: it never goes back.
Those that have all before it are `live`. A subscription that was too slow is `parked` at a place of its own, and on its
way back it is `behind`: the server is asked to send again from there, and what the others have is for it alone.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import attrs

from datafye_trio.client.ledger import LedgerEntry
from datafye_trio.client.numbering import Numbering
from datafye_trio.client.sink import Sink
from datafye_trio.model import Channel, Gap, GapReason, TopicKey

__all__ = ["Topic", "Wire"]


class Wire(Enum):
    """What the server was asked about something, and whether it has answered."""

    OFF = auto()
    JOINING = auto()
    ON = auto()
    LEAVING = auto()


@attrs.define(eq=False)
class Topic(Numbering):
    """See the module."""

    key: TopicKey
    epoch: str = ""
    placed: bool = False
    """Whether the server has told a position."""
    wire: Wire = Wire.OFF
    adopt: bool = False
    """The next message tells where the numbering stands."""
    resync: bool = False
    """What comes is not to be used: the topic is to be left, and joined again from `resume_from`."""
    live: list[Sink] = attrs.Factory(list)
    """Replaced, never changed in place: a delivery may be walking over it."""
    behind: dict[Sink, int] = attrs.Factory(dict)
    """Each with its place: the last `seq` that it has, or knows to be lost."""
    parked: dict[Sink, int | None] = attrs.Factory(dict)
    """Likewise; None where the place is of a numbering that is gone."""
    named: dict[Sink, None] = attrs.Factory(dict)
    """Those that asked for this very symbol, and not for `*`."""
    latest: Any = None
    """The newest message, for a subscription that joins later and wants a snapshot."""
    begin: int = 0
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
        places = self.behind.values()
        return min([*places, self.next - 1] if self.live or not places else places)

    def join(self, sink: Sink) -> None:
        """A subscription reads it, from `next` on."""
        self.live = [*self.live, sink]
        self._check_reach()
        if self.latest is not None and self._shows(sink):
            sink.put(self.key, self.epoch, 0, self.latest)

    def join_from(self, sink: Sink, place: int | None) -> None:
        """A subscription reads it, from after a place of its own on."""
        if place is None and not sink.put_gap(Gap(self.key, self.epoch, None, None, "epoch_changed")):
            self.parked[sink] = None
            sink.full()
        elif place is None or place >= self.next - 1:
            self.live = [*self.live, sink]
        else:
            self.behind[sink] = place
        self._check_reach()

    def rewind(self, sink: Sink, place: int) -> None:
        """A subscription reads it again, from after an earlier `seq` on; the server may not hold all of it any more."""
        self.live = [one for one in self.live if one is not sink]
        for group in (self.behind, self.parked):
            group.pop(sink, None)
        self.join_from(sink, place)

    def leave(self, sink: Sink) -> None:
        """A subscription reads it no longer."""
        self.live = [one for one in self.live if one is not sink]
        for group in (self.behind, self.parked, self.named):
            group.pop(sink, None)
        self.refresh()

    def park(self, sink: Sink) -> None:
        """A subscription is full: it keeps its place, and reads no further.

        Before the first position there is no place to keep: it waits for that one, which a full buffer does not hinder.
        """
        if sink in self.behind:
            self.parked[sink] = self.behind.pop(sink)
        elif self.placed and any(one is sink for one in self.live):
            self.live = [one for one in self.live if one is not sink]
            self.parked[sink] = self.next - 1
        if not self.wanted and self.wire is Wire.ON:
            self.resync = True  # what comes now is kept for nobody
        self.refresh()

    # What comes.

    def hand_out(self, item: Any) -> None:
        """The message with `fast`, where it cannot go into `queue`: who is full leaves."""
        seq = self.fast
        for sink in self.live:
            if not sink.put(self.key, self.epoch, seq, item):
                sink.full()
        if self.live:
            self.fast += 1
            self.latest = item
        else:
            self.resync = self.resync or not self.fast

    def started(self, epoch: str, position: int) -> None:
        """Joined for the first time: what comes after `position` is ours."""
        self.epoch, self.placed, self.adopt, self.resync = epoch, True, False, False
        self.begin, self.next, self.wire_next = position, position + 1, position + 1
        self.set_wire(Wire.ON)

    def rejoined(self, position: int) -> None:
        """Joined again: the server sends what comes after `position`."""
        self.wire_next, self.adopt = position + 1, False
        self.wire = Wire.ON
        self.resync = False
        self._check_reach()  # a subscription may have come back meanwhile

    def restarted(self, epoch: str, reason: GapReason) -> None:
        """The numbering begins anew, or has become unknown: nobody knows how much was lost."""
        gap = Gap(self.key, epoch, None, None, reason)
        for sink in [*self.live, *self.behind]:
            if not sink.put_gap(gap):
                sink.full()  # and is parked, to be told later
        self.live = [*self.live, *self.behind]
        self.behind.clear()
        self.parked = dict.fromkeys(self.parked)
        self.epoch, self.placed, self.adopt, self.resync, self.latest = epoch, True, True, False, None
        self.begin, self.next, self.wire_next, self._tried = 0, 1, 1, 0
        self.received = self.missing = 0
        self.restarts += 1
        self.refresh()

    def message(self, seq: int, item: Any) -> None:
        """A message that does not go the fast way: delivered, dropped since it is a repeat, or the sign of a hole."""
        self._stands_before(seq)
        if self.resync or self.wire is not Wire.ON:
            return
        if seq < self.wire_next:
            self.repeated += 1
        elif not self._skipped(seq):
            self.wire_next = seq + 1
            self._hand_out(seq, item)
        self._check_wanted()

    def snapshot(self, seq: int, item: Any) -> None:
        """The newest message, sent once more: it counts neither as sent nor as received."""
        self._stands_before(seq + 1)
        self.refresh()
        if self.resync or self.wire is not Wire.ON or seq + 1 != self.next:
            return
        self.latest = item
        for sink in self.live:
            if self._shows(sink):
                sink.put(self.key, self.epoch, 0, item)

    def lost(self, first: int, last: int, reason: GapReason) -> None:
        """The server says that these never come on this connection."""
        self._stands_before(first)
        if self.resync or self.wire is not Wire.ON or last < self.wire_next or self._skipped(first):
            return
        between = [place for place in self.behind.values() if self.wire_next <= place < last]
        if self.live and self.wire_next < self.next <= last:
            between.append(self.next - 1)
        if between and reason == "expired":
            # The server was asked for what the furthest behind lacks. Others lack less, and may get all of it.
            self.lose(min(between), reason)
            self.resync = True
        else:
            self.lose(last, reason)
        self._check_wanted()

    def lose(self, last: int, reason: GapReason) -> None:
        """What readers do not have up to `last` never comes: each is told exactly what it lacks."""
        self.wire_next = last + 1
        for sink, place in list(self.behind.items()):
            if place < last:
                if sink.put_gap(Gap(self.key, self.epoch, place + 1, last, reason)):
                    self.behind[sink] = last
                else:
                    sink.full()
        if last >= self.next:
            gap = Gap(self.key, self.epoch, self.next, last, reason)
            for sink in self.live:
                if not sink.put_gap(gap):
                    sink.full()
            if self.wanted:
                self.missing += gap.size
                self.next, self.latest = last + 1, None
        self._catch_up()

    def set_wire(self, wire: Wire) -> None:
        """The server was asked something about it, or has answered."""
        self.wire = wire
        self.refresh()

    def refresh(self) -> None:
        """Say anew whether the next message can take the fast way; to be called after every change."""
        self.slow_down()
        synced = self.wire is Wire.ON and self.wire_next == self.next and not (self.resync or self.adopt or self.behind)
        if synced and self.live:
            # Most have one reader, and most readers' buffers do not care which topic an item is of.
            self.speed_up(self.live[0].queue if len(self.live) == 1 else None)

    def entry(self) -> LedgerEntry:
        """The account so far."""
        last = self.next - 1 if self.placed and not self.adopt else None
        return LedgerEntry(
            self.key, self.epoch, self.begin, last, self.received, self.missing, self.restarts, self.repeated
        )

    def _shows(self, sink: Sink) -> bool:
        """Whether a subscription gets the newest message when it is joined: a quote stands until the next one."""
        return sink.snapshots and self.key.channel is Channel.QUOTES

    def _check_reach(self) -> None:
        """After somebody has joined: what the server has passed already is to be sent again."""
        if self.wire is Wire.ON and self.wanted and self.resume_from + 1 < self.wire_next:
            self.resync = True
        self.refresh()

    def _check_wanted(self) -> None:
        """After a message that nobody took: who comes next needs it."""
        self.resync = self.resync or not self.wanted
        self.refresh()

    def _stands_before(self, seq: int) -> None:
        """After a new beginning, the first number that comes tells where the numbering stands."""
        if self.adopt:
            self.begin, self.next, self.wire_next, self.adopt = seq - 1, seq, seq, False

    def _skipped(self, seq: int) -> bool:
        """Whether the server has skipped numbers before `seq`, and is to be asked for them.

        Most likely it is a mistake of the server's, which may still have them: it is asked once, then believed.
        """
        if seq <= self.wire_next:
            return False
        if self._tried == self.wire_next:
            self.lose(seq - 1, "unexplained")
            return False
        self._tried, self.resync = self.wire_next, True
        return True

    def _hand_out(self, seq: int, item: Any) -> None:
        for sink, place in list(self.behind.items()):
            if place < seq:
                if sink.put(self.key, self.epoch, seq, item):
                    self.behind[sink] = seq
                else:
                    sink.full()
        if seq >= self.next:
            for sink in self.live:
                if not sink.put(self.key, self.epoch, seq, item):
                    sink.full()
            if self.wanted:
                self.next, self.latest = seq + 1, item
                self.received += 1
        self._catch_up()

    def _catch_up(self) -> None:
        """Those that have all that anybody has are live again."""
        for sink, place in list(self.behind.items()):
            if place >= self.next - 1:
                del self.behind[sink]
                self.live = [*self.live, sink]
