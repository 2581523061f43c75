"""Chunks, what an outbox that holds them may hold, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from datafye_trio.broker.latest import LatestBatch
    from datafye_trio.broker.outbox import Outbox
    from datafye_trio.broker.topic import Topic

__all__ = ["CHUNK_BYTES", "Budget", "Chunk", "Gaps", "OutboxLimits", "OutboxStatistics", "Policy"]

CHUNK_BYTES: Final = 64 * 1024
"""The most bytes of one chunk, unless it is a single message."""

Policy: TypeAlias = Literal["disconnect", "drop_oldest"]


@attrs.frozen
class OutboxLimits:
    """How much may wait for one client; `seconds` is the age of the oldest chunk. Whichever comes first."""

    messages: int = 16_384
    bytes: int = 8 * 2**20
    seconds: float = 5.0
    policy: Policy = "disconnect"


@attrs.define
class Budget:
    """Bytes in all outboxes of a server, with what is being written; over `limit`, the outbox that holds most is full.

    And not the one that happens to grow: clients that do not read would have those cut that do.
    """

    limit: int
    used: int = 0
    outboxes: set[Outbox] = attrs.Factory(set)
    """Those that are open."""

    def relieve(self, asking: Outbox, size: int) -> None:
        """Make room for `size` bytes more in an outbox, at the cost of those that hold more than it would then."""
        while self.used + size > self.limit:
            most = max(self.outboxes, key=lambda outbox: outbox.held)
            if most.held <= asking.held + size or not most.give_way(size):
                return


@attrs.define(eq=False)
class Chunk:
    """Ready-made frames, shared by all outboxes that take them. `messages` counts data messages: 0 is an answer.

    `spans` names them for an exact gap, (topic, first, last) each; it is called only when the chunk is dropped.
    """

    data: bytes
    messages: int = 0
    spans: Callable[[], Iterable[tuple[Topic, int, int]]] = tuple
    latest: LatestBatch | None = None


@attrs.frozen
class OutboxStatistics:
    """A moment of an outbox: what waits, the age of the oldest in seconds, and what went out or was dropped so far."""

    messages: int
    bytes: int
    age: float
    sent: int
    dropped: int


Gaps: TypeAlias = "dict[Topic, tuple[int, int]]"
"""For each topic the first and last `seq` that was dropped."""
