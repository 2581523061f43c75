"""When the messages of a stream with a rate fall due, on an absolute schedule."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["StreamPace"]

_TICK: Final = 0.002
"""The shortest time in seconds between two wake-ups: at high rates, several messages fall due together."""
_HELD_UP: Final = 0.5
"""Seconds behind the schedule from which on it begins anew: a burst would be no rate."""
_MOST: Final = 1e6


class StreamPace:
    """`rate` messages a second, the first one at once.

    The schedule does not drift: what a message is late by does not move the next. But where the stream was held up (its
    client did not read, or did not grant more), the schedule moves with it.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._origin = trio.current_time()
        self._woke = self._origin - _TICK
        self._sent = 0

    async def wait_due(self) -> int:
        """Wait for the next message; returns how many are due by then. Always a checkpoint. Cancel-safe."""
        due = self._origin + self._sent / self._rate
        await trio.sleep_until(max(due, self._woke + _TICK))
        now = self._woke = trio.current_time()
        if now - due > _HELD_UP:
            self._origin += now - due
        # At least the one that the sleep was for: rounding may put the count just below it.
        return max(1, int(min((now - self._origin) * self._rate, self._sent + _MOST)) + 1 - self._sent)

    def sent(self, count: int) -> None:
        """So many were sent."""
        self._sent += count
