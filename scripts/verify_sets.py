"""The sets of a folder: trades as they were recorded, beside bars that somebody else made of the same trades.

A set is a folder with tick files of trades and with files of bars:

    bars_<frequency>[_<rule>].csv   symbol, start_ns, frequency, open, high, low, close, volume
    running_bars_<frequency>.csv    likewise, and first_trade_id, last_trade_id: the bar after (almost) every trade

each of them plain or as .csv.gz. Nothing here knows any one set.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass
from datafye_trio.protocol import normalise_symbol
from datafye_trio.recordings.csv_ticks import TIME_COLUMNS, TickFile, find_tick_files

__all__ = ["BarFile", "BarRow", "BarSet", "Values", "find_sets", "read_bars", "read_rows"]

_BAR_FILE: Final = re.compile(r"(?i)(?P<running>running_)?bars_(?P<frequency>[^_.]+)(_(?P<rule>[^.]+))?\.csv(\.gz)?")
_NEEDED: Final = ("symbol", "start_ns", "open", "high", "low", "close", "volume")
_FLOAT_DIGITS: Final = 14
"""From so many digits on a volume is no decimal that anybody traded: a float holds 15 to 17."""
_UNREADABLE: Final = (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error)


@attrs.frozen
class Values:
    """The five fields that are compared; a price is None where the bar has none."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float


@attrs.frozen
class BarRow:
    """A bar of others: its place in the file, its symbol in normal form, and the cells of the row by column.

    `rounded` says that the volume is written with so many digits that it must be a sum of floats, with its errors.
    """

    line: int
    symbol: str
    start: int
    frequency: str
    values: Values
    rounded: bool
    cells: dict[str, str]


@attrs.frozen
class BarFile:
    """A file of bars; `frequency` and `rule` (in lower case, empty for none) are what its name says."""

    path: Path
    frequency: str
    rule: str
    running: bool


@attrs.frozen
class BarSet:
    """Trades, and bars of others for them. `ticks` holds no trades where `why` says why it cannot be compared."""

    folder: Path
    asset_class: AssetClass
    ticks: tuple[TickFile, ...]
    bars: tuple[BarFile, ...]
    why: str = ""


def find_sets(folder: Path, asset_class: AssetClass | None = None) -> list[BarSet]:
    """The folder itself, if it is a set, and the sets right below it by name.

    Raises:
        ConfigurationError: the folder is missing, or holds none.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}")
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = [one for path in (folder, *below) if (one := _look(path, asset_class)) is not None]
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}") from None
    if not found:
        raise ConfigurationError(
            f"no set in {folder} nor in a folder right below it: a set is a folder with trades (a .csv or .csv.gz with "
            "the columns symbol, ts_ns, price, size) and with bars (bars_*.csv or running_bars_*.csv, or .csv.gz)"
        )
    return found


def _look(folder: Path, asset_class: AssetClass | None) -> BarSet | None:
    """The set that a folder is; None where it has no bars."""
    bars: list[BarFile] = []
    others: list[Path] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if found := _BAR_FILE.fullmatch(path.name):
            bars.append(BarFile(path, found["frequency"], (found["rule"] or "").lower(), bool(found["running"])))
        elif path.name.lower().endswith((".csv", ".csv.gz")):
            others.append(path)
    if not bars:
        return None
    ticks: tuple[TickFile, ...] = ()
    why = "there are no trades beside the bars: no .csv or .csv.gz with the columns symbol, ts_ns, price, size"
    try:
        if trades := [path for path in others if _holds_trades(path)]:
            ticks, why = find_tick_files(trades), ""
    except SourceError as error:
        why = str(error)
    return BarSet(folder, asset_class or _asset_class(folder, ticks), ticks, tuple(bars), why)


def _holds_trades(path: Path) -> bool:
    columns = set(_header(path))
    return columns >= {"symbol", "price", "size"} and not columns.isdisjoint(TIME_COLUMNS) and "open" not in columns


def _asset_class(folder: Path, ticks: tuple[TickFile, ...]) -> AssetClass:
    """By the folder's name; where that does not say, sale conditions are a thing of the US tapes."""
    name = folder.resolve().name.lower()
    if name.startswith("crypto"):
        return AssetClass.CRYPTO
    if name.startswith(("equity", "equities", "stock")):
        return AssetClass.STOCKS
    return AssetClass.STOCKS if any("conditions" in file.columns for file in ticks) else AssetClass.CRYPTO


def _header(path: Path) -> list[str]:
    with closing(_rows(path)) as rows:
        return next(rows)[1]


def _rows(path: Path) -> Generator[tuple[int, list[str]]]:
    """The lines of a CSV file that are not blank, each with its number; the first, the header, in lower case.

    Raises:
        SourceError: the file cannot be read.
    """
    opened = gzip.open if path.name.lower().endswith(".gz") else Path.open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text, strict=True)
            yield 1, [name.strip().lower() for name in next(rows, [])]
            for row in filter(None, rows):
                yield rows.line_num, row
    except _UNREADABLE as error:
        raise SourceError(f"cannot read {path}: {error}") from None


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file by column (in lower case), each with the number of its last line.

    Raises:
        SourceError: the file cannot be read, or a row has not as many cells as the header.
    """
    rows = _rows(path)
    names = next(rows)[1]
    for line, row in rows:
        if len(row) != len(names):
            raise SourceError(f"{path}, line {line}: {len(row)} columns, {len(names)} in the header")
        yield line, dict(zip(names, row, strict=True))


def read_bars(file: BarFile, asset_class: AssetClass) -> Iterator[BarRow]:
    """The bars of a file, in its order.

    Raises:
        SourceError: the file cannot be read, lacks a column, or a cell is not what its column holds.
    """
    for line, cells in read_rows(file.path):
        if lacking := [name for name in _NEEDED if name not in cells]:
            raise SourceError(f"{file.path} has no column {lacking[0]}")
        try:
            symbol = normalise_symbol(cells["symbol"], asset_class)
            opened, high, low, close = (_price(cells[name]) for name in ("open", "high", "low", "close"))
            values = Values(opened, high, low, close, float(cells["volume"]))
            start = int(cells["start_ns"])
        except ValueError as error:
            raise SourceError(f"{file.path}, line {line}: {error}") from None
        frequency = cells.get("frequency", "").strip() or file.frequency
        yield BarRow(line, symbol, start, frequency, values, _digits(cells["volume"]) >= _FLOAT_DIGITS, cells)


def _price(text: str) -> float | None:
    return float(text) if text.strip() else None


def _digits(text: str) -> int:
    return len(text.strip().lower().partition("e")[0].replace(".", "").strip("+-0"))
