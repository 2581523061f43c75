"""What benchmarks come to: rows of figures and of ratios, each with its spread, as a table or as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import attrs

from benchmark.rounds import OURS, Turns
from benchmark.wanted import Wanted, wanted_of

__all__ = ["Row", "Spread", "render", "rows_of", "to_json"]


@attrs.frozen
class Spread:
    """The median of the rounds, and the lowest and the highest of them."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{_number(self.median)} ({_number(self.lowest)} to {_number(self.highest)})"


@attrs.frozen
class Row:
    """One figure of one contender; `failure` is why there is none. `ratio` is ours over this contender's, made within
    each round and then summed up.
    """

    benchmark: str
    contender: str
    figure: str = ""
    value: Spread | None = None
    ratio: Spread | None = None
    wanted: Wanted | None = None
    failure: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is as wanted; None where nothing is wanted, or there is nothing to judge."""
        judged = self.ratio if self.wanted and self.wanted.of == "ratio" else self.value
        return None if self.wanted is None or judged is None else self.wanted.met(judged.median)


def rows_of(benchmark: str, turns: Turns) -> list[Row]:
    """Rows of what turns came to, those that failed last. Each ratio is made within its round."""
    rows = []
    base = turns.values.get(OURS, {})
    for contender, figures in turns.values.items():
        for figure, mine in figures.items():
            ratio = None
            if contender != OURS and figure in base:
                ratio = Spread.of([a / b for a, b in zip(base[figure], mine, strict=True)])
            wanted = wanted_of(benchmark, contender, figure)
            rows.append(Row(benchmark, contender, figure, Spread.of(mine), ratio, wanted[0] if wanted else None))
    return rows + [Row(benchmark, name, failure=why) for name, why in turns.failed.items()]


def render(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """The table, for people."""
    lines = [f"  {'contender':24}{'median (lowest to highest)':>40}  {'ours / contender':>28}  wanted"]
    for benchmark, some in groupby(rows, lambda row: row.benchmark):
        lines += ["", f"{benchmark}: {titles.get(benchmark, '')}"]
        lines += map(_line, some)
    return "\n".join(lines)


def _line(row: Row) -> str:
    if row.value is None:
        return f"  {row.contender:24}no figure: {row.failure}"
    verdict = f"{row.wanted}: {'met' if row.met else 'NOT MET'}" if row.wanted and row.met is not None else ""
    figure = f"{row.value} {row.figure}"
    ratio = f"{row.ratio}" if row.ratio else ""
    return f"  {row.contender:24}{figure:>40}  {ratio:>28}  {verdict}".rstrip()


def _number(value: float) -> str:
    places = next((places for bound, places in ((100, 0), (10, 1), (1, 2)) if value >= bound), 3)
    return f"{value:,.{places}f}"


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The same, for programs."""
    return [attrs.asdict(row) | {"met": row.met} for row in rows]
