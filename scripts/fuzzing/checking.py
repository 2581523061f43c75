"""What every target uses: a way to say that a promise was broken, and one way to cut bytes in pieces."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Hashable
from itertools import pairwise
from typing import Final, TypeAlias

import attrs

__all__ = ["Broken", "Run", "Target", "check", "gist", "pieces", "where"]

_PARTICULAR: Final = re.compile(r"""'[^']*'|"[^"]*"|[^a-z ]+""")
Run: TypeAlias = Callable[[bytes], Hashable]
"""Takes an input and says what came of it, as coarsely as two inputs are alike; raises where a promise is broken."""


class Broken(AssertionError):
    """A promise of the project does not hold for this input."""


@attrs.frozen
class Target:
    """Something that parses. `words` are what its language is made of; inputs are cut at `longest` bytes."""

    name: str
    promise: str
    run: Run
    words: tuple[bytes, ...] = ()
    longest: int = 4_096


def check(sound: bool, promise: str) -> None:
    """Raise `Broken` where something does not hold."""
    if not sound:
        raise Broken(promise)


def gist(text: object) -> str:
    """The end of a sentence without what it quotes and counts: what is alike for inputs that are alike."""
    return _PARTICULAR.sub("", str(text))[-30:]


def where(error: BaseException) -> Hashable:
    """The line that raised it: tells errors apart whose texts are full of the input."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return None if traceback is None else (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)


def pieces(data: bytes, *, salt: int = 0) -> list[bytes]:
    """The bytes cut in places that depend on nothing but themselves, so that an input is the whole of a reproducer."""
    dice = random.Random(zlib.crc32(data) + salt)
    some = dice.randint(1, 8)
    cuts = sorted({0, len(data), *(dice.randint(0, len(data)) for _ in range(some))})
    return [data[start:stop] for start, stop in pairwise(cuts)]
