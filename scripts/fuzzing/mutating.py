"""Changes bytes at random: a few small changes at once, out of the words of a language and of other inputs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["Mutator"]

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_NUMBERS: Final = (
    b"0", b"-1", b"1e999", b"1_0", b"NaN", b"-0.0", b"0.1", b"125", b"126", b"65536", b"8192",
    str(2**31).encode(), str(2**53 + 1).encode(), str(2**63 - 1).encode(), str(-(2**63)).encode(),
    str(2**64).encode(), b"9" * 400, "\u0663".encode(),
)  # fmt: skip
_BYTES: Final = (0, 1, 9, 10, 13, 32, 34, 44, 58, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x88, 0x89, 0xC3, 0xED, 0xFE, 0xFF)
_MANY: Final = (2, 3, 17, 65, 400)


class Mutator:
    """Makes new inputs from old ones. Its dice are the only ones, so that a seed decides all."""

    def __init__(self, dice: random.Random, words: Sequence[bytes], longest: int) -> None:
        self._dice = dice
        self._words = words or (b"",)
        self._longest = longest
        self._ways: tuple[Callable[[bytes, bytes], bytes], ...] = (
            self._flip, self._byte, self._drop, self._double, self._splice, self._word, self._word, self._number,
            self._swap, self._repeat, self._end,
        )  # fmt: skip

    def change(self, data: bytes, other: bytes) -> bytes:
        """An input like `data`, with something of `other` in it now and then."""
        for _ in range(self._dice.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            data = self._dice.choice(self._ways)(data, other)
        return data[: self._longest]

    def _at(self, data: bytes) -> int:
        return self._dice.randint(0, len(data))

    def _span(self, data: bytes) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + self._dice.choice((1, 1, 2, 4, 8, 32, 200)))

    def _flip(self, data: bytes, _: bytes) -> bytes:
        if not data:
            return b"\0"
        at = self._dice.randrange(len(data))
        return data[:at] + bytes((data[at] ^ 1 << self._dice.randrange(8),)) + data[at + 1 :]

    def _byte(self, data: bytes, _: bytes) -> bytes:
        at, over = self._at(data), self._dice.randint(0, 1)
        value = self._dice.choice(_BYTES) if self._dice.random() < 0.5 else self._dice.randrange(256)
        return data[:at] + bytes((value,)) + data[at + over :]

    def _drop(self, data: bytes, _: bytes) -> bytes:
        start, stop = self._span(data)
        return data[:start] + data[stop:]

    def _double(self, data: bytes, _: bytes) -> bytes:
        start, stop = self._span(data)
        at = self._at(data)
        return data[:at] + data[start:stop] + data[at:]

    def _splice(self, data: bytes, other: bytes) -> bytes:
        start, stop = self._span(other)
        if self._dice.random() < 0.3:
            stop = len(other)
        at, end = self._span(data)
        return data[:at] + other[start:stop] + data[end if self._dice.random() < 0.5 else at :]

    def _word(self, data: bytes, _: bytes) -> bytes:
        word, at = self._dice.choice(self._words), self._at(data)
        return data[:at] + word + data[at + (len(word) if self._dice.random() < 0.5 else 0) :]

    def _number(self, data: bytes, other: bytes) -> bytes:
        found = list(_NUMBER.finditer(data))
        if not found:
            return self._byte(data, other)
        one = self._dice.choice(found)
        return data[: one.start()] + self._dice.choice(_NUMBERS) + data[one.end() :]

    def _swap(self, data: bytes, _: bytes) -> bytes:
        (a, b), (c, d) = sorted((self._span(data), self._span(data)))
        if b > c:
            return data
        return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]

    def _repeat(self, data: bytes, _: bytes) -> bytes:
        start, stop = self._span(data)
        return data[:start] + data[start:stop] * self._dice.choice(_MANY) + data[stop:]

    def _end(self, data: bytes, _: bytes) -> bytes:
        return data[: self._at(data)]
