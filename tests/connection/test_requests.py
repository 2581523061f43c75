"""Requests that are refused, in whole or in part: every error of protocol.md section 7, and the limits."""

from __future__ import annotations

import pytest
from connection.kit import BASE, CRYPTO, client
from support import RawClient, memory_server, quote, trade
from trio.testing import MockClock

from datafye_trio import Program, RequestLimits, ServerConfig
from datafye_trio.connection.handler import Handler

ERRORS = {
    "no JSON": ("", "{", "MALFORMED_JSON", {}),
    "NaN": ("", '{"action":"ping","id":NaN}', "MALFORMED_JSON", {}),
    "a key twice": ("", '{"action":"ping","action":"pong"}', "MALFORMED_JSON", {}),
    "too deep": ("", '{"a":' * 17 + "1" + "}" * 17, "MALFORMED_JSON", {}),
    "very deep": ("", "[" * 100_000, "MALFORMED_JSON", {}),
    "a list": ("", "[1]", "INVALID_MESSAGE", {}),
    "no action": ("", '{"id":4}', "INVALID_MESSAGE", {"field": "action", "id": 4}),
    "action a number": ("", '{"action":7}', "INVALID_MESSAGE", {"field": "action"}),
    "unknown action": ("", '{"action":"sbscribe","id":"x"}', "UNKNOWN_ACTION", {"field": "action", "id": "x"}),
    "start on a live path": ("/stocks/live", '{"action":"start"}', "UNKNOWN_ACTION", {"field": "action"}),
    "subscribe on history": ("/stocks/history", '{"action":"subscribe"}', "UNKNOWN_ACTION", {"field": "action"}),
    "symbols a text": (
        "/stocks/live/quotes", '{"action":"subscribe","symbols":"AAPL"}', "INVALID_MESSAGE", {"field": "symbols"},
    ),
    "no symbols": ("/stocks/live/quotes", '{"action":"subscribe"}', "INVALID_MESSAGE", {"field": "symbols"}),
    "empty symbols": (
        "/stocks/live/quotes", '{"action":"subscribe","symbols":[]}', "INVALID_MESSAGE", {"field": "symbols"},
    ),
    "no channels": ("", '{"action":"subscribe","symbols":["AAPL"]}', "INVALID_MESSAGE", {"field": "channels"}),
    "id a bool": ("", '{"action":"ping","id":true}', "INVALID_MESSAGE", {"field": "id"}),
    "bad delivery": (
        "/stocks/live/quotes", '{"action":"subscribe","symbols":["AAPL"],"delivery":"some"}', "INVALID_MESSAGE",
        {"field": "delivery"},
    ),
    "maxRate alone": (
        "/stocks/live/quotes", '{"action":"subscribe","symbols":["AAPL"],"maxRate":1}', "INVALID_MESSAGE",
        {"field": "maxRate"},
    ),
    "maxRate 0": (
        "/stocks/live/quotes", '{"action":"subscribe","symbols":["AAPL"],"delivery":"latest","maxRate":0}',
        "INVALID_MESSAGE", {"field": "maxRate"},
    ),
    "bad asset class": (
        "", '{"action":"subscribe","channels":["quotes"],"symbols":["AAPL"],"assetClass":"bonds"}', "INVALID_MESSAGE",
        {"field": "assetClass"},
    ),
    "32,000 channels took a third of a second": (
        "", '{"action":"subscribe","channels":[%s"a"],"symbols":["AAPL"]}' % ('"a",' * 64), "INVALID_MESSAGE",
        {"field": "channels"},
    ),
    "unknown channel": (
        "", '{"action":"subscribe","channels":["qoutes"],"symbols":["AAPL"]}', "UNKNOWN_CHANNEL", {"field": "channels"},
    ),
    "unknown dataset": (
        "/stocks/live/quotes", '{"action":"subscribe","dataset":"SPI","symbols":["AAPL"]}', "UNKNOWN_DATASET",
        {"field": "dataset"},
    ),
    "unknown symbol": (
        "/stocks/live/quotes", '{"action":"subscribe","symbols":["QQQ","no good"],"id":1}', "UNKNOWN_SYMBOL",
        {"symbols": ["QQQ", "no good"], "id": 1},
    ),
    "malformed crypto symbol": (
        "/crypto/live/trades", '{"action":"subscribe","symbols":["BTC USD"]}', "UNKNOWN_SYMBOL",
        {"symbols": ["BTC USD"]},
    ),
    "crypto quotes": (
        "/stocks/live/quotes", '{"action":"subscribe","dataset":"Crypto","symbols":["BTCUSD"]}',
        "CHANNEL_NOT_AVAILABLE", {"field": "channels"},
    ),
    "another channel than the path's": (
        "/stocks/live/quotes", '{"action":"subscribe","channel":"trades","symbols":["AAPL"]}',
        "CHANNEL_NOT_AVAILABLE", {"field": "channels"},
    ),
    "bars": (
        "/stocks/live/aggs", '{"action":"subscribe","symbols":["AAPL"],"frequency":"Second"}',
        "CHANNEL_NOT_AVAILABLE", {"field": "channels"},
    ),
    "resume": (
        "/stocks/live",
        '{"action":"subscribe","channels":["quotes","trades"],"symbols":["AAPL"],"resume":{"epoch":"e","positions":{}}}',
        "INVALID_MESSAGE", {"field": "resume"},
    ),
    "history": (
        "/stocks/history",
        '{"action":"start","symbol":"AAPL","frequency":"Minute","from":"2025-01-02T09:30:00","to":"2025-01-02T16:00:00"}',
        "CHANNEL_NOT_AVAILABLE", {},
    ),
    "more without a stream": ("/stocks/history", '{"action":"more","id":1,"count":5}', "NOT_SUBSCRIBED", {"id": 1}),
    "stop without a stream": ("/stocks/history", '{"action":"stop"}', "NOT_SUBSCRIBED", {}),
    "bad frequency": (
        "/stocks/live/aggs", '{"action":"subscribe","symbols":["AAPL"],"frequency":"Fortnight"}',
        "INVALID_FREQUENCY", {"field": "frequency"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "text", "code", "more"), ERRORS.values(), ids=ERRORS)
async def test_each_error_and_the_connection_still_serves(
    autojump_clock: MockClock, path: str, text: str, code: str, more: dict[str, object]
) -> None:
    async with client(path) as peer:
        await peer.send_text(text)
        error = await peer.message()
        assert (error["type"], error["code"]) == ("error", code)
        assert len(error["message"].split()) > 2
        assert error["retryable"] is False
        for name, value in more.items():
            assert error[name] == value, name
        assert ("id" in error) == ("id" in more)
        assert (await peer.ask(action="ping", id="still here"))["id"] == "still here"


async def test_a_bug_is_answered_internal_and_harms_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with client() as peer:
        with monkeypatch.context() as patched:
            patched.setattr(Handler, "_ping", broken)
            error = await peer.ask(action="ping", id=1)
        assert (error["code"], error["retryable"], error["id"]) == ("INTERNAL", True, 1)
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_subscription_limits(autojump_clock: MockClock) -> None:
    config = ServerConfig(requests=RequestLimits(topics=3, symbols=5), max_topics=10)
    async with client("/crypto/live/trades", config) as peer:
        error = await peer.ask(action="subscribe", symbols=list("ABCDEF"))
        assert (error["code"], error["field"]) == ("SUBSCRIPTION_LIMIT", "symbols")
        answer = await peer.ask(action="subscribe", symbols=list("ABCDE"), id=5)
        error = await peer.message()
        assert (answer["symbols"], answer["total"]) == (["A", "B", "C"], 3)
        assert (error["code"], error["symbols"], error["id"]) == ("SUBSCRIPTION_LIMIT", ["D", "E"], 5)
        answer = await peer.ask(action="subscribe", symbols=["A", "B"])  # repeats need no room
        assert answer["type"] == "subscribed"
        other = await RawClient.connect(peer.server, BASE + "/crypto/live/trades")
        await other.message()
        answer = await other.ask(action="subscribe", symbols=["X", "Y", "Z"])
        # Of 10 topics, 2 x 2 are of stocks, 3 are A B C: 3 were free; for Y one is held and 2 are free, for Z 2 and 1.
        assert answer["symbols"] == ["X", "Y"]
        assert (await other.message())["symbols"] == ["Z"]
        third = await RawClient.connect(peer.server, BASE + "/crypto/live/trades")
        await third.message()
        assert (await third.ask(action="subscribe", symbols=["V", "W"]))["symbols"] == ["V"]
        assert (await third.message())["code"] == "SUBSCRIPTION_LIMIT"
        await peer.ask(action="unsubscribe", symbols=["A", "B", "C"])
        assert (await other.ask(action="subscribe", symbols=["Z"]))["symbols"] == ["Z"]


async def test_what_star_leaves_out_and_keeps_is_limited_too(autojump_clock: MockClock) -> None:
    config = ServerConfig(requests=RequestLimits(topics=5, symbols=8), max_topics=7)
    async with client("/crypto/live/trades", config) as peer:
        await peer.ask(action="subscribe", symbols=["*"])
        answer = await peer.ask(action="unsubscribe", symbols=list("ABCDEFG"))
        assert answer["symbols"] == list("ABCDE")
        error = await peer.message()
        assert (error["code"], error["symbols"]) == ("SUBSCRIPTION_LIMIT", ["F", "G"])
        error = await peer.ask(action="unsubscribe", symbols=["*"], **{"except": list("ABCDEFGHI")})
        assert (error["code"], error["field"]) == ("SUBSCRIPTION_LIMIT", "except")
        await peer.send(action="unsubscribe", symbols=["*"], **{"except": list("RSTU")})
        answer, error = await peer.messages(2)  # four stocks and four more would be eight
        assert (answer["type"], answer["total"]) == ("unsubscribed", 0)
        assert (error["code"], error["symbols"]) == ("SUBSCRIPTION_LIMIT", list("RSTU"))
        await peer.ask(action="subscribe", symbols=["*"])
        answer = await peer.ask(action="unsubscribe", symbols=["*"], **{"except": ["SOON"]})
        assert answer["total"] == 1
        await peer.server.publish([trade("SOON"), trade("LATER")], dataset="Crypto")
        assert (await peer.message())["symbol"] == "SOON"
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_the_samples_requests_before_connected_is_read(autojump_clock: MockClock) -> None:
    async with memory_server(None, [Program("Synthetic"), CRYPTO]) as server:
        for path in ("quotes", "ticks"):
            peer = await RawClient.connect(server, f"{BASE}/stocks/live/{path}")
            await peer.send(action="subscribe", dataset="Synthetic", symbols=["AAPL"])
            assert [message["type"] for message in await peer.messages(2)] == ["connected", "subscribed"]
            await server.publish(quote() if path == "quotes" else trade())
            assert (await peer.message())["symbol"] == "AAPL"
        peer = await RawClient.connect(server, f"{BASE}/stocks/live/ticks")
        await peer.send(action="subscribe", dataset="Crypto", symbols=["X:btc-usd"])
        answer = (await peer.messages(2))[1]
        assert (answer["assetClass"], answer["symbols"]) == ("crypto", ["BTCUSD"])
        await server.publish(trade("BTCUSD"), dataset="Crypto")
        assert (await peer.message())["assetClass"] == "crypto"
