"""Subscriptions as a client sees them: positions, snapshots, `*`, conflation, MessagePack."""

from __future__ import annotations

import msgpack
import pytest
import trio
from connection.kit import BASE, STOCKS, client
from support import START_NS, RawClient, masked, memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Halt


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
        await peer.server.publish([quote(n=1), quote(n=2), trade(n=3)])
        await wait_all_tasks_blocked()
        answer = await peer.ask(action="subscribe", channels=["quotes", "trades"], symbols=["AAPL"])
        assert answer["positions"] == {"quotes": {"AAPL": 2}, "trades": {"AAPL": 1}}
        snapshot = await peer.message()
        assert (snapshot["type"], snapshot["seq"], snapshot["snapshot"]) == ("quote", 2, True)
        await peer.server.publish([quote(n=3), trade(n=4)])
        assert [(m["type"], m["seq"], m.get("snapshot")) for m in await peer.messages(2)] == [
            ("quote", 3, None), ("trade", 2, None),
        ]  # fmt: skip


@pytest.mark.parametrize(("snapshot", "kinds"), [(True, {"quote", "trade"}), (False, set()), (None, {"quote"})])
async def test_snapshot_on_request(autojump_clock: MockClock, snapshot: bool | None, kinds: set[str]) -> None:
    async with client() as peer:
        await peer.server.publish([quote(), trade()])
        await wait_all_tasks_blocked()
        await peer.ask(action="subscribe", channels=["quotes", "trades"], symbols=["*"], snapshot=snapshot)
        await peer.server.publish(trade("MSFT"))
        found = [await peer.message()]
        while found[-1]["symbol"] != "MSFT":
            found.append(await peer.message())
        assert {message["type"] for message in found[:-1]} == kinds


async def test_a_repeated_subscribe_is_answered_and_sends_nothing_twice(autojump_clock: MockClock) -> None:
    async with client("/stocks/live/quotes") as peer:
        await peer.server.publish(quote())
        await wait_all_tasks_blocked()
        await peer.ask(action="subscribe", symbols=["AAPL"])
        assert (await peer.message())["snapshot"] is True
        assert (await peer.ask(action="subscribe", symbols=["AAPL"]))["positions"] == {"quotes": {"AAPL": 1}}
        assert (await peer.ask(action="subscribe", symbols=["*"]))["total"] == 2
        await peer.server.publish(quote(n=1))
        assert (await peer.message())["seq"] == 2
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_unsubscribe_by_name_and_what_was_not_subscribed(autojump_clock: MockClock) -> None:
    async with client("/stocks/live/quotes") as peer:
        await peer.ask(action="subscribe", symbols=["AAPL"])
        answer = await peer.ask(action="unsubscribe", symbols=["AAPL", "MSFT"], id=2)
        assert (answer["type"], answer["symbols"], answer["total"]) == ("unsubscribed", ["AAPL"], 0)
        error = await peer.message()
        assert (error["code"], error["symbols"], error["id"]) == ("NOT_SUBSCRIBED", ["MSFT"], 2)
        await peer.server.publish(quote())
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_star_and_what_leaves_it_by_name(autojump_clock: MockClock) -> None:
    async with client("/crypto/live/trades") as peer:
        server = peer.server
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
        answer = await peer.ask(action="unsubscribe", symbols=["*"], channels=["quotes"])
        assert (answer["dataset"], answer["total"]) == ("Stocks", 2)  # and no error for crypto, which has no quotes
        await peer.send(action="unsubscribe", symbols=["*"])
        answers = await peer.messages(2)
        assert [(a["dataset"], a["total"]) for a in answers] == [("Stocks", 1), ("Crypto", 0)]


async def test_unsubscribing_everything_of_an_asset_class_leaves_the_other_alone(autojump_clock: MockClock) -> None:
    async with client() as peer:
        await peer.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        await peer.ask(action="subscribe", channels=["trades"], symbols=["BTCUSD"], dataset="Crypto")
        answer = await peer.ask(action="unsubscribe", symbols=["*"], assetClass="crypto")
        assert (answer["dataset"], answer["total"]) == ("Crypto", 1)
        await peer.server.publish(trade())
        assert (await peer.message())["symbol"] == "AAPL"


async def test_query_parameters_subscribe_at_once(autojump_clock: MockClock) -> None:
    async with client("?channels=quotes,trades&symbols=AAPL,QQQ&dataset=Stocks&colour=red") as peer:
        answer, error = await peer.messages(2)
        assert (answer["channels"], answer["symbols"]) == (["quotes", "trades"], ["AAPL"])
        assert answer["ignored"] == ["colour"]
        assert error["code"] == "UNKNOWN_SYMBOL"
        await peer.server.publish(quote())
        assert (await peer.message())["seq"] == 1


async def test_a_halt_goes_to_quotes_and_trades(autojump_clock: MockClock) -> None:
    async with client() as peer:
        await peer.ask(action="subscribe", channels=["quotes", "trades"], symbols=["AAPL"])
        await peer.server.publish(Halt("AAPL", START_NS, "volatility"))
        found = await peer.messages(2)
        assert [(message["type"], message["channel"]) for message in found] == [("halt", "quotes"), ("halt", "trades")]
        assert found[0] == {
            "type": "halt", "dataset": "Stocks", "assetClass": "stocks", "seq": 1, "symbol": "AAPL",
            "timestamp": START_NS, "reason": "volatility", "channel": "quotes",
        }  # fmt: skip


async def test_latest_conflates_and_says_so(autojump_clock: MockClock) -> None:
    async with client("/stocks/live/quotes") as peer:
        server = peer.server
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
