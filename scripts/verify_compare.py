"""Comparing bars: which of theirs must be equal to ours, and what follows where they are not.

The trades of a set begin and end somewhere, for each symbol. A bar whose span lies between must be equal in all five
fields. Of one in whose span the trades begin or end, we hold a part only: if it is not equal it is incomplete, but no
more than that: a part has a smaller volume, no higher high, no lower low, and the very open or close of the side that
is not cut off. What does not even agree so far is a difference. A bar before or after all trades is outside.

A frequency that we do not offer, such as 15s or 4h, is folded from our bars of the next shorter one. Where trades came
out of order across two of those, its open and close go by the order of the bars, not by that of the trades.

Equal means equal: the floats that are written are the floats that we sent. One exception is counted and told: a volume
that is written with a float's full digits is a sum of floats, and ours, which is exact, may differ by their rounding.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

import attrs
from verify_sets import BarRow, Values

from datafye_trio import fold_bars
from datafye_trio.aggregates import span_of
from datafye_trio.model import AssetClass, Bar, Frequency

__all__ = ["Difference", "Making", "Outcome", "Result", "Span", "compare", "length_of", "making_of", "values_of"]

Span: TypeAlias = tuple[int, int]
"""The times of a symbol's first and last trade, in nanoseconds."""

_SECOND: Final = 1_000_000_000
_FREQUENCY: Final = re.compile(r"([0-9]*)\s*([A-Za-z]+)")
_LENGTHS: Final = {"s": _SECOND, "m": 60 * _SECOND, "h": 3_600 * _SECOND, "d": 86_400 * _SECOND, "w": 604_800 * _SECOND}
_SHORT: Final = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_SHOWN: Final = 5
_ROUNDING: Final = 1e-12


class Outcome(StrEnum):
    """What became of a bar."""

    EQUAL = "equal"
    DIFFERS = "differs"
    MISSING = "missing"
    EXTRA = "extra"
    INCOMPLETE = "incomplete"
    OUTSIDE = "outside"


@attrs.frozen
class Difference:
    """A bar that is not as it must be; `theirs` or `ours` is None where there is none."""

    kind: Outcome
    symbol: str
    start: int
    theirs: Values | None
    ours: Values | None


@attrs.define
class Result:
    """What became of the bars of one file and frequency. `why` says why they were not compared.

    `rounded` of those that are equal are so but for the rounding of their volume.
    """

    file: str
    frequency: str
    rule: str
    outcomes: Counter[Outcome] = attrs.Factory(Counter)
    shown: list[Difference] = attrs.Factory(list)
    rounded: int = 0
    note: str = ""
    why: str = ""

    def add(self, found: Difference) -> None:
        """Count a difference; the first few are kept to be shown."""
        self.outcomes[found.kind] += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(found)

    @property
    def bars(self) -> int:
        """The bars of theirs."""
        return self.outcomes.total() - self.outcomes[Outcome.EXTRA]

    @property
    def different(self) -> int:
        """The bars that are not as they must be."""
        return sum(self.outcomes[kind] for kind in (Outcome.DIFFERS, Outcome.MISSING, Outcome.EXTRA))


@attrs.frozen
class Making:
    """How bars of a span are made of ours: `base` bars, folded to `length` from `origin` on unless that is 0."""

    base: Frequency
    length: int
    origin: int
    asset_class: AssetClass

    def end(self, start: int) -> int:
        """Where the span that begins there ends."""
        return start + self.length if self.length else span_of(start, self.base, self.asset_class)[1]

    def make(self, bars: Iterable[Bar]) -> dict[tuple[str, int], Bar]:
        """The bars by symbol and start, out of all of ours."""
        base = sorted((bar for bar in bars if bar.frequency == self.base), key=lambda bar: bar.start)
        folded = fold_bars(base, self.length, "", origin=self.origin) if self.length else base
        return {(bar.symbol, bar.start): bar for bar in folded}


def length_of(frequency: str) -> int | None:
    """The nanoseconds of `1s`, `5m`, `4h`, `1d`, `1w` and the like; None for others. `M` is a month, and has none."""
    found = _FREQUENCY.fullmatch(frequency)
    if found is None or found[2] == "M":
        return None
    unit = found[2].lower()
    unit = _SHORT.get(unit.removesuffix("s"), unit)
    return int(found[1] or 1) * _LENGTHS[unit] or None if unit in _LENGTHS else None


def making_of(length: int, starts: Sequence[int], asset_class: AssetClass) -> Making | None:
    """How to make bars of this length that begin at these times; None if no bars of ours fit in.

    A day of stocks is New York's where all of theirs begin there at midnight; else it is what its length says.
    """
    is_day = length == _LENGTHS["d"] and asset_class is AssetClass.STOCKS
    if is_day and all(span_of(start, Frequency.DAY, asset_class)[0] == start for start in starts):
        return Making(Frequency.DAY, 0, 0, asset_class)
    origin = Counter(start % length for start in starts).most_common(1)[0][0]
    for base, unit in zip(reversed(Frequency), "dhms", strict=True):
        fits = length % _LENGTHS[unit] == 0 and origin % _LENGTHS[unit] == 0
        if fits and not (base is Frequency.DAY and asset_class is AssetClass.STOCKS):
            return Making(base, 0 if length == _LENGTHS[unit] else length, origin, asset_class)
    return None


def values_of(bar: Bar) -> Values:
    """What is compared of a bar of ours."""
    return Values(bar.open, bar.high, bar.low, bar.close, float(bar.volume))


def compare(
    result: Result,
    theirs: Sequence[BarRow],
    ours: Mapping[tuple[str, int], Bar],
    spans: Mapping[str, Span],
    end: Callable[[int], int],
) -> None:
    """Count into `result` what became of each bar of theirs, and of ours that they lack."""
    starts: dict[str, list[int]] = defaultdict(list)
    for row in theirs:
        starts[row.symbol].append(row.start)
        found = ours.get((row.symbol, row.start))
        values = None if found is None else values_of(found)
        outcome = _judge(row, values, spans.get(row.symbol), end(row.start))
        result.rounded += outcome is Outcome.EQUAL and values != row.values
        if outcome in (Outcome.DIFFERS, Outcome.MISSING):
            result.add(Difference(outcome, row.symbol, row.start, row.values, values))
        else:
            result.outcomes[outcome] += 1
    covered = {symbol: (min(found), max(found), set(found)) for symbol, found in starts.items()}
    for (symbol, start), bar in sorted(ours.items()):
        # A bar without a price holds volume that others add to another bar, or drop: it is none to them.
        if symbol in covered and bar.high is not None:
            lowest, highest, known = covered[symbol]
            if lowest < start < highest and start not in known:
                result.add(Difference(Outcome.EXTRA, symbol, start, None, values_of(bar)))


def _judge(row: BarRow, ours: Values | None, span: Span | None, end: int) -> Outcome:
    if span is None or end <= span[0] or row.start > span[1]:
        return Outcome.OUTSIDE
    if ours is not None and _are_equal(ours, row):
        return Outcome.EQUAL
    begins, ends = row.start <= span[0], end > span[1]
    if (begins or ends) and (ours is None or _is_part(ours, row.values, begins, ends)):
        return Outcome.INCOMPLETE
    return Outcome.MISSING if ours is None else Outcome.DIFFERS


def _are_equal(ours: Values, row: BarRow) -> bool:
    if row.rounded and math.isclose(ours.volume, row.values.volume, rel_tol=_ROUNDING):
        return attrs.evolve(ours, volume=row.values.volume) == row.values
    return ours == row.values


def _is_part(ours: Values, theirs: Values, begins: bool, ends: bool) -> bool:
    """Whether ours can be made of a part of their trades, cut off where ours begin or end."""
    if ours.high is None or ours.low is None or theirs.high is None or theirs.low is None:
        return ours.volume < theirs.volume
    return (
        ours.volume < theirs.volume
        and ours.high <= theirs.high
        and ours.low >= theirs.low
        and (begins or ours.open == theirs.open)
        and (ends or ours.close == theirs.close)
    )
