"""When to come back after a connection has ended, and whether at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from datafye_trio.protocol import Advice, CloseCode

__all__ = ["Backoff", "comes_back"]

_FIRST: Final = 0.25
_LONGEST: Final = 30.0
_HEALTHY: Final = 60.0
_TOO_MANY_REQUESTS: Final = 5.0
_KNOWN: Final = frozenset(CloseCode)


class Backoff:
    """Waits that double from 0.25 to 30 s, each drawn between 0 and its bound: many clients must not come at once."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._bound = _FIRST

    def next(self, healthy: float, code: int | None = None) -> float:
        """Seconds to wait, after a connection that was good for `healthy` seconds and closed with `code`."""
        if healthy >= _HEALTHY:
            self._bound = _FIRST
        wait = self._random() * self._bound
        self._bound = min(2 * self._bound, _LONGEST)
        return wait + _TOO_MANY_REQUESTS if code == CloseCode.TOO_MANY_REQUESTS else wait


def comes_back(code: int) -> bool:
    """Whether a close code's advice is to connect again (protocol.md section 7).

    A code that nobody has defined means so, too, but for 4500 to 4999: those are the ones to stop at.
    """
    if code in _KNOWN:
        return CloseCode(code).advice is not Advice.STOP
    return not 4500 <= code < 5000
