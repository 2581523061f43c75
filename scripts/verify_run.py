"""One set from its files to what became of each bar."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs
import trio
from verify_compare import Making, Outcome, Result, Span, compare, length_of, making_of
from verify_running import compare_running, read_trades
from verify_sets import BarFile, BarRow, BarSet, read_bars
from verify_wire import Bars, import_trades, receive_bars, spans_of

from datafye_trio import TradeRule, consolidated, every_trade, only_conditions
from datafye_trio.errors import DatafyeError, SourceError, leaves_of
from datafye_trio.model import AssetClass, Frequency

__all__ = ["RULES", "SetReport", "verify"]

RULES: Final[Mapping[str, TradeRule]] = {
    "all": every_trade,
    "consolidated": consolidated,
    # What `tradesCondition` of the R package highfrequency keeps unless it is told otherwise (its `validConds`).
    "conditions": only_conditions(["", "@", "E", "@E", "F", "FI", "@F", "@FI", "I", "@I"]),
}
"""The rules that the name of a file can ask for."""

_RUNNING: Final = "running"


@attrs.frozen
class SetReport:
    """What became of one set."""

    name: str
    asset_class: AssetClass
    trades: int
    results: tuple[Result, ...]

    @property
    def compared(self) -> bool:
        """Whether there was anything that could be compared."""
        return any(result.different or result.outcomes[Outcome.EQUAL] for result in self.results)

    @property
    def sound(self) -> bool:
        """Whether something was compared, nothing was skipped, and all is equal."""
        return self.compared and not any(result.different or result.why for result in self.results)


@attrs.frozen
class _Part:
    """The bars of one frequency in one file, and what is to be compared with them; `making` is None for running bars.

    What cannot be compared has the reason in its result.
    """

    result: Result
    rows: Sequence[BarRow] = ()
    making: Making | None = None


def verify(one: BarSet, rules: Mapping[str, TradeRule] = RULES, forced: str | None = None) -> SetReport:
    """Compare all bars of a set; `forced` names a rule for all of its files, whatever their names say."""
    parts = [part for file in one.bars for part in _parts_of(file, one.asset_class, rules, forced)]
    trades, why = 0, one.why
    if not why:
        try:
            trades, spans = spans_of(one.ticks, one.asset_class)
            _compare(one, [part for part in parts if not part.result.why], spans, rules)
        except SourceError as error:
            why = str(error)
    for part in parts:
        part.result.why = part.result.why or why
    return SetReport(one.folder.resolve().name, one.asset_class, trades, tuple(part.result for part in parts))


def _compare(one: BarSet, parts: Sequence[_Part], spans: Mapping[str, Span], rules: Mapping[str, TradeRule]) -> None:
    """Count what became of each bar.

    Raises:
        SourceError: a file cannot be read, or the way to our bars has failed.
    """
    if running := [part for part in parts if part.making is None]:
        trades = read_trades(one.ticks, one.asset_class)
        for part in running:
            compare_running(part.result, part.rows, trades)
    with TemporaryDirectory(prefix="verify_bars_") as folder:
        import_trades(one.ticks, one.asset_class, Path(folder))
        for rule, found in _by_rule(parts).items():
            frequencies = frozenset(making.base for _, making in found)
            bars = _receive(Path(folder), one.asset_class, rules[rule], frequencies)
            for part, making in found:
                compare(part.result, part.rows, making.make(bars.values()), spans, making.end)


def _parts_of(
    file: BarFile, asset_class: AssetClass, rules: Mapping[str, TradeRule], forced: str | None
) -> Iterator[_Part]:
    name = file.path.name
    rule = _RUNNING if file.running else forced or file.rule or "all"
    rows: dict[str, list[BarRow]] = defaultdict(list)
    try:
        for row in read_bars(file, asset_class):
            rows[row.frequency].append(row)
    except SourceError as error:
        yield _Part(Result(name, file.frequency, rule, why=str(error)))
        return
    if not rows:
        yield _Part(Result(name, file.frequency, rule, why="it holds no bar"))
    for frequency, found in rows.items():
        if file.running:
            yield _Part(Result(name, frequency, rule), found)
            continue
        length = length_of(frequency)
        making = None if length is None else making_of(length, [row.start for row in found], asset_class)
        why = ""
        if rule not in rules:
            why = f"unknown rule {rule}: say what it is by --filter {rule}=COMBINATIONS, or give --rule"
        elif making is None:
            why = f"no bars of {frequency} can be made of seconds, minutes, hours and days"
        yield _Part(Result(name, frequency, rule, why=why), found, making)


def _by_rule(parts: Sequence[_Part]) -> dict[str, list[tuple[_Part, Making]]]:
    found: dict[str, list[tuple[_Part, Making]]] = defaultdict(list)
    for part in parts:
        if part.making is not None:
            found[part.result.rule].append((part, part.making))
    return found


def _receive(folder: Path, asset_class: AssetClass, rule: TradeRule, frequencies: frozenset[Frequency]) -> Bars:
    try:
        return trio.run(receive_bars, folder, asset_class, rule, frequencies)
    except BaseExceptionGroup as group:
        leaves = list(leaves_of(group))
        for kind in (KeyboardInterrupt, DatafyeError):
            for error in leaves:
                if isinstance(error, kind):
                    raise (SourceError(str(error)) if kind is DatafyeError else error) from None
        raise
