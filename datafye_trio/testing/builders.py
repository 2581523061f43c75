"""Events with sensible defaults: a test names what matters to it, and no more. Pure: the same call, the same event.

`at` is when an event happens (a bar: when it begins): nanoseconds since 1970 UTC, an aware `datetime`, or a `timedelta`
from `START`, which is when the market of a test server begins.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from datafye_trio.aggregates import EmaPeriods, SmaPeriods, span_of
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Bar, Ema, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.protocol import parse_frequency

__all__ = ["START", "At", "bar", "ema", "halt", "nanoseconds", "quote", "resume", "sma", "trade"]

START: Final = 1_704_205_800_000_000_000
"""2024-01-02 14:30 UTC, 9:30 in New York: the opening bell of the year's first day of trading."""

At: TypeAlias = "int | datetime | timedelta"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SMA: Final = SmaPeriods()
_EMA: Final = EmaPeriods()


def nanoseconds(at: At) -> int:
    """A moment in nanoseconds since 1970 UTC.

    Raises:
        ConfigurationError: a datetime without a time zone; a time before 1970; seconds, which are easily meant for
            nanoseconds; neither.
    """
    if isinstance(at, timedelta):
        found = START + at // timedelta(microseconds=1) * 1_000
    elif isinstance(at, datetime):
        if at.utcoffset() is None:
            raise ConfigurationError(f"at={at!r} has no time zone: write datetime(..., tzinfo=UTC)")
        found = (at - _EPOCH) // timedelta(microseconds=1) * 1_000
    elif isinstance(at, int) and not isinstance(at, bool):
        found = at
    else:
        found = -1
    if 0 < found < 10**12 or found < 0:
        raise ConfigurationError(f"at={at!r}: nanoseconds since 1970, an aware datetime, or a timedelta from START")
    return found


def trade(
    symbol: str = "AAPL",
    price: float = 100.0,
    size: float = 100,
    *,
    at: At = START,
    exchange_id: str | None = "XNAS",
    trade_id: str | None = "1",
    listing_exchange: str | None = None,
    trf_id: str | None = None,
    trf_timestamp: int | None = None,
    conditions: tuple[str, ...] | None = None,
) -> Trade:
    """A trade. Of crypto: `trade("BTCUSD", 43_000.5, 0.25, exchange_id="Coinbase")`."""
    return Trade(
        symbol, nanoseconds(at), price, size, exchange_id, trade_id, listing_exchange, trf_id, trf_timestamp, conditions
    )


def quote(
    symbol: str = "AAPL",
    bid: float | None = 99.99,
    ask: float | None = 100.01,
    bid_size: float = 100,
    ask_size: float = 100,
    *,
    at: At = START,
    bid_exchange_id: str | None = None,
    ask_exchange_id: str | None = None,
    exchange_id: str | None = None,
    listing_exchange: str | None = None,
) -> Quote:
    """A quote; a price of None is an empty side of the book.

    The venues are XNAS and ARCX, unless others are given; of crypto, one: `exchange_id="Coinbase"`.
    """
    if exchange_id is None:
        bid_exchange_id, ask_exchange_id = bid_exchange_id or "XNAS", ask_exchange_id or "ARCX"
    return Quote(
        symbol,
        nanoseconds(at),
        bid,
        bid_size,
        ask,
        ask_size,
        bid_exchange_id,
        ask_exchange_id,
        exchange_id,
        listing_exchange,
    )


def bar(
    symbol: str = "AAPL",
    close: float = 100.0,
    *,
    open: float | None = None,  # noqa: A002 -- what the field is called everywhere
    high: float | None = None,
    low: float | None = None,
    volume: float = 1_000,
    count: int = 10,
    vwap: float | None = None,
    frequency: str = "Minute",
    at: At | None = None,
    final: bool = True,
    revision: int | None = None,
) -> Bar:
    """A bar. What is not given follows: it opens where it closes, `high` and `low` hold both, `vwap` lies between.

    `at` is when it begins, by default the beginning of the span that holds `START` (of stocks: a day begins in New
    York). `frequency` is spelled as in a request: `Minute`, `1m`.
    """
    first = close if open is None else open
    highest = max(first, close) if high is None else high
    lowest = min(first, close) if low is None else low
    name, start = _span(frequency, at)
    average = (highest + lowest) / 2 if vwap is None else vwap
    return Bar(symbol, name, start, first, highest, lowest, close, volume, count, average, final, revision)


def sma(
    symbol: str = "AAPL",
    price: float = 100.0,
    *,
    fast: float | None = None,
    slow: float | None = None,
    crossover: str = "NONE",
    frequency: str = "Minute",
    at: At | None = None,
) -> Sma:
    """Simple moving averages after a bar that closed at `price`: both full, and there too unless they are given.

    `at` is when the bar begins; as for `bar`.
    """
    name, start = _span(frequency, at)
    fast_line = _line(_SMA.fast, price if fast is None else fast)
    slow_line = _line(_SMA.slow, price if slow is None else slow)
    return Sma(symbol, name, start, price, slow_line, fast_line, fast_line.ma - slow_line.ma, crossover)


def ema(
    symbol: str = "AAPL",
    price: float = 100.0,
    *,
    fast: float | None = None,
    slow: float | None = None,
    signal: float | None = None,
    crossover: str = "NONE",
    signal_crossover: str = "NONE",
    zero_line_crossover: str = "NONE",
    last_zero_line_crossover: str | None = None,
    frequency: str = "Minute",
    at: At | None = None,
) -> Ema:
    """Exponential moving averages after a bar that closed at `price`, as `sma`; `signal` is by default the MACD.

    `crossover` is that of the two lines, which is the MACD's through zero, too.
    """
    name, start = _span(frequency, at)
    fast_line = _line(_EMA.fast, price if fast is None else fast)
    slow_line = _line(_EMA.slow, price if slow is None else slow)
    macd = fast_line.ma - slow_line.ma
    return Ema(
        symbol,
        name,
        start,
        price,
        slow_line,
        fast_line,
        macd,
        crossover,
        _line(_EMA.signal, macd if signal is None else signal),
        crossover,
        signal_crossover,
        zero_line_crossover,
        zero_line_crossover if last_zero_line_crossover is None else last_zero_line_crossover,
    )


def halt(symbol: str = "AAPL", reason: str = "volatility pause", *, at: At = START) -> Halt:
    """Trading in a symbol stops."""
    return Halt(symbol, nanoseconds(at), reason)


def resume(symbol: str = "AAPL", reason: str = "pause over", *, at: At = START) -> Resume:
    """Trading in a symbol goes on."""
    return Resume(symbol, nanoseconds(at), reason)


def _span(frequency: str, at: At | None) -> tuple[str, int]:
    """The frequency's name (a plain text: a `StrEnum` cannot be published) and the beginning of a bar."""
    try:
        parsed = parse_frequency(frequency)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return parsed.value, span_of(START, parsed, AssetClass.STOCKS)[0] if at is None else nanoseconds(at)


def _line(periods: int, average: float) -> Line:
    return Line(periods, periods, average)
