"""One direction of a connection through a proxy: what goes out when, and where it is cut."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from datafye_trio.testing.conditions import Conditions

__all__ = ["READ", "Lane"]

READ: Final = 64 * 1024
"""Bytes of one read, and at most of one write."""
_QUEUE: Final = 1024 * 1024
"""Bytes that may be under way in one direction, where there is latency."""
_INJECTED: Final = 64 * 1024
"""Bytes beyond that which may be put in by a tap before its peer takes them."""


class Lane:
    """One direction of a connection: pieces go out in order, each when it is due.

    Without latency nothing is read before the last piece was taken, as without a proxy; with it, what is under way is
    bounded.
    """

    def __init__(self, conditions: Conditions, rng: random.Random, limit: int | None) -> None:
        self.sent = 0
        """Bytes that were written."""
        self._limits: dict[object, float] = {None: math.inf if limit is None else limit}
        self._conditions = conditions
        self._random = rng
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = self._under_way = 0
        self._not_before = -math.inf
        self._last_due = -math.inf
        self._ended = False
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def writing(self) -> bool:
        """Whether bytes are being written: where that lasts, the peer does not take them."""
        return self._under_way > 0

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that are not to be written yet, by the clock or since the lane is held."""
        return self._queued > self._under_way

    @property
    def conditions(self) -> Conditions:
        """How bytes travel; may be set at any time. Without latency what was under way goes on at once."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        if not conditions.late:
            self._queue = deque((-math.inf, data) for _, data in self._queue)
            self._last_due = -math.inf
        if conditions.bytes_per_second != self._conditions.bytes_per_second:
            self._not_before = -math.inf
        self._conditions = conditions
        self.wake()

    def wake(self) -> None:
        """Look at everything anew."""
        self._changed.unpark_all()

    def put(self, data: bytes) -> None:
        """Send these bytes when they are due; after `end`, or beyond the limit, they go nowhere."""
        if self._ended or not data:
            return
        self._queue.append((self._due(), data))
        self._queued += len(data)
        self.wake()

    def inject(self, data: bytes) -> bool:
        """As `put`, for what no reader waits with; a tap calls it between two frames.

        False, and it is not sent: the peer has not taken what is before it.
        """
        if self._queued + len(data) > _QUEUE + _INJECTED:
            return False
        self.put(data)
        return True

    def end(self) -> None:
        """After what is under way comes the end."""
        self._ended = True
        self.wake()

    @property
    def limit(self) -> float:
        """The lane is cut when so many bytes were sent."""
        return min(self._limits.values())

    def cut_after(self, count: int, owner: object) -> None:
        """Let so many bytes more pass, beyond those that are being written, and then cut. `lift` takes it back."""
        self._limits[owner] = self.sent + self._under_way + count
        self.wake()

    def cut_behind(self, more: int, owner: object) -> None:
        """Let what is queued pass, and so many bytes that will be put in next, and then cut."""
        self._limits[owner] = self.sent + self._queued + more
        self.wake()

    def lift(self, owner: object) -> bool:
        """Take a cut back; whether it had been made already."""
        return self.sent >= self._limits.pop(owner, math.inf)

    def room(self) -> int:
        """How many bytes may be read for this lane without one that is not to pass."""
        return int(min(READ, self.limit - self.sent - self._queued))

    async def wait_room(self) -> None:
        """Wait until more may be read. Cancel-safe."""
        while self._queued and self._queued >= self._most_queued():
            await self._changed.park()

    async def wait_open(self) -> None:
        """Wait until the lane is not held. Cancel-safe."""
        while self._conditions.held:
            await self._changed.park()

    async def wait_ended(self) -> None:
        """Wait until all was written, and nothing more will come. Cancel-safe."""
        while self._queued or not self._ended:
            await self._changed.park()

    async def run(self, target: trio.abc.Stream, flowing: Callable[[], bool], passed: Callable[[int], None]) -> bool:
        """Write what is put in, until the end (then True) or the cut (then False).

        Args:
            target: what to write to.
            flowing: whether anything may pass; where that changes, `wake`.
            passed: told how many bytes were written.

        Raises:
            trio.BrokenResourceError: the target is gone.
        """
        while self.sent < self.limit:
            if self._conditions.held or not flowing():
                await self._changed.park()
            elif not self._queue:
                if self._ended:
                    return True
                await self._changed.park()
            elif (when := max(self._queue[0][0], self._not_before)) > trio.current_time():
                with trio.move_on_at(when):
                    await self._changed.park()
            else:
                await self._write(target, passed)
        return False

    async def _write(self, target: trio.abc.Stream, passed: Callable[[int], None]) -> None:
        due, data = self._queue.popleft()
        size = int(min(len(data), self._most(), self.limit - self.sent))
        if size < len(data):
            self._queue.appendleft((due, data[size:]))
        self._under_way = size
        await target.send_all(data[:size])
        self._under_way = 0
        self._queued -= size
        self.sent += size
        passed(size)
        if (rate := self._conditions.bytes_per_second) is not None:
            self._not_before = trio.current_time() + size / rate
        self.wake()

    def _most(self) -> int:
        """Bytes for one write: a tenth of a second's at a limited rate."""
        if self._conditions.slices:
            return 1
        rate = self._conditions.bytes_per_second
        return READ if rate is None else max(1, int(min(READ, rate / 10)))

    def _most_queued(self) -> float:
        """Bytes that may be under way: what the rate lets pass in the time that they take."""
        conditions = self._conditions
        if not conditions.late:
            return 0
        rate = math.inf if conditions.bytes_per_second is None else conditions.bytes_per_second
        return min(_QUEUE, rate * (conditions.latency + conditions.jitter))

    def _due(self) -> float:
        if not self._conditions.late:
            return -math.inf
        delay = self._conditions.latency + self._conditions.jitter * self._random.random()
        self._last_due = max(self._last_due, trio.current_time() + delay)
        return self._last_due
