"""What the entries of a log tell of clients, and what adds up to a wanted subscription."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from datafye_trio import ConfigurationError
from datafye_trio.testing import Entry
from datafye_trio.testing.facts import Fact, Facts, Wanted, full_path


def said(connection: int = 1, **message: Any) -> Entry:
    return Entry(connection, 0.5, "out", "text", json.dumps(message, separators=(",", ":")).encode())


def subscribed(*symbols: str, connection: int = 1, channels: tuple[str, ...] = ("quotes",), **more: Any) -> Entry:
    about = {"dataset": "SIP", "assetClass": "stocks", "channels": channels, "symbols": symbols} | more
    return said(connection, type="subscribed", **about)


def asked(payload: bytes) -> Entry:
    return Entry(1, 0.5, "in", "text", payload)


def test_each_thing_is_told_once() -> None:
    facts = Facts()
    entries = [
        Entry(1, 0.0, "in", "open", path="/datafye-ws/v1/stocks/live/quotes"),
        subscribed("AAPL"),
        said(type="unsubscribed", dataset="SIP", assetClass="stocks", channels=["quotes"], symbols=["AAPL"]),
        asked(b'{"action":"pong"}'),
        Entry(1, 9.0, "out", "close", code=4009),
        Entry(1, 9.0, "in", "close", code=4009),
        Entry(1, 9.0, "out", "gone"),
        Entry(2, 9.0, "out", "gone"),
    ]
    assert [str(fact) for entry in entries for fact in facts.of(entry)] == [
        "connection 1 at 0.000 s: connected to /datafye-ws/v1/stocks/live/quotes",
        "connection 1 at 0.500 s: subscribed quotes of AAPL (SIP)",
        "connection 1 at 0.500 s: unsubscribed quotes of AAPL (SIP)",
        "connection 1 at 0.500 s: answered a heartbeat",
        "connection 1 at 9.000 s: closed with 4009",
        "connection 2 at 9.000 s: closed with 1006",
    ]


@pytest.mark.parametrize("verb", ["action", "type", "op"])
def test_a_pong_in_any_spelling(verb: str) -> None:
    assert [fact.topic for fact in Facts().of(asked(json.dumps({verb: "pong"}).encode()))] == ["pong"]


@pytest.mark.parametrize(
    "entry",
    [
        asked(b'{"action":"ping","id":"pong"}'),
        asked(b'{"action":"subscribe","type":"pong"}'),
        asked(b"pong"),
        asked(b'["pong"]'),
        Entry(1, 0.0, "in", "pong", b""),
        said(type="quote", symbol="subscribed"),
        said(type="subscribed"),  # as a dialect has it
        Entry(1, 0.0, "out", "text", b'{"type":"subscribed'),
        Entry(1, 0.0, "out", "fault", reason="mute()"),
        Entry(1, 0.0, "out", "refused", code=503),
    ],
)
def test_what_is_none_of_it(entry: Entry) -> None:
    assert not list(Facts().of(entry))


def test_messages_that_a_fault_has_damaged_are_no_facts() -> None:
    """One byte is another: the text may still be JSON."""
    sound = subscribed("AAPL").payload
    facts = Facts()
    for place in range(len(sound)):
        damaged = sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]
        list(facts.of(Entry(1, 0.0, "out", "text", damaged)))


def test_messagepack_is_understood() -> None:
    message = {"type": "subscribed", "dataset": "SIP", "assetClass": "stocks", "channels": ["sma"], "symbols": ["A"]}
    (fact,) = Facts().of(Entry(1, 0.0, "out", "binary", msgspec.msgpack.encode(message | {"frequency": "Hour"})))
    assert str(fact) == "connection 1 at 0.000 s: subscribed sma (Hour) of A (SIP)"


def test_refusals_are_told() -> None:
    (fact,) = Facts().of(said(type="error", code="UNKNOWN_CHANNEL", message="there is none"))
    assert str(fact) == "connection 1 at 0.500 s: a request was refused: UNKNOWN_CHANNEL: there is none"


def first(wanted: Wanted, *entries: Entry) -> list[bool]:
    facts = Facts()
    return [wanted.matches(fact) for entry in entries for fact in facts.of(entry)]


def test_symbols_add_up_on_one_connection() -> None:
    wanted = Wanted("quotes", ["aapl", "MSFT"], None, None)
    assert str(wanted) == "quotes of aapl, MSFT"
    assert first(
        wanted,
        subscribed("AAPL"),
        subscribed("MSFT", connection=2),
        subscribed("MSFT", channels=("trades",)),
        subscribed("MSFT", "IBM"),
        subscribed("IBM"),
        subscribed("AAPL"),
        subscribed("*", connection=3),
    ) == [False, False, False, True, False, True, True]


def test_everything_is_asked_for_by_a_star() -> None:
    assert first(Wanted("quotes", "*", None, None), subscribed("AAPL"), subscribed("*")) == [False, True]


def test_frequency_and_dataset_narrow_it() -> None:
    wanted = Wanted("bars", "A", "1h", "SIP")
    assert str(wanted) == "aggregates (Hour) of A in SIP"
    bars = ("aggregates",)
    assert first(
        wanted,
        subscribed("A", channels=bars, frequency="Minute"),
        subscribed("A", channels=bars, frequency="Hour", dataset="Other"),
        subscribed("A", channels=bars, frequency="Hour"),
    ) == [False, False, True]


def test_crypto_is_compared_as_crypto_is_spelled() -> None:
    about = {"dataset": "Crypto", "assetClass": "crypto", "channels": ("trades",)}
    assert first(Wanted("trades", "X:BTC/USD", None, None), subscribed("BTCUSD", **about)) == [True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("news", "A", None, None), "unknown channel 'news'"),
        (("bars", "A", "weekly", None), "unknown frequency 'weekly'"),
        (("bars", ["A", "B C"], None, None), "'B C' is no symbol"),
        (("bars", (), None, None), "at least one, or \\*"),
    ],
)
def test_what_can_never_come(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Wanted(*arguments)


def test_many_symbols_are_counted() -> None:
    fact = Fact("subscribe", 1, 0.0, channels=("quotes",), symbols=tuple(f"S{n}" for n in range(40)), dataset="SIP")
    assert "S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, ... (40 symbols) (SIP)" in str(fact)


@pytest.mark.parametrize(
    "path", ["stocks/live/quotes", "/stocks/live/quotes/", "/datafye-ws/v1/stocks/live/quotes?a=b"]
)
def test_paths(path: str) -> None:
    assert full_path(path) == "/datafye-ws/v1/stocks/live/quotes"
    assert full_path("") == full_path("/") == "/datafye-ws/v1"
    with pytest.raises(ConfigurationError, match="'bonds' is no path of this protocol"):
        full_path("bonds")
