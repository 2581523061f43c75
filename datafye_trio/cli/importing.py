"""`datafye-trio import`: tick CSV files into a recording, with a progress bar and every row that was left out named."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import attrs
from cyclopts import App, Parameter
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from datafye_trio.cli.text import Screen, one_line, say
from datafye_trio.errors import ConfigurationError, RecordingError, SourceError
from datafye_trio.model import AssetClass
from datafye_trio.protocol import format_time
from datafye_trio.recordings.csv_ticks import COLUMN_MEANINGS
from datafye_trio.recordings.importing import ImportConfig, Reject, TickImport

__all__ = ["ImportFlags", "app", "import_files"]

_FAILED: Final = 1
_INTERRUPTED: Final = 130
_SECONDS_BETWEEN_LINES: Final = 10.0
_NO_MARKET_YET: Final = 365 * 86_400 * 10**9
"""Times of 1970 are those of a file whose unit is another one: seconds or milliseconds, read as nanoseconds."""

_EXAMPLES: Final = f"""\
Examples:
  datafye-trio import ticks/ recording/ --dataset SIP
  datafye-trio import trades.csv.gz quotes.csv.gz recording/ --dataset Crypto
  datafye-trio import dump.csv recording/ --dataset Crypto --symbol BTCUSDT \\
      --time ms --column ts_ns=Timestamp --column size=Quantity

Files are .csv or .csv.gz with a header line; a folder stands for the tick files
in it. Trades have a price and a size, quotes bid_price, bid_size, ask_price and
ask_size; all have a symbol (or --symbol) and a time. Columns that are read:
{chr(10).join(f"  {name:14} {meaning}" for name, meaning in COLUMN_MEANINGS.items())}
Rows keep the order of their file; files merge by recv_ns where all have it,
else by ts_ns. Rows that are malformed are left out and named. Ends with 0; with
1 if rows were left out (see --allow-rejects), or a file cannot be read or
written; with 2 for a wrong command line; with 130 by Ctrl-C: what is written
until then is whole, and the dataset is marked as unfinished.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ImportFlags:
    """The flags of `import`."""

    dataset: Annotated[str, Parameter(help="The dataset's name: SIP, Crypto or any other.")]
    asset_class: Annotated[
        AssetClass | None, Parameter(help="stocks or crypto; by default crypto for the dataset Crypto, else stocks.")
    ] = None
    symbol: Annotated[str | None, Parameter(help="What is traded, in files without a column symbol.")] = None
    column: Annotated[
        tuple[str, ...],
        Parameter(
            help="OURS=THEIRS: a column of theirs, and which of ours it is; several times.",
            negative="",
            show_default=False,
        ),
    ] = ()
    time: Annotated[
        Literal["ns", "us", "ms", "s", "iso"],
        Parameter(help="Unit of the files' times since 1970, or ISO 8601 (without an offset: New York)."),
    ] = "ns"
    append: Annotated[
        bool,
        Parameter(
            help="Add to a dataset that has such rows already; importing the same rows twice makes them twice.",
            negative="",
            show_default=False,
        ),
    ] = False
    allow_rejects: Annotated[int, Parameter(help="So many rows may be left out before the exit code is 1.")] = 0


app = App(name="import", help_epilogue=_EXAMPLES)


@app.default
def _import(
    *paths: Annotated[Path, Parameter(name="FILES... DIR", help="Tick files or folders; last, where to.")],
    flags: ImportFlags,
) -> int:
    return import_files(paths, flags)


def import_files(paths: tuple[Path, ...], flags: ImportFlags, clock: Callable[[], float] = time.monotonic) -> int:
    """Import all paths but the last into the folder that the last one names; returns the exit code.

    Raises:
        ConfigurationError: the command line is wrong: a path, a flag, or a dataset that is there already.
    """
    began = clock()
    config = _config(paths, flags)
    try:
        work = TickImport(config)
    except SourceError as error:
        raise ConfigurationError(str(error)) from None
    wrong: str | None = None
    try:
        with _no_collection(), _progress(work, clock) as report:
            work.run(report)
    except (SourceError, RecordingError) as error:
        wrong = str(error)
    except KeyboardInterrupt:
        say(f"interrupted: {work.tally.written:,} rows are written and whole; {_unfinished(config)}")
        return _INTERRUPTED
    _tell_rejects(work.tally.rejects, work.tally.left_out)
    if wrong is not None:
        say(f"datafye-trio: {one_line(wrong, 500)}")
        if work.marked:
            say(f"{work.tally.written:,} rows are written and whole; {_unfinished(config)}")
        return _FAILED
    _tell(work, clock() - began)
    return _FAILED if work.tally.left_out > flags.allow_rejects else 0


def _config(paths: tuple[Path, ...], flags: ImportFlags) -> ImportConfig:
    if len(paths) < 2:
        raise ConfigurationError("give the files to import, then the folder of the recording")
    *files, folder = paths
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder: the last path is where the recording goes")
    if flags.allow_rejects < 0:
        raise ConfigurationError("--allow-rejects must be 0 or more")
    columns: dict[str, str] = {}
    for text in flags.column:
        ours, separator, theirs = text.partition("=")
        if not separator or not theirs:
            raise ConfigurationError(f"--column {text}: write OURS=THEIRS, such as ts_ns=Timestamp")
        if ours in columns:
            raise ConfigurationError(f"--column {text}: {ours} is given twice")
        columns[ours] = theirs
    given = {} if flags.asset_class is None else {"asset_class": flags.asset_class}
    return ImportConfig(
        tuple(files),
        folder,
        flags.dataset,
        **given,
        columns=columns,
        time=flags.time,
        append=flags.append,
        symbol=flags.symbol,
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's collector of cycles off: a hundred thousand rows that wait, and no cycle, cost it 40 % of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _progress(work: TickImport, clock: Callable[[], float]) -> Iterator[Callable[[], None]]:
    """What is to be called now and then: moves a bar where stderr is a terminal, else writes a line every 10 s."""
    if not sys.stderr.isatty():
        yield _lines(work, clock)
        return
    columns = (BarColumn(), TextColumn("{task.percentage:3.0f} %  {task.fields[rows]:,} rows"), TimeRemainingColumn())
    with Progress(*columns, console=Screen(stderr=True, highlight=False), transient=True) as bar:
        task = bar.add_task("", total=work.bytes, rows=0)

        def move() -> None:
            bar.update(task, completed=work.tally.bytes_read, rows=sum(work.tally.rows.values()))

        yield move


def _lines(work: TickImport, clock: Callable[[], float]) -> Callable[[], None]:
    last = clock()

    def line() -> None:
        nonlocal last
        if clock() - last >= _SECONDS_BETWEEN_LINES:
            last = clock()
            share = work.tally.bytes_read / max(1, work.bytes)
            say(f"{share:.0%}, {sum(work.tally.rows.values()):,} rows")

    return line


def _tell_rejects(rejects: list[Reject], left_out: int) -> None:
    shown = 0
    for one in rejects:
        shown += one.last - one.first + 1
        lines = f"line {one.first}" if one.first == one.last else f"lines {one.first} to {one.last}"
        say(f"left out: {one_line(str(one.path), 500)}, {lines}: {one_line(one.why)}")
    if left_out > shown:
        say(f"... and {left_out - shown:,} more")


def _tell(work: TickImport, seconds: float) -> None:
    tally = work.tally
    for channel in sorted(tally.rows):
        say(f"{channel}: {_count(tally.rows[channel], 'row')} on {_count(tally.days[channel], 'day')}", sys.stdout)
    if not tally.rows:
        say("no rows", sys.stdout)
    if tally.first is not None and tally.first < _NO_MARKET_YET:
        say(f"the first row is of {format_time(tally.first)}: is it the right --time?")
    if work.ignored:
        say(f"columns not kept: {one_line(', '.join(work.ignored))}", sys.stdout)
    say(f"left out: {tally.left_out:,}", sys.stdout)
    say(f"seconds: {seconds:.1f}", sys.stdout)


def _unfinished(config: ImportConfig) -> str:
    return f"the dataset {one_line(config.dataset)} in {config.folder} is marked as unfinished"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
