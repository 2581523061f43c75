"""A row of a tick CSV file as a trade or a quote. Every cell is checked; what is wrong with one is a ValueError."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from math import inf
from typing import TypeAlias

from datafye_trio.model import AssetClass, Channel, Quote, Trade
from datafye_trio.protocol.names import normalise_symbol
from datafye_trio.recordings.tape import venue_mic

__all__ = ["CsvRow", "RowParser", "TimeReader", "row_parser"]

CsvRow: TypeAlias = list[str]
RowParser: TypeAlias = Callable[[CsvRow], Trade | Quote]
TimeReader: TypeAlias = Callable[[str], int]


def row_parser(
    channel: Channel, columns: tuple[str, ...], asset_class: AssetClass, time: TimeReader, symbol: str | None = None
) -> RowParser:
    """A function from a row (with one empty cell more) to an event. Positions are looked up once, not once a row.

    The function raises ValueError for a cell that is not what its column holds. `symbol` is what is traded, where no
    column says so.

    Raises:
        ValueError: the symbol is none.
    """
    make = _trade_parser if channel is Channel.TRADES else _quote_parser
    read_symbol = _symbol_reader(asset_class)
    if symbol is not None:
        given = read_symbol(symbol)
        return make(columns, asset_class, time, lambda _: given)
    return make(columns, asset_class, time, read_symbol)


def _trade_parser(
    columns: tuple[str, ...], asset_class: AssetClass, time: TimeReader, symbol: Callable[[str], str]
) -> RowParser:
    at = partial(_position, columns)
    symbol_at, time_at, receipt_at, venue_at = at("symbol"), at("ts_ns"), at("recv_ns"), at("exchange")
    price_at, size_at, conditions_at = at("price"), at("size"), at("conditions")
    id_at = at("trade_id") if "trade_id" in columns else at("last_trade_id")
    venue, conditions = _venue_reader(asset_class), lru_cache(1024)(_conditions)
    size = _shares if asset_class is AssetClass.STOCKS else _amount

    def parse(row: CsvRow) -> Trade:
        return Trade(
            symbol=symbol(row[symbol_at]),
            exchange_timestamp=time(row[time_at] or row[receipt_at]),
            price=_price(row[price_at]),
            size=size(row[size_at]),
            exchange_id=venue(row[venue_at]),
            trade_id=row[id_at] or None,
            conditions=conditions(row[conditions_at]),
        )

    return parse


def _quote_parser(
    columns: tuple[str, ...], asset_class: AssetClass, time: TimeReader, symbol: Callable[[str], str]
) -> RowParser:
    at = partial(_position, columns)
    symbol_at, time_at, receipt_at, venue_at = at("symbol"), at("ts_ns"), at("recv_ns"), at("exchange")
    bid_at, bid_size_at, ask_at, ask_size_at = at("bid_price"), at("bid_size"), at("ask_price"), at("ask_size")
    venue = _venue_reader(asset_class)
    stocks = asset_class is AssetClass.STOCKS
    size = _shares if stocks else _amount

    def parse(row: CsvRow) -> Quote:
        bid, ask, where = row[bid_at], row[ask_at], venue(row[venue_at])
        return Quote(
            symbol=symbol(row[symbol_at]),
            exchange_timestamp=time(row[time_at] or row[receipt_at]),
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
