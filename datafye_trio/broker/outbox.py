"""Between the broker and a connection's writer: one bounded channel of chunks, and a policy for the day it is full.

The broker never waits here; every method but `next` is sync and so atomic. A trio channel bounds only items, so the
outbox also counts messages, bytes and the age of its oldest chunk. The writer never waits on the channel of chunks
itself: a chunk would be handed straight to it, where `drop_oldest` can no longer reach it, and the gap of a later chunk
would overtake it. It waits on a second channel, the bell, which holds one token. Answers to requests travel in the
channel, in order with the data, because `unsubscribed` must not be followed by data that was queued before it; only
heartbeats and pongs overtake (`express`).

Where nothing waits, a chunk goes past all this straight to the socket (`direct`), and what the socket does not take is
left to the writer. To wake a writer costs more than most chunks: with 600 messages a second to 100 clients, a delivery
took 32 us of processor that way and takes 5.5 now; the last of 100 clients had a message of an idle server after 4.8 ms
before, and has it after 1.0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from datafye_trio.broker.chunks import CHUNK_BYTES, Budget, Chunk, Gaps, OutboxLimits, OutboxStatistics

__all__ = ["MAX_EXPRESS", "STREAM_BYTES", "STREAM_MESSAGES", "Outbox"]

_WAKE: Final = Chunk(b"")
STALL_SECONDS: Final = 5.0
"""A client that took nothing for so long no longer holds up a source at full speed (protocol.md section 6)."""
CONGESTED_AGE: Final = 1.0
"""Seconds that the oldest chunk of a reading client may wait before a source at full speed is held up."""
STREAM_BYTES: Final = 4 * CHUNK_BYTES
"""Bytes of stored data that may wait for one client: enough that its writer is never idle."""
STREAM_MESSAGES: Final = 512
"""The most messages of a chunk of stored data; at least four such chunks fit any outbox."""
_BUDGET_SECONDS: Final = 0.1
MAX_EXPRESS: Final = 1_024
"""Heartbeats and pongs that may wait for one client; a client that pings without reading is full, too."""


class Outbox:
    """The bounded way to one client. `on_full` is called once, when the client is to be disconnected.

    `on_room` is called whenever something leaves, so that a source at full speed may look again.
    """

    def __init__(
        self, limits: OutboxLimits, budget: Budget, *, on_full: Callable[[], None], on_room: Callable[[], None]
    ) -> None:
        self.limits = limits
        self.stream_bytes = min(CHUNK_BYTES, limits.bytes // 4)
        """The most bytes of a chunk of stored data, unless it is a single message."""
        self.sent = 0
        self._budget = budget
        self._on_full = on_full
        self._on_room = on_room
        self._send, self._receive = trio.open_memory_channel[Chunk](limits.messages)
        self._ring, self._bell = trio.open_memory_channel[None](1)
        self._times: deque[float] = deque()
        """The trio time at which each waiting chunk was put."""
        self._express: deque[Callable[[], bytes]] = deque()
        self._held: deque[Chunk | Gaps] = deque()
        self._room = trio.lowlevel.ParkingLot()
        self._messages = self._bytes = self._held_bytes = self._dropped = self._flying = 0
        self._moved = trio.current_time()
        self._closed = False
        budget.outboxes.add(self)
        self.direct: Callable[[bytes], int | None] | None = None
        """Where nothing waits, a chunk goes this way at once: it returns how many bytes the writer is to finish, or
        None, for a chunk that has to wait. None where there is no such way."""

    def statistics(self) -> OutboxStatistics:
        """What waits and what went, at this moment."""
        return OutboxStatistics(self._messages, self._bytes, self._age(), self.sent, self._dropped)

    def put(self, chunk: Chunk) -> None:
        """Queue a chunk, or do what the policy says when there is no room. Never blocks, never raises."""
        if self._closed:
            return
        if self.direct is not None and not (self._times or self._express or self._held) and chunk.data:
            left = self.direct(chunk.data)
            if left is not None:
                self.sent += chunk.messages
                if left:
                    self._fly(left)
                    self._add(_WAKE, trio.current_time())
                return
        now = trio.current_time()
        if not self._times:
            self._moved = now  # and not once dropping has emptied it: that is no reading
        if not self._fits(chunk, now):
            self._budget.relieve(self, len(chunk.data))
            if not self._fits(chunk, now) and not self._make_room(chunk, now):
                self._overflow()
                return
        self._add(chunk, now)

    def express(self, make: Callable[[], bytes]) -> None:
        """Have the writer send `make()` before anything that waits; it is called when it is written."""
        if self._closed:
            return
        if len(self._express) == MAX_EXPRESS:
            self._overflow()
            return
        self._express.append(make)
        if not self._times:
            self.put(_WAKE)

    @property
    def held(self) -> int:
        """The bytes that it has of the budget."""
        return self._bytes + self._flying

    def give_way(self, size: int) -> bool:
        """Give back `size` bytes of the budget, as the policy says. False where there is nothing to give."""
        before = self.held
        if self.limits.policy == "disconnect":
            self._overflow()
        else:
            while self._times and self.held > before - size:
                self._drop_first()
        return self.held < before

    def pending(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._times or self._express or self._held)

    def close(self) -> None:
        """Take nothing more and forget what waits. Idempotent."""
        self._closed = True
        self._budget.outboxes.discard(self)
        self._express.clear()
        self._held.clear()
        while self._times:
            self._times.popleft()
            self._receive.receive_nowait()
        self._messages = self._held_bytes = 0
        self._charge(-self._bytes)
        self.written()
        self._room.unpark_all()
        self._on_room()

    def seal(self) -> None:
        """Take nothing more; what waits may still be read by the writer."""
        self._closed = True
        self._room.unpark_all()

    def congested_until(self, now: float, *, behind: bool = False) -> float | None:
        """The time up to which this outbox holds up a source at full speed; None if it does not.

        With `behind`, it does whenever it is read from: its client still waits for what was published before.
        """
        limits = self.limits
        until = self._moved + STALL_SECONDS
        if until <= now:
            return None
        full = self._messages * 2 > limits.messages or self._bytes * 2 > limits.bytes
        return until if behind or full or self._age(now) > CONGESTED_AGE else None

    async def wait_room(self, most: int = STREAM_BYTES) -> None:
        """Wait until a chunk of stored data (`stream_bytes`, `STREAM_MESSAGES`) may be put, and with it no more than
        `most` bytes wait, unless it is alone. Always a checkpoint. What is put only after this call never fills the
        outbox: the client's reading is the flow control. It wakes all who wait; they take turns. Cancel-safe.
        """
        await trio.lowlevel.checkpoint()
        while not (self._closed or self.has_room(most)):
            if self._over_budget():
                # Others hold it, and tell nobody when they let go: to tell would cost each of their writes.
                await trio.sleep(_BUDGET_SECONDS)
            else:
                await self._room.park()

    def has_room(self, most: int = STREAM_BYTES) -> bool:
        """Whether `wait_room` would not wait: its mark lies far below the limits, to leave room for answers."""
        return not self._over_budget() and (
            not self._times
            or (
                self._bytes + self.stream_bytes <= min(most, self.limits.bytes // 2)
                and self._messages + STREAM_MESSAGES <= self.limits.messages // 2
                and self._age() <= self.limits.seconds
            )
        )

    async def next(self) -> Chunk:
        """Wait for a chunk and take it. Cancel-safe: a cancelled call has taken nothing."""
        if self._times:
            await trio.lowlevel.checkpoint()
        while (chunk := self.next_nowait()) is None:
            await self._bell.receive()
        return chunk

    def next_nowait(self) -> Chunk | None:
        """Take a chunk if there is one."""
        if not self._times:
            return None
        self._moved = trio.current_time()
        chunk = self._pop()
        self._fly(len(chunk.data))
        return chunk

    def written(self) -> None:
        """What was taken is out, or given up: only now is it off the budget."""
        self._budget.used -= self._flying
        self._flying = 0

    def take_express(self) -> list[bytes]:
        """Take what overtakes the rest, made now."""
        made = [make() for make in self._express]
        self._express.clear()
        return made

    def take_held(self) -> list[Chunk | Gaps]:
        """Take what stands in place of dropped chunks: gaps, and the answers that stood between them."""
        held = list(self._held)
        self._held.clear()
        self._charge(-self._held_bytes)
        self._fly(self._held_bytes)
        self._held_bytes = 0
        return held

    def _overflow(self) -> None:
        self.close()
        self._on_full()

    def _add(self, chunk: Chunk, now: float) -> None:
        self._times.append(now)
        self._messages += chunk.messages
        self._charge(len(chunk.data))
        self._send.send_nowait(chunk)
        with suppress(trio.WouldBlock):  # it rings already
            self._ring.send_nowait(None)

    def _pop(self) -> Chunk:
        self._times.popleft()
        chunk = self._receive.receive_nowait()
        self._messages -= chunk.messages
        self._charge(-len(chunk.data))
        if self._room:
            self._room.unpark_all()
        self._on_room()
        return chunk

    def _fly(self, size: int) -> None:
        self._flying += size
        self._budget.used += size

    def _charge(self, size: int) -> None:
        self._bytes += size
        self._budget.used += size

    def _age(self, now: float | None = None) -> float:
        if not self._times:
            return 0.0
        return (trio.current_time() if now is None else now) - self._times[0]

    def _fits(self, chunk: Chunk, now: float) -> bool:
        size = len(chunk.data)
        if not self._times and not self._held_bytes:
            return self._budget.used + size <= self._budget.limit
        return (
            len(self._times) < self.limits.messages
            and self._messages + chunk.messages <= self.limits.messages
            and self._bytes + size <= self.limits.bytes
            and self._budget.used + size <= self._budget.limit
            and self._age(now) <= self.limits.seconds
        )

    def _over_budget(self) -> bool:
        return self._budget.used + self.stream_bytes > self._budget.limit

    def _make_room(self, chunk: Chunk, now: float) -> bool:
        if self.limits.policy == "disconnect":
            return False
        while self._times and not self._fits(chunk, now):
            self._drop_first()
        # Answers are not dropped: those to a client that asks and asks without reading fill the outbox by themselves.
        size = len(chunk.data)
        return not self._held_bytes or (
            self._bytes + size <= self.limits.bytes and self._budget.used + size <= self._budget.limit
        )

    def _drop_first(self) -> None:
        chunk = self._pop()
        if not chunk.messages:
            if chunk.data or chunk.latest:
                self._held.append(chunk)
                self._held_bytes += len(chunk.data)
                self._charge(len(chunk.data))
            return
        self._dropped += chunk.messages
        if not (self._held and isinstance(self._held[-1], dict)):
            self._held.append({})
        gaps = self._held[-1]
        assert isinstance(gaps, dict)  # noqa: S101 -- for the type checker; the two lines above made it so
        for topic, first, last in chunk.spans():
            gaps[topic] = (gaps[topic][0] if topic in gaps else first, last)
