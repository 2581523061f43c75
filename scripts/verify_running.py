"""Running bars: the bar after a step is the bar before it and the trades between, which their ids name.

A step can be checked where the trades of the set cover just these ids. Within a span they are those after the last id
of the bar before, up to the last of the bar after; into a new span, those of the bar after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs
from verify_compare import Difference, Outcome, Result, values_of
from verify_sets import BarRow, read_rows

from datafye_trio.aggregates import Accumulator, Updates
from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Bar, Frequency
from datafye_trio.protocol import normalise_symbol
from datafye_trio.recordings.csv_ticks import TickFile

__all__ = ["compare_running", "read_trades"]

_FIRST: Final = "first_trade_id"
_LAST: Final = "last_trade_id"


@attrs.frozen
class _Print:
    """A trade, or several put together, by the ids that they have."""

    first: int
    last: int
    price: float
    size: float


_Prints: TypeAlias = Mapping[str, Mapping[int, _Print]]
"""By symbol and first id."""


def read_trades(files: Iterable[TickFile], asset_class: AssetClass) -> _Prints:
    """The trades of a set by their ids.

    Raises:
        SourceError: a file cannot be read, has no ids, or one is no number.
    """
    found: dict[str, dict[int, _Print]] = defaultdict(dict)
    for file in files:
        for line, cells in read_rows(file.path):
            one = cells.get("trade_id", "")
            first, last = cells.get(_FIRST, one), cells.get(_LAST, one)
            try:
                trade = _Print(int(first), int(last), float(cells["price"]), float(cells["size"]))
                found[normalise_symbol(cells["symbol"], asset_class)][trade.first] = trade
            except ValueError as error:
                raise SourceError(f"{file.path}, line {line}: no trade with ids to go by: {error}") from None
    return found


def compare_running(result: Result, rows: Sequence[BarRow], trades: _Prints) -> None:
    """Count into `result` what became of each step from one bar of a symbol to its next.

    Raises:
        SourceError: a bar lacks ids.
    """
    before: dict[str, tuple[BarRow, int]] = {}
    checked = {True: 0, False: 0}
    for row in rows:
        first, last = _ids(row)
        if row.symbol in before:
            one, seen = before[row.symbol]
            # A bar without trades of its own holds prices that are no trade's: as good as none.
            fresh = one.start != row.start or one.values.volume == 0
            between = _between(trades.get(row.symbol, {}), first if fresh else seen + 1, last)
            if between is None or (fresh and not between):
                result.outcomes[Outcome.INCOMPLETE] += 1
            else:
                checked[fresh] += 1
                _check(result, None if fresh else one, row, between)
        before[row.symbol] = row, last
    result.note = f"{checked[False]} steps within a bar, {checked[True]} into a new one"


def _ids(row: BarRow) -> tuple[int, int]:
    try:
        return int(row.cells[_FIRST]), int(row.cells[_LAST])
    except (KeyError, ValueError):
        raise SourceError(f"line {row.line}: a running bar needs {_FIRST} and {_LAST}, whole numbers") from None


def _between(trades: Mapping[int, _Print], first: int, last: int) -> list[_Print] | None:
    """The trades that have just the ids from first to last, none for a step without a trade; None if they do not."""
    found: list[_Print] = []
    at = first
    while at <= last:
        trade = trades.get(at)
        if trade is None or not at <= trade.last <= last:
            return None
        found.append(trade)
        at = trade.last + 1
    return found if at == last + 1 else None


def _check(result: Result, before: BarRow | None, after: BarRow, between: Sequence[_Print]) -> None:
    fold = Accumulator(after.start, after.start + 1)  # where the span ends changes nothing here
    if before is not None:
        values = before.values
        prices = values.open, values.high, values.low, values.close
        fold.add_bar(0, Bar(after.symbol, after.frequency, after.start, *prices, values.volume, 0, None))
    for order, trade in enumerate(between, 1):
        fold.add(order, trade.price, trade.size, Updates.EVERYTHING)
    ours = values_of(fold.bar(after.symbol, Frequency.SECOND))
    if ours == after.values:
        result.outcomes[Outcome.EQUAL] += 1
    else:
        result.add(Difference(Outcome.DIFFERS, after.symbol, after.start, after.values, ours))
