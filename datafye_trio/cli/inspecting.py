"""`datafye-trio inspect`: what a recording holds, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
from cyclopts import App, Parameter
from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.table import Table

from datafye_trio.cli.text import Screen, one_line, say
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.protocol.times import format_time
from datafye_trio.recordings.inspecting import ChannelReport, FolderReport, inspect_folder

__all__ = ["app", "inspect"]

_FAILED: Final = 1
_WIDE: Final = 240
"""Columns of a table that goes into a file or a pipe: enough for all that is in it."""

_EXAMPLES: Final = """\
Examples:
  datafye-trio inspect recording/
  datafye-trio inspect recording/ --json

Gaps are holes in the sequence numbers of a live recording; what was imported
has none. Ends with 1 if a file cannot be read, or an import has not come to its
end.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class InspectFlags:
    """The flags of `inspect`."""

    json: Annotated[bool, Parameter(help="JSON instead of a table.", negative="", show_default=False)] = False


app = App(name="inspect", help_epilogue=_EXAMPLES)


@app.default
def inspect(
    folder: Annotated[Path, Parameter(name="DIR", help="Folder of a recording, or one below it.")],
    /,
    flags: InspectFlags = InspectFlags(),
) -> int:
    """Print what is in a folder; returns the exit code.

    Raises:
        ConfigurationError: there is no recording.
    """
    try:
        report = inspect_folder(folder)
    except SourceError as error:
        raise ConfigurationError(str(error)) from None
    if flags.json:
        say(json.dumps(_as_json(report), indent=2), sys.stdout)
    else:
        _print(report)
    return _FAILED if report.broken or report.unfinished else 0


def _print(report: FolderReport) -> None:
    screen = Screen(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
    table = _table(report, spans=True)
    # Cut-off numbers and times would be of no use: where they have no room, the times go below the table.
    narrow = screen.measure(table, options=screen.options.update(width=_WIDE)).maximum > screen.width
    screen.print(_table(report, spans=False) if narrow else table)
    for one in report.channels if narrow else ():
        span = f"{format_time(one.first)} to {format_time(one.last)}"
        say(f"span: {one_line(one.dataset)} {one.channel}: {span}", sys.stdout)
    for one in report.channels:
        for line in _lines(one):
            say(line, sys.stdout)
    for folder in report.unfinished:
        say(f"unfinished: an import into {folder} has not come to its end", sys.stdout)
    for _, why in report.broken:
        say(f"broken: {one_line(why, 500)}", sys.stdout)


def _table(report: FolderReport, *, spans: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("dataset", "channel"):
        table.add_column(title)
    for title in ("files", "rows", "symbols", "size", "epochs", "gaps"):
        table.add_column(title, justify="right")
    for title in ("first", "last") if spans else ():
        table.add_column(title)
    for one in report.channels:
        counts = (f"{number:,}" for number in (one.files, one.rows, one.symbols))
        span = (format_time(one.first), format_time(one.last)) if spans else ()
        gaps = f"{one.gaps:,}" if one.epochs else "-"
        size, epochs = decimal(one.bytes), f"{len(one.epochs):,}"
        table.add_row(one_line(one.dataset), one.channel, *counts, size, epochs, gaps, *span)
    return table


def _lines(one: ChannelReport) -> list[str]:
    """Its gaps in words."""
    lines = [
        f"gap: {one_line(one.dataset)} {one.channel} {hole.symbol}{f' {hole.frequency}' if hole.frequency else ''}"
        f"{' running' if hole.running else ''}: {hole.first} to {hole.last} of epoch {one_line(hole.epoch)}"
        for hole in one.holes
    ]
    if one.gaps > len(one.holes):
        lines.append(f"... and {one.gaps - len(one.holes):,} more gaps; {one.missing:,} missing in all")
    if one.repeated:
        lines.append(f"repeated: {one.repeated:,} rows of {one_line(one.dataset)} {one.channel}, by their numbers")
    return lines


def _as_json(report: FolderReport) -> dict[str, Any]:
    return {
        "channels": [_channel(one) for one in report.channels],
        "broken": [{"file": str(path), "why": why} for path, why in report.broken],
        "unfinished": [str(folder) for folder in report.unfinished],
    }


def _channel(one: ChannelReport) -> dict[str, Any]:
    fields = attrs.asdict(one)
    for span in (fields, *fields["epochs"]):
        span["first_ns"], span["last_ns"] = span["first"], span["last"]
        span["first"], span["last"] = format_time(span["first"]), format_time(span["last"])
    return fields
