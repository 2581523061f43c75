"""What has come and was not taken yet: between the task that reads a socket and the one that wants the messages.

A list in place of a trio channel: many reads become one batch, and one wake-up. Bounded by the bytes that were read for
it. When it is full the reader waits, so that the socket fills and the server sees a slow client; pings go unanswered
then, as they stand behind the data in the same stream. A consumer that must not lose the connection takes what comes at
once and keeps it in a buffer of its own. What is held is bounded by the limit and one message more.
"""

from __future__ import annotations

import trio

from datafye_trio.wire.peeling import Payloads

__all__ = ["Inbox"]


class Inbox:
    """One reader puts, one consumer takes. `None` stands for a message of the slow lane, in its place."""

    def __init__(self, limit: int) -> None:
        self.ended = False
        """Whether nothing more comes."""
        self._limit = limit
        self._payloads: Payloads = []
        self._marks = 0
        self._bytes = 0
        self._changed = trio.lowlevel.ParkingLot()

    def put(self, payloads: Payloads, marks: int, size: int) -> None:
        """Add what is complete, `marks` of it `None`; `size` bytes were read for it. Never waits: see `wait_room`."""
        if self.ended:
            return
        self._payloads += payloads
        self._marks += marks
        self._bytes += size
        self._changed.unpark_all()

    def end(self, *, discard: bool = False) -> None:
        """Nothing more comes; what is here can still be taken, unless it is discarded. Idempotent."""
        self.ended = True
        if discard:
            self._payloads, self._marks, self._bytes = [], 0, 0
        self._changed.unpark_all()

    async def wait_room(self) -> None:
        """Until the next read may be put. Cancel-safe."""
        while self._bytes >= self._limit and not self.ended:
            await self._changed.park()

    async def wait(self) -> None:
        """Until there is something to take, or the end. Cancel-safe, always a checkpoint."""
        if self._payloads or self.ended:
            await trio.lowlevel.checkpoint()
        while not self._payloads and not self.ended:
            await self._changed.park()

    def take(self) -> list[bytes]:
        """All up to the first `None`; nothing where that is next, or where nothing is here."""
        if not self._marks:
            taken, self._payloads, self._bytes = self._payloads, [], 0
        else:
            at = self._payloads.index(None)
            taken, self._payloads = self._payloads[:at], self._payloads[at:]
        self._changed.unpark_all()
        return taken  # type: ignore[return-value]  # there is no None in it

    @property
    def marked(self) -> bool:
        """Whether the next message is the slow lane's."""
        return self._marks > 0 and self._payloads[0] is None

    def unmark(self) -> None:
        """The slow lane's message was taken from there."""
        if not self.marked:
            return  # all was discarded meanwhile
        del self._payloads[0]
        self._marks -= 1
        if not self._payloads:
            self._bytes = 0
        self._changed.unpark_all()
