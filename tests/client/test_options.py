"""What a program asks for, checked before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from datafye_trio.client.board import BoardKey
from datafye_trio.client.options import SubscribeOptions, make_wish, parse_symbols, resolve, resolve_plain
from datafye_trio.errors import ConfigurationError, SubscriptionError
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import Connected, DatasetOffer


def wish(channels: Any = "quotes", symbols: Any = "AAPL", frequency: str = "1m", **options: Any) -> Any:
    running = options.pop("running", False)
    return make_wish(channels, symbols, frequency, SubscribeOptions(**options), running=running)


def greeting(*offers: tuple[str, str]) -> Connected:
    datasets = tuple(DatasetOffer(name, kind, "e", (), ()) for name, kind in offers)
    return Connected("1", 1, "ns", 10.0, 30.0, datasets, {}, 1)


def test_a_text_is_one_channel_and_one_symbol() -> None:
    one = wish()
    assert (one.channels, one.symbols, one.frequency) == ((Channel.QUOTES,), ("AAPL",), Frequency.MINUTE)


def test_channels_by_any_of_their_names_count_once() -> None:
    assert wish(["trades", "ticks", "bars"]).channels == (Channel.TRADES, Channel.AGGREGATES)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"channels": []}, "channels: name at least one"),
        ({"symbols": ()}, "symbols: name at least one"),
        ({"symbols": ["A", 1]}, r"symbols: a text such as 'AAPL', or a list of them, not \['A', 1\]"),
        ({"symbols": None}, "not None"),
        ({"symbols": b"AAPL"}, "not b'AAPL'"),
        ({"channels": 5}, "channels: a text such as 'quotes'"),
        ({"frequency": 60}, "frequency: a text such as 'Minute', not 60"),
        ({"channels": "prices"}, "prices"),
        ({"frequency": "fortnight"}, "fortnight"),
        ({"asset_class": "bonds"}, "bonds"),
        ({"policy": "hope"}, "hope"),
        ({"buffer": 0}, "at least 1"),
    ],
)
def test_what_no_server_could_make_sense_of(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        wish(**arguments)


def test_a_mistyped_option_is_seen() -> None:
    with pytest.raises(TypeError, match="unknown option 'polcy': use dataset"):
        wish(polcy="wait")


def test_the_first_dataset_of_a_server_unless_one_is_named() -> None:
    server = greeting(("Odd", "bonds"), ("SIP", "stocks"), ("Crypto", "crypto"))
    assert resolve(wish(), server.datasets) == [(BoardKey("SIP", Channel.QUOTES), AssetClass.STOCKS)]
    assert resolve(wish(asset_class="crypto"), server.datasets) == [
        (BoardKey("Crypto", Channel.QUOTES), AssetClass.CRYPTO)
    ]
    assert resolve(wish(dataset="Crypto"), server.datasets)[0][1] is AssetClass.CRYPTO


@pytest.mark.parametrize(
    ("options", "offers", "what"),
    [
        ({"dataset": "X"}, [("SIP", "stocks")], "no dataset X: this server has SIP"),
        ({"asset_class": "crypto"}, [("SIP", "stocks")], "no dataset of crypto: this server has SIP"),
        ({}, [], "no dataset that this client knows: this server has none"),
    ],
)
def test_a_dataset_that_is_not_there(options: Any, offers: Any, what: str) -> None:
    with pytest.raises(SubscriptionError, match=what):
        resolve(wish(**options), greeting(*offers).datasets)


def test_bars_and_indicators_have_a_frequency_and_only_bars_run() -> None:
    found = resolve(wish(["trades", "bars", "sma"], running=True), greeting(("SIP", "stocks")).datasets)
    assert [key for key, _ in found] == [
        BoardKey("SIP", Channel.TRADES),
        BoardKey("SIP", Channel.AGGREGATES, Frequency.MINUTE, running=True),
        BoardKey("SIP", Channel.SMA, Frequency.MINUTE),
    ]


def test_a_server_that_does_not_say_what_it_has() -> None:
    assert resolve_plain(wish()) == [(BoardKey("SIP", Channel.QUOTES), AssetClass.STOCKS)]
    crypto = [(BoardKey("Crypto", Channel.QUOTES), AssetClass.CRYPTO)]
    assert resolve_plain(wish(asset_class="crypto")) == resolve_plain(wish(dataset="Crypto")) == crypto
    assert resolve_plain(wish("trades", running=True))
    with pytest.raises(SubscriptionError, match="finished bars only"):
        resolve_plain(wish("bars", running=True))


def test_symbols_in_normal_form() -> None:
    assert parse_symbols(["aapl", "AAPL", "brk.b"], AssetClass.STOCKS) == (["AAPL", "BRK.B"], [])
    assert parse_symbols(["btc/usd", "X:ETHUSD"], AssetClass.CRYPTO) == (["BTCUSD", "ETHUSD"], [])
    assert parse_symbols(["A", "", "a b", "a b"], AssetClass.STOCKS) == (["A"], ["", "a b"])
    assert parse_symbols(["A", " * "], AssetClass.STOCKS) == (["*"], [])
