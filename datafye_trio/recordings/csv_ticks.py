"""Tick CSV files: finding them, knowing trades from quotes by their columns, and reading them row by row.

A tick file has a header line and ends in `.csv` or `.csv.gz`. Columns stand in any order; others are ignored:

    both     symbol; ts_ns (the exchange's time) and/or recv_ns (the recorder's); exchange
    trades   price, size; trade_id, or first_trade_id and last_trade_id; conditions (one letter each)
    quotes   bid_price, bid_size, ask_price, ask_size

Other names and other spellings of time are read by a `TickFormat`.

Reading is lazy: a few kilobytes of text and one row are in memory, however long the file is. No threads: under a
virtual clock time runs on while a thread works, so files are read in the task, which checkpoints between batches.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TextIO, cast

import attrs

from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel, Timed
from datafye_trio.recordings.csv_rows import CsvRow, row_parser
from datafye_trio.recordings.csv_times import TIME_UNITS

__all__ = [
    "COLUMN_MEANINGS", "TIME_COLUMNS", "TickFile", "TickFormat", "Watch", "find_tick_files", "merge_column",
    "read_ticks", "tick_files_in",
]  # fmt: skip

TIME_COLUMNS: Final = ("ts_ns", "recv_ns")
COLUMN_MEANINGS: Final = {
    "symbol": "what is traded",
    "ts_ns": "when it happened, by the exchange",
    "recv_ns": "when it came in, by the recorder",
    "exchange": "the venue: a MIC, a tape's letter or a name",
    "price": "of a trade",
    "size": "of a trade",
    "trade_id": "of a trade",
    "last_trade_id": "in its place, for trades put together",
    "conditions": "of a trade, one letter each",
    "bid_price": "of a quote",
    "bid_size": "of a quote",
    "ask_price": "of a quote",
    "ask_size": "of a quote",
}
"""The columns that are read."""

_SUFFIXES: Final = (".csv", ".csv.gz")
_TRADE_COLUMNS: Final = frozenset({"price", "size"})
_QUOTE_COLUMNS: Final = frozenset({"bid_price", "bid_size", "ask_price", "ask_size"})
_TRADES_ONLY: Final = _TRADE_COLUMNS | {"trade_id", "last_trade_id", "conditions"}
_LONGEST_HEADER: Final = 64 * 1024
# UnicodeDecodeError is a ValueError, but not one of a row: its line is unknown. EOFError is a gzip file cut short.
_UNREADABLE: Final = (OSError, EOFError, zlib.error, UnicodeDecodeError)


@attrs.frozen
class TickFormat:
    """How files are written: their own name (in lower case) for columns of ours, and the unit of their times.

    `symbol` is what is traded in files without such a column.
    """

    columns: Mapping[str, str] = attrs.Factory(dict)
    time: str = "ns"
    symbol: str | None = None


@attrs.frozen
class TickFile:
    """A file of trades or of quotes: the columns by our names, the unit of its times, and its header as it stands.

    `symbol` is what is traded in it, where no column says so.
    """

    path: Path
    channel: Channel
    columns: tuple[str, ...]
    time: str = "ns"
    header: tuple[str, ...] = attrs.field(default=(), eq=False)
    symbol: str | None = None

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns of the header that are not read."""
        used = set(COLUMN_MEANINGS) - (_TRADES_ONLY if self.channel is Channel.QUOTES else _QUOTE_COLUMNS)
        if "trade_id" in self.columns:
            used.discard("last_trade_id")
        return tuple(name for name, ours in zip(self.header, self.columns, strict=True) if ours not in used)


class Watch(Protocol):
    """Who looks on while a file is read, and takes rows that are malformed: reading then goes on behind them."""

    def opened(self, path: Path, position: Callable[[], int]) -> None:
        """A file was opened; `position` tells how many of its bytes were read, for as long as it is open."""

    def rejected(self, path: Path, first: int, last: int, why: str) -> None:
        """The row in these lines is malformed (several, where a quote that opens in the first closes in the last)."""


def find_tick_files(paths: Sequence[Path], form: TickFormat = TickFormat()) -> tuple[TickFile, ...]:
    """The tick files among `paths`, in the order given; a folder stands for the tick files in it, by name.

    Raises:
        SourceError: a path is missing, unreadable or no tick file; a folder holds none. The text names it.
    """
    found: list[TickFile] = []
    for path in paths:
        if not path.is_dir():
            found.append(_named(path, form))
        elif inside := tick_files_in(path, form):
            found += inside
        else:
            raise SourceError(
                f"no tick file in the folder {path}: its {len(_csv_files(path))} .csv and .csv.gz files hold neither "
                "trades (columns price and size) nor quotes (bid_price, bid_size, ask_price, ask_size)"
            )
    return tuple(found)


def tick_files_in(folder: Path, form: TickFormat = TickFormat()) -> list[TickFile]:
    """The tick files in a folder by name; there may be none.

    Raises:
        SourceError: the folder or a file in it is unreadable.
    """
    return [file for path in _csv_files(folder) if (file := _inspect(path, form)) is not None]


def merge_column(files: Sequence[TickFile]) -> str:
    """The column of times to merge files by: the recorder's clock where all have it, else the exchange's.

    The recorder's where possible: it is one clock for all files, and never empty.

    Raises:
        SourceError: the files share no column of times.
    """
    for column in reversed(TIME_COLUMNS):
        if all(column in file.columns for file in files):
            return column
    lacking = next(file.path for file in files if "ts_ns" not in file.columns)
    other = next(file.path for file in files if "recv_ns" not in file.columns)
    raise SourceError(f"the files share no column of times: {lacking} lacks ts_ns, {other} lacks recv_ns")


def _csv_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES) and path.is_file())
    except OSError as error:
        raise SourceError(f"cannot read the folder {folder}: {error.strerror}") from error


def _named(path: Path, form: TickFormat) -> TickFile:
    if not path.exists():
        raise SourceError(f"there is no file {path}")
    if not path.name.lower().endswith(_SUFFIXES):
        raise SourceError(f"{path} is no tick file: its name ends neither in .csv nor in .csv.gz")
    file = _inspect(path, form)
    if file is None:
        raise SourceError(
            f"{path} is no tick file: its first line has neither the columns price and size (trades) "
            "nor bid_price, bid_size, ask_price and ask_size (quotes)"
        )
    return file


def _inspect(path: Path, form: TickFormat) -> TickFile | None:
    """What the header says; None for anything but ticks (bars, say, which lie beside the ticks that they sum up)."""
    try:
        with ExitStack() as stack:
            head = _open(path, stack)[0].readline(_LONGEST_HEADER)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    header = tuple(name.strip().lower() for name in next(csv.reader([head]), []))
    columns = _renamed(header, form.columns)
    present = frozenset(columns)
    if "open" in present:
        return None
    if present >= _QUOTE_COLUMNS:
        channel = Channel.QUOTES
    elif present >= _TRADE_COLUMNS:
        channel = Channel.TRADES
    else:
        return None
    if len(present) < len(columns):
        raise SourceError(f"{path}, line 1: a column occurs twice")
    if "symbol" not in present and form.symbol is None:
        raise SourceError(f"{path}, line 1: there is no column symbol (for such files, import has --symbol NAME)")
    if present.isdisjoint(TIME_COLUMNS):
        raise SourceError(f"{path}, line 1: there is no column of times, neither ts_ns nor recv_ns")
    return TickFile(path, channel, columns, form.time, header, None if "symbol" in present else form.symbol)


def _renamed(names: tuple[str, ...], ours: Mapping[str, str]) -> tuple[str, ...]:
    """A header by our names. A column that has a name of ours by itself gives way to the one that was mapped to it."""
    mapped = {theirs: name for name, theirs in ours.items() if theirs in names}
    taken = set(mapped.values())
    return tuple(mapped.get(name) or (f"{name} (not mapped)" if name in taken else name) for name in names)


def read_ticks(file: TickFile, asset_class: AssetClass, key: str, watch: Watch | None = None) -> Generator[Timed]:
    """The events of a file in the file's order, each with its place in time: the highest value of column `key` so far.

    The highest, since rows keep their order even where the file's own times go backwards by a little: such a row goes
    out right after the one before it. Sorting would need the whole file, and equal times would lose their order.

    Raises:
        SourceError: the file cannot be read or, without a `watch`, a row is malformed; the text names file and line.
    """
    try:
        with ExitStack() as stack:
            text, position = _open(file.path, stack)
            if watch is not None:
                watch.opened(file.path, position)
            yield from _events(text, file, asset_class, key, watch)
    except _UNREADABLE as error:
        raise _unreadable(file.path, error) from error


def _events(text: TextIO, file: TickFile, asset_class: AssetClass, key: str, watch: Watch | None) -> Generator[Timed]:
    time_of = TIME_UNITS[file.time]
    parse = row_parser(file.channel, file.columns, asset_class, time_of, file.symbol)
    key_at = file.columns.index(key)
    width = len(file.columns)
    rows = csv.reader(text, strict=True)
    try:
        next(rows, None)
    except csv.Error as error:
        raise SourceError(f"{file.path}, line 1: {error}") from error
    before = line = rows.line_num  # the last lines of the row before this one, and of this one
    latest, more = 0, True
    while more:
        try:
            for row in rows:
                before, line = line, rows.line_num
                if len(row) != width and _is_blank(row, width):
                    continue
                time = time_of(row[key_at])
                row.append("")  # what columns that the file lacks read
                event = parse(row)
                if time > latest:
                    latest = time
                yield latest, event
            more = False
        except UnicodeDecodeError:
            raise
        except (ValueError, csv.Error) as error:
            if watch is None:
                raise SourceError(f"{file.path}, line {rows.line_num}: {error}") from error
            first = 1 + (line if isinstance(error, csv.Error) else before)
            line = rows.line_num
            watch.rejected(file.path, first, line, str(error))


def _is_blank(row: CsvRow, width: int) -> bool:
    """Whether a row without the right number of columns is a blank line, such as a second newline at the end."""
    if row:
        raise ValueError(f"{len(row)} columns where the header has {width}")
    return True


def _open(path: Path, stack: ExitStack) -> tuple[TextIO, Callable[[], int]]:
    """Open as the csv module wants it (newlines untouched), past a byte order mark; and where in its bytes it is."""
    raw = stack.enter_context(path.open("rb"))
    packed = path.name.lower().endswith(".gz")
    plain = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw))) if packed else raw
    text = stack.enter_context(TextIOWrapper(plain, encoding="utf-8-sig", newline=""))
    return text, raw.tell


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return SourceError(f"cannot read {path}: {reason}")
