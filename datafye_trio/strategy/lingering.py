"""A warning for strategies that go on for ever after the end of a recording.

One that sleeps, or waits for what never comes, is ended by the player. One that asks again and again for more, in a
loop that was written for a server, never lets it: nobody can tell that from work. So it is said, and not ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from datafye_trio.logs import get_logger

__all__ = ["warning_of_lingering"]

log = get_logger("feed")

_SECONDS: Final = 5.0
"""Real ones."""


class _Watch(trio.abc.Instrument):
    """Looks at the real clock at each round of the scheduler: trio's own stands still as long as a task runs."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _SECONDS

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 -- as trio calls it
        """See `trio.abc.Instrument`."""
        if time.monotonic() >= self._due:
            self._due = math.inf
            log.warning("the recording has ended, and the strategy still runs: let it return where iterating ends")


@contextmanager
def warning_of_lingering() -> Iterator[None]:
    """Warn once, if the body takes longer than some seconds."""
    watch = _Watch()
    trio.lowlevel.add_instrument(watch)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(watch)
