"""Tick CSV files: finding them, knowing trades from quotes by their columns, and reading them row by row.

A tick file has a header line and ends in `.csv` or `.csv.gz`. Columns stand in any order; others are ignored:

    both     symbol; ts_ns (the exchange's time) and/or recv_ns (the recorder's); exchange
    trades   price, size; trade_id, or first_trade_id and last_trade_id; conditions (one letter each)
    quotes   bid_price, bid_size, ask_price, ask_size

Reading is lazy: a few kilobytes of text and one row are in memory, however long the file is. No threads: under a
virtual clock time runs on while a thread works, so files are read in the task, which checkpoints between batches.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache, partial
from math import inf
from pathlib import Path
from typing import Final, TextIO, TypeAlias

import attrs

from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel, Quote, Timed, Trade
from datafye_trio.protocol.names import normalise_symbol
from datafye_trio.recordings.tape import venue_mic

__all__ = ["TIME_COLUMNS", "TickFile", "find_tick_files", "read_ticks"]

TIME_COLUMNS: Final = ("ts_ns", "recv_ns")

_SUFFIXES: Final = (".csv", ".csv.gz")
_TRADE_COLUMNS: Final = frozenset({"price", "size"})
_QUOTE_COLUMNS: Final = frozenset({"bid_price", "bid_size", "ask_price", "ask_size"})
_LONGEST_HEADER: Final = 64 * 1024
_LAST_TIME: Final = 2**63 - 1
# UnicodeDecodeError is a ValueError, but not one of a row: its line is unknown. EOFError is a gzip file cut short.
_UNREADABLE: Final = (OSError, EOFError, zlib.error, UnicodeDecodeError)

_Row: TypeAlias = list[str]
_Parser: TypeAlias = Callable[[_Row], Trade | Quote]


@attrs.frozen
class TickFile:
    """A file of trades or of quotes, and the columns of its header."""

    path: Path
    channel: Channel
    columns: tuple[str, ...]


def find_tick_files(paths: Sequence[Path]) -> tuple[TickFile, ...]:
    """The tick files among `paths`, in the order given; a folder stands for the tick files in it, by name.

    Raises:
        SourceError: a path is missing, unreadable or no tick file; a folder holds none. The text names it.
    """
    return tuple(file for path in paths for file in (_in_folder(path) if path.is_dir() else [_named(path)]))


def _in_folder(folder: Path) -> list[TickFile]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES) and path.is_file())
    except OSError as error:
        raise SourceError(f"cannot read the folder {folder}: {error.strerror}") from error
    files = [file for path in paths if (file := _inspect(path)) is not None]
    if not files:
        raise SourceError(
            f"no tick file in the folder {folder}: its {len(paths)} .csv and .csv.gz files hold neither trades "
            "(columns price and size) nor quotes (bid_price, bid_size, ask_price, ask_size)"
        )
    return files


def _named(path: Path) -> TickFile:
    if not path.exists():
        raise SourceError(f"there is no file {path}")
    if not path.name.lower().endswith(_SUFFIXES):
        raise SourceError(f"{path} is no tick file: its name ends neither in .csv nor in .csv.gz")
    file = _inspect(path)
    if file is None:
        raise SourceError(
            f"{path} is no tick file: its first line has neither the columns price and size (trades) "
            "nor bid_price, bid_size, ask_price and ask_size (quotes)"
        )
    return file


def _inspect(path: Path) -> TickFile | None:
    """What the header says; None for anything but ticks (bars, say, which lie beside the ticks that they sum up)."""
    try:
        with _open(path) as text:
            head = text.readline(_LONGEST_HEADER)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    columns = tuple(name.strip().lower() for name in next(csv.reader([head]), []))
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
    if "symbol" not in present:
        raise SourceError(f"{path}, line 1: there is no column symbol")
    if present.isdisjoint(TIME_COLUMNS):
        raise SourceError(f"{path}, line 1: there is no column of times, neither ts_ns nor recv_ns")
    return TickFile(path, channel, columns)


def read_ticks(file: TickFile, asset_class: AssetClass, key: str) -> Generator[Timed]:
    """The events of a file in the file's order, each with its place in time: the highest value of column `key` so far.

    The highest, since rows keep their order even where the file's own times go backwards by a little: such a row goes
    out right after the one before it. Sorting would need the whole file, and equal times would lose their order.

    Raises:
        SourceError: the file cannot be read or a row is malformed; the text names file and line.
    """
    parse = (_trade_parser if file.channel is Channel.TRADES else _quote_parser)(file.columns, asset_class)
    key_at = file.columns.index(key)
    width = len(file.columns)
    latest = 0
    try:
        with _open(file.path) as text:
            rows = csv.reader(text, strict=True)
            next(rows, None)
            try:
                for row in rows:
                    if len(row) != width and _is_blank(row, width):
                        continue
                    time = _time(row[key_at])
                    if time > latest:
                        latest = time
                    row.append("")  # what columns that the file lacks read
                    yield latest, parse(row)
            except UnicodeDecodeError:
                raise
            except (ValueError, csv.Error) as error:
                raise SourceError(f"{file.path}, line {rows.line_num}: {error}") from error
    except _UNREADABLE as error:
        raise _unreadable(file.path, error) from error


def _is_blank(row: _Row, width: int) -> bool:
    """Whether a row without the right number of columns is a blank line, such as a second newline at the end."""
    if row:
        raise ValueError(f"{len(row)} columns where the header has {width}")
    return True


def _open(path: Path) -> TextIO:
    """Open as the csv module wants it (newlines untouched), past a byte order mark."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return SourceError(f"cannot read {path}: {reason}")


def _trade_parser(columns: tuple[str, ...], asset_class: AssetClass) -> _Parser:
    """A function from a row (with one empty cell more) to a trade. Positions are looked up once, not once a row."""
    at = partial(_position, columns)
    symbol_at, time_at, receipt_at, venue_at = at("symbol"), at("ts_ns"), at("recv_ns"), at("exchange")
    price_at, size_at, conditions_at = at("price"), at("size"), at("conditions")
    id_at = at("trade_id") if "trade_id" in columns else at("last_trade_id")
    symbol, venue, conditions = _symbol_reader(asset_class), _venue_reader(asset_class), lru_cache(1024)(_conditions)
    size = _shares if asset_class is AssetClass.STOCKS else _amount

    def parse(row: _Row) -> Trade:
        return Trade(
            symbol=symbol(row[symbol_at]),
            exchange_timestamp=_time(row[time_at] or row[receipt_at]),
            price=_price(row[price_at]),
            size=size(row[size_at]),
            exchange_id=venue(row[venue_at]),
            trade_id=row[id_at] or None,
            conditions=conditions(row[conditions_at]),
        )

    return parse


def _quote_parser(columns: tuple[str, ...], asset_class: AssetClass) -> _Parser:
    """A function from a row (with one empty cell more) to a quote."""
    at = partial(_position, columns)
    symbol_at, time_at, receipt_at, venue_at = at("symbol"), at("ts_ns"), at("recv_ns"), at("exchange")
    bid_at, bid_size_at, ask_at, ask_size_at = at("bid_price"), at("bid_size"), at("ask_price"), at("ask_size")
    symbol, venue = _symbol_reader(asset_class), _venue_reader(asset_class)
    stocks = asset_class is AssetClass.STOCKS
    size = _shares if stocks else _amount

    def parse(row: _Row) -> Quote:
        bid, ask, where = row[bid_at], row[ask_at], venue(row[venue_at])
        return Quote(
            symbol=symbol(row[symbol_at]),
            exchange_timestamp=_time(row[time_at] or row[receipt_at]),
            bid_price=_price(bid) if bid else None,
            # An empty side may leave its size empty too; with a price, a size must be there.
            bid_size=size(row[bid_size_at] or ("" if bid else "0")),
            ask_price=_price(ask) if ask else None,
            ask_size=size(row[ask_size_at] or ("" if ask else "0")),
            bid_exchange_id=where if stocks else None,
            ask_exchange_id=where if stocks else None,
            exchange_id=None if stocks else where,
        )

    return parse


def _position(columns: tuple[str, ...], name: str) -> int:
    """Where a column stands; for one that the file lacks, the empty cell behind the last."""
    return columns.index(name) if name in columns else len(columns)


def _symbol_reader(asset_class: AssetClass) -> Callable[[str], str]:
    # A file holds few spellings, and a cache of its own dies with its reader.
    return lru_cache(1024)(partial(normalise_symbol, asset_class=asset_class))


def _venue_reader(asset_class: AssetClass) -> Callable[[str], str | None]:
    if asset_class is AssetClass.CRYPTO:
        return lambda text: text or None
    return lru_cache(1024)(lambda text: venue_mic(text) or None)


def _conditions(text: str) -> tuple[str, ...] | None:
    return tuple(text.replace(" ", "")) or None


def _time(text: str) -> int:
    # isdecimal: int() would also take a sign, spaces and underscores.
    if text.isdecimal() and len(text) < 20 and (time := int(text)) <= _LAST_TIME:
        return time
    raise ValueError(f"{text[:40]!r} is no time: nanoseconds since 1970 as an integer are wanted")


# The numbers below are read for every row, hence no shared helper: a call more for each costs a tenth of the whole.
# float() would take 1_000 as a number; no CSV writer means that.


def _price(text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no price") from None
    if -inf < price < inf and "_" not in text:  # the first is false for a NaN too
        return price
    raise ValueError(f"{text[:40]!r} is no price")


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no size") from None
    if 0.0 <= amount < inf and "_" not in text:
        return amount
    raise ValueError(f"{text[:40]!r} is no size")


def _shares(text: str) -> float:
    """Whole shares as an integer; a fraction of a share stays as it is."""
    if text.isdecimal() and len(text) < 16:
        return int(text)
    amount = _amount(text)
    # Beyond 2**53 a float stands for many integers, and beyond 2**64 no integer fits the wire.
    return int(amount) if amount.is_integer() and amount < 2**53 else amount
