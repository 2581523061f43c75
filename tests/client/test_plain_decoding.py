"""Frames with Datafye's documented fields, and what events they make."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import START_NS

from datafye_trio.client.board import BoardKey
from datafye_trio.client.plain_decoding import PlainDecoder, plain_time
from datafye_trio.model import (
    AssetClass,
    Bar,
    Channel,
    Ema,
    Event,
    Frequency,
    Halt,
    Line,
    Quote,
    Resume,
    Sma,
    Trade,
)  # fmt: skip

SLOW, FAST, SIGNAL = ({"periods": periods, "count": 3, "ma": 1.5} for periods in (26, 12, 9))
QUOTE = {
    "symbol": "aapl", "exchangeTimestamp": START_NS, "bidExchangeID": 12, "bidPrice": 1, "bidSize": 2,
    "askExchangeID": "XNAS", "askPrice": 1.5, "askSize": 3, "listingExchange": "XNAS",
}  # fmt: skip
TRADE = {
    "symbol": "AAPL", "exchangeID": 4, "exchangeTimestamp": START_NS, "trfID": 202, "trfTimestamp": START_NS + 1,
    "tradeID": "52983525028705", "tradePrice": 1.5, "tradeSize": 10, "listingExchange": "XNAS",
}  # fmt: skip
OHLC = {
    "symbol": "AAPL", "datetime": START_NS, "open": 1, "high": 2, "low": 0.5, "close": 1.5, "volume": 100,
}  # fmt: skip
SMA = {
    "timestamp": START_NS, "price": 2, "slowLine": SLOW, "fastLine": FAST, "macd": 0.5, "crossover": "BULLISH",
}  # fmt: skip
EMA = SMA | {
    "signalLine": SIGNAL, "zeroCrossover": "a", "signalCrossover": "b", "zeroLineCrossover": "c",
    "lastZeroLineCrossover": "d",
}  # fmt: skip
SLOW_LINE, FAST_LINE, SIGNAL_LINE = Line(26, 3, 1.5), Line(12, 3, 1.5), Line(9, 3, 1.5)
RECORDS: dict[Channel, tuple[dict[str, Any], Event]] = {
    Channel.QUOTES: (QUOTE, Quote("AAPL", START_NS, 1, 2, 1.5, 3, "12", "XNAS", None, "XNAS")),
    Channel.TRADES: (
        TRADE,
        Trade("AAPL", START_NS, 1.5, 10, "4", "52983525028705", "XNAS", "202", START_NS + 1),
    ),
    Channel.AGGREGATES: (OHLC, Bar("AAPL", "Minute", START_NS, 1, 2, 0.5, 1.5, 100, 0, None)),
    Channel.SMA: (SMA, Sma("AAPL", "Minute", START_NS, 2, SLOW_LINE, FAST_LINE, 0.5, "BULLISH")),
    Channel.EMA: (
        EMA,
        Ema("AAPL", "Minute", START_NS, 2, SLOW_LINE, FAST_LINE, 0.5, "BULLISH", SIGNAL_LINE, "a", "b", "c", "d"),
    ),
}
TIMES = {
    Channel.QUOTES: "exchangeTimestamp", Channel.TRADES: "exchangeTimestamp", Channel.AGGREGATES: "datetime",
    Channel.SMA: "timestamp", Channel.EMA: "timestamp",
}  # fmt: skip


def decoder(channel: Channel = Channel.QUOTES, asset_class: AssetClass = AssetClass.STOCKS) -> PlainDecoder:
    frequency = Frequency.MINUTE if channel.has_frequency else None
    return PlainDecoder(BoardKey("SIP", channel, frequency), asset_class, clock=lambda: 7)


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_a_record_of_each_kind_with_times_in_any_unit(channel: Channel, unit: int) -> None:
    fields, event = RECORDS[channel]
    if unit > 1:
        times = {name: fields[name] // unit for name in (TIMES[channel], "trfTimestamp") if name in fields}
        fields = fields | times
        event = attrs.evolve(event, **{"trf_timestamp": START_NS} if channel is Channel.TRADES else {})
    assert decoder(channel).event(fields, "AAPL") == event


@given(st.integers(946_684_800, 4_102_444_800), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_a_time_of_this_century_is_known_by_its_size(seconds: int, unit: int) -> None:
    assert plain_time(seconds * 10**9 // unit) == seconds * 10**9


@pytest.mark.parametrize("channel", Channel)
def test_what_is_not_there_is_unknown_and_what_must_be_there_is_missed(channel: Channel) -> None:
    fields, _ = RECORDS[channel]
    optional = {
        "symbol", "bidExchangeID", "askExchangeID", "listingExchange", "exchangeID", "trfID", "trfTimestamp", "tradeID",
        "bidPrice", "bidSize", "askPrice", "askSize", "open", "high", "low", "close", "crossover", "zeroCrossover",
        "signalCrossover", "zeroLineCrossover", "lastZeroLineCrossover",
    }  # fmt: skip
    for name in fields:
        less = {other: value for other, value in fields.items() if other != name}
        if name in optional:
            decoder(channel).event(less, "AAPL")
        else:
            with pytest.raises(ValueError, match=name):
                decoder(channel).event(less, "AAPL")


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("wrong", [[], {}, True, "x", 2**70])
def test_a_field_of_another_type_is_no_surprise(channel: Channel, wrong: Any) -> None:
    fields, _ = RECORDS[channel]
    for name in fields:
        try:
            decoder(channel).event(fields | {name: wrong}, "AAPL")
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize("wrong", [35_830_000_008, -35_830_000_008])
def test_a_time_whose_nanoseconds_do_not_fit_64_bits_is_refused(wrong: int) -> None:
    """Seconds of the year 3105: they were taken, as the price below was."""
    with pytest.raises(ValueError, match="exchangeTimestamp: .* is no time"):
        decoder().event(QUOTE | {"exchangeTimestamp": wrong}, "AAPL")
    with pytest.raises(ValueError, match="timestamp: .* is no time"):
        decoder().halt({"type": "halt", "timestamp": wrong}, "AAPL")


@pytest.mark.parametrize("wrong", [2**64, -(2**63) - 1])
def test_a_price_beyond_64_bits_is_refused(wrong: int) -> None:
    """It was taken, and a relay would have sent on what no client of ours can read."""
    with pytest.raises(ValueError, match="bidPrice: .* is no number"):
        decoder().event(QUOTE | {"bidPrice": wrong}, "AAPL")


@given(st.binary() | st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_what_is_no_object_is_refused(payload: bytes | str) -> None:
    try:
        assert isinstance(decoder().fields(payload), dict)
    except ValueError as error:
        assert str(error)


def test_symbols() -> None:
    assert decoder().symbol({"symbol": "aapl"}) == "AAPL"
    assert decoder(asset_class=AssetClass.CRYPTO).symbol({"symbol": "X:BTC-USD"}) == "BTCUSD"
    assert decoder().symbol({}) is None
    with pytest.raises(ValueError, match="symbol"):
        decoder().symbol({"symbol": "?"})


def test_a_count_and_a_vwap_are_taken_where_they_are_told() -> None:
    event = decoder(Channel.AGGREGATES).event(OHLC | {"count": 3, "vwap": 1.25}, "AAPL")
    assert event == Bar("AAPL", "Minute", START_NS, 1, 2, 0.5, 1.5, 100, 3, 1.25)


def test_halts() -> None:
    assert decoder().halt({"type": "halt"}, "AAPL") == Halt("AAPL", 7, "")
    told = {"type": "resume", "timestamp": START_NS // 10**6, "reason": "T3"}
    assert decoder().halt(told, "AAPL") == Resume("AAPL", START_NS // 10**6 * 10**6, "T3")
