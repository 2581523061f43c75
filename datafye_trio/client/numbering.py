"""The numbers of one topic: which one is due, and how many came. No I/O.

Most messages are the very next one of a topic whose readers all have the one before. For these the intake only counts
`fast` up and appends the item to `queue`; everything else is worked out from that when somebody asks. The counting
saves a tenth of the time of a message (1.55 to 1.41 µs), the appending as much once more.
"""

from __future__ import annotations

import attrs

from datafye_trio.client.buffers import Queue

__all__ = ["Numbering"]


@attrs.define(eq=False)
class Numbering:
    """See the module.

    Attributes:
        fast: the number that may take the fast way; 0, which no message has, where none may.
        queue: where the message with `fast` goes, if there is room; None where that is not enough to know.
    """

    fast: int = attrs.field(default=0, init=False)
    queue: Queue | None = attrs.field(default=None, init=False)
    _next: int = attrs.field(default=1, init=False)
    _wire_next: int = attrs.field(default=1, init=False)
    _received: int = attrs.field(default=0, init=False)
    _fast_from: int = attrs.field(default=0, init=False)

    @property
    def next(self) -> int:
        """The first number that no subscription has."""
        return self.fast or self._next

    @next.setter  # noqa: A003 -- the property above is meant
    def next(self, seq: int) -> None:
        self.slow_down()
        self._next = seq

    @property
    def wire_next(self) -> int:
        """The next number on the wire; behind `next` while the server sends again."""
        return self.fast or self._wire_next

    @wire_next.setter
    def wire_next(self, seq: int) -> None:
        self.slow_down()
        self._wire_next = seq

    @property
    def received(self) -> int:
        """Messages received, each counted once."""
        return self._received + (self.fast - self._fast_from if self.fast else 0)

    @received.setter
    def received(self, count: int) -> None:
        self.slow_down()
        self._received = count

    @property
    def room(self) -> int:
        """How many messages may go into `queue` now."""
        return 0 if self.queue is None else self.queue.room

    def speed_up(self, queue: Queue | None) -> None:
        """From now on, the next message may take the fast way."""
        self.fast = self._fast_from = self._next
        self.queue = queue

    def slow_down(self) -> None:
        """No message takes the fast way until `speed_up`."""
        if self.fast:
            self._received += self.fast - self._fast_from
            self._next = self._wire_next = self.fast
            self.fast = 0
