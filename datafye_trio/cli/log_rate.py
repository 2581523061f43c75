"""No more than one log line a second for one address and kind: a flood from one peer must not fill a disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from datafye_trio.server.access import fold, group_of

__all__ = ["OnceASecond"]

_INTERVAL: Final = 1.0
_MAX_KEYS: Final = 10_000
_OF_PEERS: Final = ("datafye_trio.connection", "datafye_trio.stream", "trio.serve_listeners", "trio-websocket")
"""Loggers whose lines strangers bring about, and which do not say by whom: one address for all of them."""


class OnceASecond(logging.Filter):
    """Drops lines that peers bring about, within a second of the last of the same `address` and event.

    All addresses of an IPv6 /64 are one, as for the shares of connections: whoever has one has all of them. The next
    line that passes tells how many were dropped, as `suppressed`. The table keeps the 10,000 keys that were last
    written; a key that is forgotten takes its count with it.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        address = getattr(record, "address", None)
        if address is None and record.name not in _OF_PEERS:
            return True
        key = (_group(str(address)), str(record.msg))
        now = self._clock()
        written, suppressed = self._last.get(key, (now - _INTERVAL, 0))
        if now - written < _INTERVAL:
            self._last[key] = (written, suppressed + 1)
            return False
        self._last.pop(key, None)
        if len(self._last) >= _MAX_KEYS:
            del self._last[next(iter(self._last))]
        self._last[key] = (now, 0)
        if suppressed:
            record.suppressed = suppressed
        return True


def _group(text: str) -> str:
    try:
        return group_of(fold(text))
    except ValueError:  # a line of somebody else's, with a word of its own there
        return text
