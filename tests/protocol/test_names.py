"""Spellings of symbols, channels, frequencies and asset classes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import normalise_symbol, parse_asset_class, parse_channel, parse_frequency

STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO


@pytest.mark.parametrize(
    ("text", "asset_class", "symbol"),
    [
        ("AAPL", STOCKS, "AAPL"),
        ("aapl", STOCKS, "AAPL"),
        (" brk.b\n", STOCKS, "BRK.B"),
        ("X:BTC-USD", STOCKS, "X:BTC-USD"),
        ("a-b_c:d/e.9", STOCKS, "A-B_C:D/E.9"),
        ("A" * 32, STOCKS, "A" * 32),
        ("X:BTC-USD", CRYPTO, "BTCUSD"),
        ("btc/usd", CRYPTO, "BTCUSD"),
        ("x:eth-usd", CRYPTO, "ETHUSD"),
        ("BTCUSD", CRYPTO, "BTCUSD"),
        ("X:X:A", CRYPTO, "X:A"),
        ("-" * 40 + "A", CRYPTO, "A"),
    ],
)
def test_symbols(text: str, asset_class: AssetClass, symbol: str) -> None:
    assert normalise_symbol(text, asset_class) == symbol


@pytest.mark.parametrize(
    ("text", "asset_class"),
    [
        ("", STOCKS),
        (" ", STOCKS),
        ("*", STOCKS),
        ("A" * 33, STOCKS),
        ("A B", STOCKS),
        ("A\n B", STOCKS),
        ("ß", STOCKS),  # its upper case is the well-formed SS
        ("\u212a", STOCKS),  # the Kelvin sign, whose lower case is k
        ("A\u0661", STOCKS),  # a digit, but not one of ours
        ("A\x00", STOCKS),
        ("\ud800", STOCKS),
        ("X:", CRYPTO),
        ("-/", CRYPTO),
        ("ß", CRYPTO),
        ("B" * 33, CRYPTO),
    ],
)
def test_what_is_no_symbol(text: str, asset_class: AssetClass) -> None:
    with pytest.raises(ValueError, match="is no symbol: 1 to 32 characters"):
        normalise_symbol(text, asset_class)


@settings(max_examples=100)
@given(text=st.text() | st.text("aZ9.-_:/ X*", max_size=36), asset_class=st.sampled_from(AssetClass))
def test_any_text_is_a_well_formed_symbol_or_none(text: str, asset_class: AssetClass) -> None:
    try:
        symbol = normalise_symbol(text, asset_class)
    except ValueError:
        return
    assert re.fullmatch(r"[A-Z0-9.\-_:/]{1,32}", symbol)


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("quotes", Channel.QUOTES),
        ("trades", Channel.TRADES),
        ("ticks", Channel.TRADES),
        ("aggregates", Channel.AGGREGATES),
        ("aggs", Channel.AGGREGATES),
        ("ohlc", Channel.AGGREGATES),
        ("bars", Channel.AGGREGATES),
        ("sma", Channel.SMA),
        ("ema", Channel.EMA),
        (" QUOTES ", Channel.QUOTES),
    ],
)
def test_channels(text: str, channel: Channel) -> None:
    assert parse_channel(text) is channel


@pytest.mark.parametrize("text", ["", "quote", "Q" * 99])
def test_what_is_no_channel(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown channel '.{0,40}': use one of quotes, trades, aggregates, sma, ema"):
        parse_channel(text)


@pytest.mark.parametrize(
    ("short", "frequency"),
    [("1s", Frequency.SECOND), ("1m", Frequency.MINUTE), ("1h", Frequency.HOUR), ("1d", Frequency.DAY)],
)
def test_frequencies(short: str, frequency: Frequency) -> None:
    for text in (
        frequency,
        frequency.lower(),
        frequency.upper(),
        short,
        short.upper(),
        f"ohlc-{short}",
        f"OHLC-{short}",
    ):
        assert parse_frequency(text) is frequency


@pytest.mark.parametrize("text", ["", "1", "5m", "ohlc", "Tick", "ohlc-minute"])
def test_what_is_no_frequency(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown frequency .*: use one of Second, Minute, Hour, Day"):
        parse_frequency(text)


def test_asset_classes() -> None:
    assert parse_asset_class("Stocks ") is STOCKS
    assert parse_asset_class("CRYPTO") is CRYPTO
    with pytest.raises(ValueError, match="unknown asset class 'fx': use stocks or crypto"):
        parse_asset_class("fx")
