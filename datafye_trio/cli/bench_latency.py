"""Latencies of a load, in bounded memory: a histogram whose steps are at most 1/64 of the value. No I/O, no clock.

A latency is this machine's clock minus the stamp of the event. That is one only if both clocks agree and the stamps are
of today. A replay sends the stamps of another day: then only how far a message was behind the fastest one can be told
(`Scale.SPREAD`), and where it runs faster or slower than it was recorded, nothing (`Scale.NONE`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["PERCENTILES", "Latencies", "Scale"]

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
_FAR: Final = 3_600 * 10**9
"""Clocks that differ by an hour do not mean to agree."""
_BITS: Final = 7
_STEPS: Final = 2 ** (_BITS - 1)
_SOUND_PACE: Final = (0.5, 2.0)
_PACED_AFTER: Final = 10**9
"""Nanoseconds after which the pace of the stamps can be judged."""


class Scale(StrEnum):
    """What can be told."""

    LATENCY = "latency"
    """The time from the event's stamp until it was received."""
    SPREAD = "spread"
    """The same, above the least: the stamps are of another time."""
    NONE = "none"
    """No event had a stamp, or the stamps run at another pace than the clock."""


class Latencies:
    """See the module. Times in nanoseconds.

    Args:
        base: what to count from, so that the steps are small where the latencies are; None: that of the first one.
    """

    def __init__(self, base: int | None = None) -> None:
        self.count = 0
        self.least = self.most = 0
        self._base = base
        self._counts: dict[int, int] = {}
        self._first = self._last = (0, 0)

    def add(self, now: int, stamp: int, weight: int = 1) -> None:
        """An event with this stamp has come at `now`, and stands for `weight` of them."""
        latency = now - stamp
        if not self.count:
            self.least = self.most = latency
            self._first = self._last = now, stamp
            if self._base is None:
                self._base = latency if abs(latency) >= _FAR else 0
        elif latency < self.least:
            self.least = latency
        elif latency > self.most:
            self.most = latency
        if stamp > self._last[1]:
            self._last = now, stamp
        step = _step_of(latency - (self._base or 0))
        self._counts[step] = self._counts.get(step, 0) + weight
        self.count += weight

    def fresh(self) -> Latencies:
        """An empty one for what comes next, with the steps small where they were the least here."""
        return Latencies(None if not self.count else self.least if self._far else 0)

    @property
    def pace(self) -> float | None:
        """How many seconds the stamps advance in a second; None where too little has come to tell."""
        clock = self._last[0] - self._first[0]
        return (self._last[1] - self._first[1]) / clock if clock >= _PACED_AFTER else None

    @property
    def scale(self) -> Scale:
        """What can be told. Stamps of now that fall behind are what a slow server looks like, and told as latencies."""
        if not self.count:
            return Scale.NONE
        pace = self.pace
        low, high = _SOUND_PACE
        if pace is not None and (pace > high or (pace < low and self._far)):
            return Scale.NONE
        return Scale.SPREAD if self._far else Scale.LATENCY

    def percentile(self, percent: float) -> int:
        """The latency that this many of a hundred do not exceed, to 1/64 of its distance from the base."""
        rank = percent / 100 * self.count
        seen = 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= rank:
                return max(self.least, min(self.most, (self._base or 0) + _middle_of(step)))
        return self.most

    @property
    def _far(self) -> bool:
        return abs(self.least) >= _FAR


def _step_of(value: int) -> int:
    """The number of a value's step; they ascend with the value, below zero as above."""
    size = abs(value)
    shift = max(0, size.bit_length() - _BITS)
    step = shift * _STEPS + (size >> shift)
    return step if value >= 0 else -step


def _middle_of(step: int) -> int:
    size = abs(step)
    shift = max(0, size // _STEPS - 1)
    middle = ((size - shift * _STEPS) << shift) + (1 << shift >> 1)
    return middle if step >= 0 else -middle
