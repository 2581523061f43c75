"""Large requests, cut in slices: ten thousand symbols in one go took 65 ms, for which everybody else had to wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import trio

__all__ = ["SLICE", "in_slices"]

SLICE: Final = 256
"""Topics that are made, joined or left in one go: a millisecond or two."""
T = TypeVar("T")


async def in_slices(turn: trio.Lock, items: Sequence[T], do: Callable[[Sequence[T]], Any], size: int = SLICE) -> None:
    """Do something to `items`, `size` of them at a time. Cancelled, it has been done to the first of them.

    The first slice is done at once, without a checkpoint: that is all for most requests. Each further one takes its
    turn, of which there is one in a round of the scheduler, whoever asks for much, and however many do.
    """
    do(items[:size])
    for start in range(size, len(items), size):
        async with turn:
            do(items[start : start + size])
