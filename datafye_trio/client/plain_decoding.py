"""What comes from a server that has Datafye's documented fields and nothing else: frames to events.

Only the fields of the REST records are documented, and the `type` of control frames; so on a path of one channel all
that is no control frame is data of that channel, whatever its `type` says. What a record does not say is told as
unknown: no `vwap`, no texts; a bar's `count`, which is a number, is then 0.

No source says in which unit times are. It is read off each number: a time of our century in seconds has 10 digits, in
milliseconds 13, in microseconds 16, in nanoseconds 19, with factors of a hundred to spare on both sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from datafye_trio.client.board import BoardKey
from datafye_trio.model import AssetClass, Bar, Channel, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.protocol import normalise_symbol

__all__ = ["Fields", "PlainDecoder", "plain_time"]

Fields: TypeAlias = dict[str, Any]

_UNITS: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
"""Below so much, a number counts units of so many nanoseconds."""
_LIMIT: Final = 2**63
_decode: Final = msgspec.json.Decoder().decode


def plain_time(number: int) -> int:
    """A time of unknown unit, in nanoseconds since 1970 UTC."""
    size = abs(number)
    return next((number * factor for bound, factor in _UNITS if size < bound), number)


class PlainDecoder:
    """Decodes the frames of one channel of one dataset.

    Args:
        key: what the connection is for.
        asset_class: of its dataset.
        clock: nanoseconds since 1970 UTC, for a halt that does not say when it began.
    """

    def __init__(self, key: BoardKey, asset_class: AssetClass, clock: Callable[[], int] = time.time_ns) -> None:
        self._key = key
        self._asset_class = asset_class
        self._clock = clock
        makers: dict[Channel, Callable[[Fields, str], Event]] = {
            Channel.QUOTES: _quote,
            Channel.TRADES: _trade,
            Channel.AGGREGATES: self._bar,
            Channel.SMA: self._sma,
            Channel.EMA: self._ema,
        }
        self._make = makers[key.channel]

    def fields(self, payload: bytes | str) -> Fields:
        """A frame as a dict.

        Raises:
            ValueError: no JSON, or no object.
        """
        try:
            found = _decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if not isinstance(found, dict):
            raise ValueError(f"{str(found)[:40]!r} is no object")
        return found

    def symbol(self, fields: Fields) -> str | None:
        """Whose frame it is, in normal form; None where it does not say.

        Raises:
            ValueError: what it says is no symbol.
        """
        symbol = _id(fields, "symbol")
        return None if symbol is None else normalise_symbol(symbol, self._asset_class)

    def event(self, fields: Fields, symbol: str) -> Event:
        """The event of a data frame.

        Raises:
            ValueError: a field is missing, or is not what it should be.
        """
        return self._make(fields, symbol)

    def halt(self, fields: Fields, symbol: str) -> Event:
        """The event of a `halt` or `resume` frame, of which no field but its type is documented."""
        told = fields.get("timestamp")
        moment = self._clock() if told is None else _time(fields, "timestamp")
        return (Halt if fields["type"] == "halt" else Resume)(symbol, moment, _words(fields, "reason"))

    def _bar(self, fields: Fields, symbol: str) -> Bar:
        count = fields.get("count")
        return Bar(
            symbol, self._frequency(), _time(fields, "datetime"), _price(fields, "open"), _price(fields, "high"),
            _price(fields, "low"), _price(fields, "close"), _number(fields, "volume"),
            count if count.__class__ is int else 0, _price(fields, "vwap"),
        )  # fmt: skip

    def _sma(self, fields: Fields, symbol: str) -> Sma:
        return Sma(symbol, self._frequency(), *_lines(fields))

    def _ema(self, fields: Fields, symbol: str) -> Ema:
        return Ema(
            symbol, self._frequency(), *_lines(fields), _line(fields, "signalLine"), _words(fields, "zeroCrossover"),
            _words(fields, "signalCrossover"), _words(fields, "zeroLineCrossover"),
            _words(fields, "lastZeroLineCrossover"),
        )  # fmt: skip

    def _frequency(self) -> str:
        return str(self._key.frequency)


def _quote(fields: Fields, symbol: str) -> Quote:
    return Quote(
        symbol, _time(fields, "exchangeTimestamp"), _price(fields, "bidPrice"), _number(fields, "bidSize", 0),
        _price(fields, "askPrice"), _number(fields, "askSize", 0),
        _id(fields, "bidExchangeID"), _id(fields, "askExchangeID"), _id(fields, "exchangeID"),
        _id(fields, "listingExchange"),
    )  # fmt: skip


def _trade(fields: Fields, symbol: str) -> Trade:
    return Trade(
        symbol, _time(fields, "exchangeTimestamp"), _number(fields, "tradePrice"), _number(fields, "tradeSize"),
        _id(fields, "exchangeID"), _id(fields, "tradeID"), _id(fields, "listingExchange"), _id(fields, "trfID"),
        None if fields.get("trfTimestamp") is None else _time(fields, "trfTimestamp"),
    )  # fmt: skip


def _lines(fields: Fields) -> tuple[int, float, Line, Line, float, str]:
    return (
        _time(fields, "timestamp"), _number(fields, "price"), _line(fields, "slowLine"), _line(fields, "fastLine"),
        _number(fields, "macd"), _words(fields, "crossover"),
    )  # fmt: skip


def _line(fields: Fields, name: str) -> Line:
    line = fields.get(name)
    if not isinstance(line, Mapping):
        raise ValueError(f"{name}: {str(line)[:40]!r} is no moving average")
    return Line(_integer(line, "periods"), _integer(line, "count"), _number(line, "ma"))


def _time(fields: Fields, name: str) -> int:
    moment = plain_time(number := _integer(fields, name))
    if not -_LIMIT <= moment < _LIMIT:
        raise ValueError(f"{name}: {number} is no time: its nanoseconds do not fit 64 bits")
    return moment


def _integer(fields: Mapping[str, Any], name: str) -> int:
    number = fields.get(name)
    if number.__class__ is not int or not -_LIMIT <= number < _LIMIT:
        raise ValueError(f"{name}: {str(number)[:40]!r} is no 64-bit integer")
    return int(number)


def _number(fields: Mapping[str, Any], name: str, missing: float | None = None) -> float:
    number = fields.get(name, missing)
    if number.__class__ is float or (number.__class__ is int and -_LIMIT <= number < _LIMIT):
        return number  # an integer stays one: sizes of stocks are whole
    raise ValueError(f"{name}: {str(number)[:40]!r} is no number")


def _price(fields: Fields, name: str) -> float | None:
    return None if fields.get(name) is None else _number(fields, name)


def _id(fields: Fields, name: str) -> str | None:
    """Venues were integers once, and are texts now."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    if value.__class__ is int:
        return str(value)
    raise ValueError(f"{name}: {str(value)[:40]!r} is no text")


def _words(fields: Fields, name: str) -> str:
    return _id(fields, name) or ""
