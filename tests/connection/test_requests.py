"""Requests and their answers, as a client sees them: every error of protocol.md section 7, and subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgpack
import pytest
import trio
from support import START_NS, RawClient, masked, memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import AssetClass, Channel, Halt, Program, RequestLimits, ServerConfig
from datafye_trio.connection.handler import Handler

BASE = "/datafye-ws/v1"
STOCKS = Program("Stocks", symbols=frozenset({"AAPL", "MSFT"}))
CRYPTO = Program("Crypto", AssetClass.CRYPTO, (Channel.TRADES,))


@asynccontextmanager
async def client(path: str = BASE, config: ServerConfig | None = None) -> AsyncIterator[RawClient]:
    """A client of a server with a closed list of stocks and open crypto trades; `connected` is read."""
    async with memory_server(config, [STOCKS, CRYPTO]) as server:
        found = await RawClient.connect(server, BASE + path.removeprefix(BASE))
        found.server = server  # type: ignore[attr-defined]
        assert (await found.message())["type"] == "connected"
        yield found


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
        "/stocks/live/quotes",
        '{"action":"subscribe","symbols":["AAPL"],"resume":{"epoch":"e","positions":{"AAPL":1}}}',
        "CHANNEL_NOT_AVAILABLE", {"field": "resume"},
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
    config = ServerConfig(requests=RequestLimits(topics=3, symbols=5), max_topics=8)
    async with client("/crypto/live/trades", config) as peer:
        error = await peer.ask(action="subscribe", symbols=list("ABCDEF"))
        assert (error["code"], error["field"]) == ("SUBSCRIPTION_LIMIT", "symbols")
        answer = await peer.ask(action="subscribe", symbols=list("ABCDE"), id=5)
        error = await peer.message()
        assert (answer["symbols"], answer["total"]) == (["A", "B", "C"], 3)
        assert (error["code"], error["symbols"], error["id"]) == ("SUBSCRIPTION_LIMIT", ["D", "E"], 5)
        answer = await peer.ask(action="subscribe", symbols=["A", "B"])  # repeats need no room
        assert answer["type"] == "subscribed"
        other = await RawClient.connect(peer.server, BASE + "/crypto/live/trades")  # type: ignore[attr-defined]
        await other.message()
        answer = await other.ask(action="subscribe", symbols=["X"])
        assert answer["symbols"] == ["X"]  # 2 x 2 stocks, A B C, X: the server has 8 topics now
        assert (await other.ask(action="subscribe", symbols=["Y"]))["code"] == "SUBSCRIPTION_LIMIT"
        assert (await other.ask(action="subscribe", symbols=["*"]))["code"] == "SUBSCRIPTION_LIMIT"
        await peer.ask(action="unsubscribe", symbols=["A", "B", "C"])
        assert (await other.ask(action="subscribe", symbols=["Y"]))["symbols"] == ["Y"]


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
        await peer.server.publish([trade("SOON"), trade("LATER")], dataset="Crypto")  # type: ignore[attr-defined]
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


async def test_a_subscription_in_part(autojump_clock: MockClock) -> None:
    async with client() as peer:
        answer = await peer.ask(
            action="subscribe", channels=["quotes", "bars", "qoutes"], symbols=["aapl", "QQQ", "MSFT"], id=9, mood="x"
        )
        errors = await peer.messages(3)
        assert answer == {
            "type": "subscribed", "dataset": "Stocks", "assetClass": "stocks", "channels": ["quotes"],
            "symbols": ["AAPL", "MSFT"], "epoch": "epoch-1", "total": 2, "id": 9,
            "positions": {"quotes": {"AAPL": 0, "MSFT": 0}}, "ignored": ["mood"],
        }  # fmt: skip
        assert {error["code"] for error in errors} == {"CHANNEL_NOT_AVAILABLE", "UNKNOWN_CHANNEL", "UNKNOWN_SYMBOL"}
        assert {error["id"] for error in errors} == {9}


async def test_positions_snapshot_then_live_without_a_hole(autojump_clock: MockClock) -> None:
    async with client() as peer:
        await peer.server.publish([quote(n=1), quote(n=2), trade(n=3)])  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
        answer = await peer.ask(action="subscribe", channels=["quotes", "trades"], symbols=["AAPL"])
        assert answer["positions"] == {"quotes": {"AAPL": 2}, "trades": {"AAPL": 1}}
        snapshot = await peer.message()
        assert (snapshot["type"], snapshot["seq"], snapshot["snapshot"]) == ("quote", 2, True)
        await peer.server.publish([quote(n=3), trade(n=4)])  # type: ignore[attr-defined]
        assert [(m["type"], m["seq"], m.get("snapshot")) for m in await peer.messages(2)] == [
            ("quote", 3, None), ("trade", 2, None),
        ]  # fmt: skip


@pytest.mark.parametrize(("snapshot", "kinds"), [(True, {"quote", "trade"}), (False, set()), (None, {"quote"})])
async def test_snapshot_on_request(autojump_clock: MockClock, snapshot: bool | None, kinds: set[str]) -> None:
    async with client() as peer:
        await peer.server.publish([quote(), trade()])  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
        await peer.ask(action="subscribe", channels=["quotes", "trades"], symbols=["*"], snapshot=snapshot)
        await peer.server.publish(trade("MSFT"))  # type: ignore[attr-defined]
        found = [await peer.message()]
        while found[-1]["symbol"] != "MSFT":
            found.append(await peer.message())
        assert {message["type"] for message in found[:-1]} == kinds


async def test_a_repeated_subscribe_is_answered_and_sends_nothing_twice(autojump_clock: MockClock) -> None:
    async with client("/stocks/live/quotes") as peer:
        await peer.server.publish(quote())  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
        await peer.ask(action="subscribe", symbols=["AAPL"])
        assert (await peer.message())["snapshot"] is True
        assert (await peer.ask(action="subscribe", symbols=["AAPL"]))["positions"] == {"quotes": {"AAPL": 1}}
        assert (await peer.ask(action="subscribe", symbols=["*"]))["total"] == 2
        await peer.server.publish(quote(n=1))  # type: ignore[attr-defined]
        assert (await peer.message())["seq"] == 2
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_unsubscribe_by_name_and_what_was_not_subscribed(autojump_clock: MockClock) -> None:
    async with client("/stocks/live/quotes") as peer:
        await peer.ask(action="subscribe", symbols=["AAPL"])
        answer = await peer.ask(action="unsubscribe", symbols=["AAPL", "MSFT"], id=2)
        assert (answer["type"], answer["symbols"], answer["total"]) == ("unsubscribed", ["AAPL"], 0)
        error = await peer.message()
        assert (error["code"], error["symbols"], error["id"]) == ("NOT_SUBSCRIBED", ["MSFT"], 2)
        await peer.server.publish(quote())  # type: ignore[attr-defined]
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_star_and_what_leaves_it_by_name(autojump_clock: MockClock) -> None:
    async with client("/crypto/live/trades") as peer:
        server = peer.server  # type: ignore[attr-defined]
        answer = await peer.ask(action="subscribe", symbols="*")
        assert (answer["symbols"], answer["total"]) == (["*"], 0)
        await server.publish([trade("AUSD"), trade("BUSD")], dataset="Crypto")  # appear later
        assert [(m["symbol"], m["seq"]) for m in await peer.messages(2)] == [("AUSD", 1), ("BUSD", 1)]
        await peer.ask(action="unsubscribe", symbols=["A-USD", "CUSD"])  # CUSD has not appeared yet: it stays out
        await server.publish([trade("AUSD"), trade("BUSD"), trade("CUSD")], dataset="Crypto")
        assert (await peer.message())["symbol"] == "BUSD"
        answer = await peer.ask(action="subscribe", symbols=["AUSD"])
        assert answer["positions"] == {"trades": {"AUSD": 2}}
        await server.publish([trade("AUSD"), trade("CUSD")], dataset="Crypto")
        assert (await peer.message())["symbol"] == "AUSD"
        assert (await peer.ask(action="subscriptions"))["subscriptions"] == [
            {"dataset": "Crypto", "assetClass": "crypto", "channel": "trades", "symbols": ["*"]}
        ]
        answer = await peer.ask(action="unsubscribe", symbols=["*"], **{"except": ["BUSD", "not a symbol"]})
        assert (answer["symbols"], answer["total"]) == (["*"], 1)
        await server.publish([trade("AUSD"), trade("BUSD"), trade("DUSD")], dataset="Crypto")
        message = await peer.message()
        assert (message["symbol"], message["seq"]) == ("BUSD", 3)  # it went on without a hole
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_unsubscribing_everything_is_answered_and_covers_all_datasets(autojump_clock: MockClock) -> None:
    async with client() as peer:
        answer = await peer.ask(action="unsubscribe", symbols=["*"], id=1)  # the clean slate of Datafye's samples
        assert (answer["type"], answer["total"], answer["id"]) == ("unsubscribed", 0, 1)
        await peer.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        await peer.ask(action="subscribe", channels=["trades"], symbols=["BTCUSD"], dataset="Crypto")
        listed = (await peer.ask(action="subscriptions", id=3))["subscriptions"]
        assert [group["symbols"] for group in listed] == [["AAPL"], ["BTCUSD"]]
        await peer.send(action="unsubscribe", symbols=["*"])
        answers = await peer.messages(2)
        assert [(a["dataset"], a["total"]) for a in answers] == [("Stocks", 1), ("Crypto", 0)]


async def test_query_parameters_subscribe_at_once(autojump_clock: MockClock) -> None:
    async with client("?channels=quotes,trades&symbols=AAPL,QQQ&dataset=Stocks&colour=red") as peer:
        answer, error = await peer.messages(2)
        assert (answer["channels"], answer["symbols"]) == (["quotes", "trades"], ["AAPL"])
        assert answer["ignored"] == ["colour"]
        assert error["code"] == "UNKNOWN_SYMBOL"
        await peer.server.publish(quote())  # type: ignore[attr-defined]
        assert (await peer.message())["seq"] == 1


async def test_a_halt_goes_to_quotes_and_trades(autojump_clock: MockClock) -> None:
    async with client() as peer:
        await peer.ask(action="subscribe", channels=["quotes", "trades"], symbols=["AAPL"])
        await peer.server.publish(Halt("AAPL", START_NS, "volatility"))  # type: ignore[attr-defined]
        found = await peer.messages(2)
        assert [message["type"] for message in found] == ["halt", "halt"]
        assert found[0] == {
            "type": "halt", "dataset": "Stocks", "assetClass": "stocks", "seq": 1, "symbol": "AAPL",
            "timestamp": START_NS, "reason": "volatility",
        }  # fmt: skip


async def test_latest_conflates_and_says_so(autojump_clock: MockClock) -> None:
    async with client("/stocks/live/quotes") as peer:
        server = peer.server  # type: ignore[attr-defined]
        await peer.ask(action="subscribe", symbols=["AAPL", "MSFT"], delivery="latest", maxRate=2)
        await server.publish([quote(n=n) for n in range(10)] + [quote("MSFT")])
        first, second = await peer.messages(2)
        assert (first["symbol"], first["seq"], first["conflated"]) == ("AAPL", 10, 9)
        assert (second["symbol"], second["seq"]) == ("MSFT", 1)
        assert "conflated" not in second
        began = trio.current_time()
        await server.publish([quote(n=n) for n in range(3)])
        third = await peer.message()
        assert (third["seq"], third["conflated"]) == (13, 2)
        assert trio.current_time() - began == pytest.approx(0.5)


async def test_messagepack(autojump_clock: MockClock) -> None:
    async with memory_server(None, [STOCKS]) as server:
        peer = await RawClient.connect(
            server, BASE + "/stocks/live/quotes", "Sec-WebSocket-Protocol: other, datafye.v1.msgpack"
        )
        opcode, payload = await peer.frame()
        assert (opcode, msgpack.unpackb(payload)["type"]) == (2, "connected")
        await peer.stream.send_all(masked(2, msgpack.packb({"action": "subscribe", "symbols": ["AAPL"]})))
        assert msgpack.unpackb((await peer.frame())[1])["type"] == "subscribed"
        await server.publish(quote())
        found = msgpack.unpackb((await peer.frame())[1])
        assert (next(iter(found)), found["bidPrice"]) == ("type", 100.0)
        await peer.stream.send_all(masked(2, b"\xc1"))
        assert msgpack.unpackb((await peer.frame())[1])["code"] == "MALFORMED_JSON"
        await peer.stream.send_all(masked(1, b"{}"))
        assert (await peer.closed())[0] == 1003
