"""Which heartbeats are unanswered, and what is due next (protocol.md section 4). No I/O; times are passed in."""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

import attrs

__all__ = ["Accept", "HeartbeatConfig", "Heartbeats"]

Accept: TypeAlias = Literal["pong", "any"]


@attrs.frozen
class HeartbeatConfig:
    """Seconds between heartbeats, seconds to answer the oldest, and what counts as an answer.

    `accept`: `pong`, only the message; `any`, any frame, a WebSocket pong included.
    """

    interval: float = 10.0
    timeout: float = 30.0
    accept: Accept = "pong"


class Heartbeats:
    """The heartbeats of one connection."""

    def __init__(self, config: HeartbeatConfig, now: float) -> None:
        self._config = config
        self._next = now + config.interval
        self._unanswered: deque[tuple[float, int]] = deque()

    def next_time(self) -> float:
        """When `check` should be called next."""
        if not self._unanswered:
            return self._next
        return min(self._next, self._unanswered[0][0] + self._config.timeout)

    def check(self, now: float) -> Literal["send", "dead", "wait"]:
        """What is due: the next heartbeat, the end of the connection, or nothing yet."""
        if self._unanswered and now >= self._unanswered[0][0] + self._config.timeout:
            return "dead"
        if now < self._next:
            return "wait"
        # On a fixed grid, so that the cut comes at exactly interval + timeout whatever delays a write.
        self._next += self._config.interval
        return "send"

    def advance(self, seconds: float) -> None:
        """Have all those that are to come so much earlier."""
        self._next -= seconds

    def skip(self, now: float) -> None:
        """Make none of what is due, and wait for no answer; the grid stays as it is."""
        self._unanswered.clear()
        while self._next <= now:
            self._next += self._config.interval

    def sent(self, now: float, timestamp: int) -> None:
        """A heartbeat was written, stamped so."""
        self._unanswered.append((now, timestamp))

    def answered(self, timestamp: int | None) -> None:
        """A pong came: for the heartbeats up to its timestamp, or for all. An unasked one is fine."""
        # The wall clock may be set back between two: then the later one has the lower stamp, and is known by it alone.
        while self._unanswered and (
            timestamp is None
            or self._unanswered[0][1] <= timestamp
            or any(stamp == timestamp for _, stamp in self._unanswered)
        ):
            self._unanswered.popleft()

    def heard(self, time: float) -> None:
        """Something came in at this time: with `accept: any` it answers the heartbeats sent until then."""
        while self._unanswered and self._unanswered[0][0] <= time:
            self._unanswered.popleft()
