"""Signals for commands that run until somebody ends them: the first one ends in good order, the second one at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Final, TextIO

__all__ = ["HURRIED", "obey", "terminal_of"]

HURRIED: Final = 130
_SHOW_CURSOR: Final = b"\x1b[?25h"


def terminal_of(stream: TextIO) -> int | None:
    """The descriptor of a terminal that a live view may draw in, None where there is none.

    To be asked before the view begins: it puts another stream in the place of this one.
    """
    return stream.fileno() if stream.isatty() else None


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
