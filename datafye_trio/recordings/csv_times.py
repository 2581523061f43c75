"""Times in tick CSV files, as texts of several spellings, to nanoseconds since 1970. Never through a float."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from datafye_trio.protocol.times import parse_time

__all__ = ["TIME_UNITS", "nanoseconds"]

_LAST_TIME: Final = 2**63 - 1
# The second is taken for itself: a file holds many rows a second, and parsing one takes a hundred times as long.
_ISO: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))?(\S*)")


def nanoseconds(text: str) -> int:
    """An integer.

    Raises:
        ValueError: it is none, or does not fit 64 bits.
    """
    # int() would also take a sign, spaces, underscores and the digits of every script.
    if text.isdecimal() and text.isascii() and len(text) < 20 and (time := int(text)) <= _LAST_TIME:
        return time
    raise ValueError(f"{text[:40]!r} is no time: nanoseconds since 1970 as an integer are wanted")


def _decimal(text: str, unit: str, digits: int) -> int:
    """A number of units of 10**digits nanoseconds, with so many digits after its point at most."""
    whole, _, fraction = text.partition(".")
    if (
        text.isascii()
        and whole.isdecimal()
        and len(whole) < 20
        and len(fraction) <= digits
        and (fraction.isdecimal() or not fraction)
    ):
        time = int(whole + fraction.ljust(digits, "0"))
        if time <= _LAST_TIME:
            return time
    raise ValueError(f"{text[:40]!r} is no time: {unit} since 1970 are wanted, with at most {digits} decimals")


@lru_cache(maxsize=4_096)
def _second(text: str) -> int:
    return parse_time(text)


def _iso(text: str) -> int:
    """As `parse_time`, with a space in place of the T too."""
    if found := _ISO.fullmatch(text):
        date, clock, fraction, zone = found.groups()
        time = _second(f"{date}T{clock}{zone}") + int((fraction or "").ljust(9, "0"))
    else:
        time = parse_time(text)
    if time < 0:
        raise ValueError(f"{text[:40]!r} is no time: it lies before 1970")
    return time


TIME_UNITS: Final[dict[str, Callable[[str], int]]] = {
    "ns": nanoseconds,
    "us": partial(_decimal, unit="microseconds", digits=3),
    "ms": partial(_decimal, unit="milliseconds", digits=6),
    "s": partial(_decimal, unit="seconds", digits=9),
    "iso": _iso,
}
"""What the times of a file may be, and the function that reads one (ValueError where it is none)."""
