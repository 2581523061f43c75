"""Signals for commands that run until somebody ends them: the first one ends in good order, the second one at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TextIO

__all__ = ["HURRIED", "have_hung_up", "obey", "terminal_of", "terminals"]

HURRIED: Final = 130
_SHOW_CURSOR: Final = b"\x1b[?25h"


def terminal_of(stream: TextIO) -> int | None:
    """The descriptor of a terminal that a live view may draw in, None where there is none.

    To be asked before the view begins: it puts another stream in the place of this one.
    """
    return stream.fileno() if stream.isatty() else None


def terminals() -> list[int]:
    """The descriptors of the standard streams that are terminals."""
    return [number for number in (0, 1, 2) if os.isatty(number)]


def have_hung_up(descriptors: Sequence[int]) -> bool:
    """Whether one of what were terminals is none any more: its window was closed, its connection lost.

    Before it tells a process so by SIGHUP, the system has made the terminal fail; other senders of SIGHUP do not.
    """
    return not all(map(os.isatty, descriptors))


async def obey(signals: AsyncIterator[int], stop: Callable[[], None], terminal: int | None) -> None:
    """Call `stop` at the first signal; at the second, give the terminal its cursor back and end with 130."""
    stopped = False
    async for _ in signals:
        if stopped:
            if terminal is not None:
                os.write(terminal, _SHOW_CURSOR)
            os._exit(HURRIED)
        stopped = True
        stop()
