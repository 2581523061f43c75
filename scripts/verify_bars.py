"""Proves our bars against bars that others made from the same ticks; `scripts/verify_bars` runs this.

This module is the command line and the table. The sets are found by verify_sets, our bars made by verify_wire, and
compared by verify_compare and verify_running; verify_run is what happens to one set.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from verify_compare import Difference, Outcome, Result
from verify_run import RULES, SetReport, verify
from verify_sets import Values, find_sets

from datafye_trio import TradeRule, only_conditions
from datafye_trio.cli.text import one_line, say
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass
from datafye_trio.protocol import format_time

__all__ = ["main"]

_WRONG: Final = 2
_INTERRUPTED: Final = 130

DESCRIPTION: Final = """\
Prove our bars against bars that others made from the same ticks.

DIR is one set or a folder of sets. A set is a folder with trades (a .csv or
.csv.gz with symbol, ts_ns, price, size) and with bars of others: bars_1m.csv,
bars_5m_RULE.csv.gz (symbol, start_ns, frequency, open, high, low, close, volume)
or running_bars_1m.csv (first_trade_id and last_trade_id too). The trades go
through `datafye-trio import`, a replay at full speed and a real server; the bars
that a client receives must equal those of the files in all five fields, exactly.
"""

EPILOG: Final = """\
rules, by the name of the file:
  bars_1m.csv, bars_1m_all.csv   every trade
  bars_1m_consolidated.csv       what the US tapes' sale conditions let count
  bars_1m_conditions.csv         only trades whose conditions are none, @, E, @E,
                                 F, FI, @F, @FI, I or @I
  bars_1m_NAME.csv               what --filter NAME=... says

columns: so many bars of theirs are equal, differ, are missing in ours, are
incomplete (their symbol's ticks begin or end within them, or lack a trade between
two running bars), or are outside of the ticks. Extra ones are bars that only we
have.

asset class, unless it is given: by the name of the set, where that begins with
crypto, equity or stock; else stocks if the trades have sale conditions.

examples:
  scripts/verify_bars ../shared/data
  scripts/verify_bars ../shared/data/one_set --rule consolidated
  scripts/verify_bars sets --filter regular=,@,F,@F --json

Ends with 0 if all is equal that can be compared; with 1 if there is a difference,
if a file was skipped, or if nothing of a set could be compared; with 2 for a wrong
command line; with 130 by Ctrl-C.
"""

_COLUMNS: Final = ("bars", *(outcome.value for outcome in Outcome))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, verify, print; returns the exit code."""
    try:
        return _run(_parser().parse_args(arguments))
    except ConfigurationError as error:
        say(f"verify_bars: {error}")
        return _WRONG
    except KeyboardInterrupt:
        say("verify_bars: interrupted")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/verify_bars",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="a set, or a folder of sets")
    parser.add_argument("--rule", metavar="NAME", help="this rule for all files, whatever their names say")
    parser.add_argument(
        "--filter",
        metavar="NAME=COMBINATIONS",
        action="append",
        default=[],
        help="a rule of your own: only trades with one of these combinations of conditions, between commas; the empty "
        "one is a trade without (several times)",
    )
    parser.add_argument("--asset-class", type=AssetClass, choices=list(AssetClass), help="of all sets")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return parser


def _run(given: argparse.Namespace) -> int:
    rules = dict(RULES) | dict(map(_rule_of, given.filter))
    forced = None if given.rule is None else given.rule.lower()
    if forced is not None and forced not in rules:
        raise ConfigurationError(f"unknown rule {given.rule}: use {', '.join(rules)}, or add it by --filter")
    sets = find_sets(given.folder, given.asset_class)
    began = time.monotonic()
    width = max(len(file.path.name) for one in sets for file in one.bars)
    if not given.json:
        say(_line("file", "rule", _COLUMNS, width), sys.stdout)
    reports = []
    for one in sets:
        reports.append(report := verify(one, rules, forced))
        if not given.json:
            _print(report, width)
    sound = all(report.sound for report in reports)
    seconds = time.monotonic() - began
    if given.json:
        say(json.dumps(_as_json(reports, sound=sound, seconds=seconds)), sys.stdout)
    else:
        _print_totals(reports, width, seconds)
    return 0 if sound else 1


def _rule_of(text: str) -> tuple[str, TradeRule]:
    name, separator, combinations = text.partition("=")
    if not separator or not name:
        raise ConfigurationError(f"--filter {text}: write NAME=COMBINATIONS, such as regular=,@,F,@F")
    return name.lower(), only_conditions(part.strip() for part in combinations.split(","))


def _line(file: str, rule: str, cells: Sequence[object], width: int) -> str:
    return f"{file:{width}}  {rule:12}" + "".join(
        f"{cell:>{max(9, len(name) + 2)},}" if isinstance(cell, int) else f"{cell:>{max(9, len(name) + 2)}}"
        for name, cell in zip(_COLUMNS, cells, strict=True)
    )


def _counts(result: Result) -> list[int]:
    return [result.bars, *(result.outcomes[outcome] for outcome in Outcome)]


def _print(report: SetReport, width: int) -> None:
    say(f"\n{one_line(report.name)} ({report.asset_class}, {report.trades:,} trades)", sys.stdout)
    for result in report.results:
        say(_line(one_line(result.file), one_line(result.rule), _counts(result), width) + _note(result), sys.stdout)
        if result.why:
            say(f"  skipped: {one_line(result.why, 500)}", sys.stdout)
        for found in result.shown:
            say(_told(found, result.frequency), sys.stdout)
        if result.different > len(result.shown):
            say(f"  ... and {result.different - len(result.shown):,} more differences", sys.stdout)
    if not report.compared:
        say("  NOTHING COMPARED: no bar of theirs can be made of these ticks", sys.stdout)


def _note(result: Result) -> str:
    notes = [result.note] if result.note else []
    if result.rounded:
        notes.append(f"{result.rounded:,} volumes of theirs have the rounding of a float sum")
    if not (result.different or result.outcomes[Outcome.EQUAL] or result.why):
        notes.append("the ticks hold no whole bar")
    return f"  {'; '.join(notes)}" if notes else ""


def _told(found: Difference, frequency: str) -> str:
    """A difference in full: theirs above ours."""
    head = f"  {found.symbol} {frequency} {format_time(found.start)} ({found.start})"
    if found.theirs is None or found.ours is None:
        only = f"theirs  {_values(found.theirs)}" if found.theirs else f"ours    {_values(found.ours)}"
        return f"{head} {'is missing in ours' if found.theirs else 'is only in ours'}\n    {only}"
    theirs, ours = attrs.asdict(found.theirs), attrs.asdict(found.ours)
    names = ", ".join(name for name, value in theirs.items() if value != ours[name])
    return f"{head} differs in {names}\n    theirs  {_values(found.theirs)}\n    ours    {_values(found.ours)}"


def _values(values: Values | None) -> str:
    fields = {} if values is None else attrs.asdict(values)
    return "  ".join(f"{name} {value if value is None else repr(value)}" for name, value in fields.items())


def _print_totals(reports: Sequence[SetReport], width: int, seconds: float) -> None:
    results = [result for report in reports for result in report.results]
    say(
        "\n" + _line(f"{_many(len(reports), 'set')}, {_many(len(results), 'file')}", "", _sums(reports), width),
        sys.stdout,
    )
    different = sum(result.different for result in results)
    skipped = sum(1 for result in results if result.why)
    empty = sum(1 for report in reports if not report.compared)
    problems = [
        text
        for count, text in (
            (different, _many(different, "difference")),
            (skipped, f"{_many(skipped, 'file')} skipped"),
            (empty, f"{_many(empty, 'set')} with nothing to compare"),
        )
        if count
    ]
    equal = sum(result.outcomes[Outcome.EQUAL] for result in results)
    verdict = f"FAILED: {', '.join(problems)}" if problems else f"all equal: {_many(equal, 'bar')}"
    say(f"{verdict} ({seconds:.1f} s)", sys.stdout)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _sums(reports: Sequence[SetReport]) -> list[int]:
    columns = zip(*(_counts(result) for report in reports for result in report.results), strict=True)
    return [sum(column) for column in columns]


def _as_json(reports: Sequence[SetReport], *, sound: bool, seconds: float) -> Mapping[str, Any]:
    return {
        "equal": sound,
        "seconds": round(seconds, 3),
        "totals": dict(zip(_COLUMNS, _sums(reports), strict=True)),
        "sets": [
            {
                "set": report.name,
                "assetClass": report.asset_class,
                "trades": report.trades,
                "files": [_file_as_json(result) for result in report.results],
            }
            for report in reports
        ],
    }


def _file_as_json(result: Result) -> Mapping[str, Any]:
    return {
        "file": result.file,
        "frequency": result.frequency,
        "rule": result.rule,
        **dict(zip(_COLUMNS, _counts(result), strict=True)),
        "rounded": result.rounded,
        "differences": [attrs.asdict(found) for found in result.shown],
        **({"note": result.note} if result.note else {}),
        **({"skipped": result.why} if result.why else {}),
    }
