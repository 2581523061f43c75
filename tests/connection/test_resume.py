"""Resume as a client sees it: what it missed in order, or one exact gap; then live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
import trio
from connection.kit import BASE, QUOTES, STOCKS, Peer
from support import RawClient, masked, memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Halt, Server, ServerConfig
from datafye_trio.broker import RingLimits

SMALL = ServerConfig(ring=RingLimits(seconds=0.001, messages=3))
EPOCH = "epoch-1"


async def connect(server: Server, path: str = QUOTES, *headers: str) -> Peer:
    peer = await Peer.connect(server, path, *headers)
    assert (await peer.message())["type"] == "connected"
    return peer


@asynccontextmanager
async def closed_list(config: ServerConfig | None = None) -> AsyncIterator[tuple[Server, Peer]]:
    """A server of AAPL and MSFT, and a client on the path of quotes."""
    async with memory_server(config, [STOCKS]) as server:
        yield server, await connect(server)


async def publish(server: Server, symbols: str, first: int = 1) -> None:
    """A quote of each symbol, one pass each."""
    for n, symbol in enumerate(symbols.split(), first):
        await server.publish(quote(symbol, n))
        await trio.sleep(0.01)


async def resume(peer: RawClient, *symbols: str, epoch: str = EPOCH, **fields: Any) -> dict[str, Any]:
    """Resume symbols of a single-channel path; `positions` among the fields."""
    positions = fields.pop("positions")
    return await peer.ask(
        action="subscribe", symbols=list(symbols), resume={"epoch": epoch, "positions": positions}, **fields
    )


async def rest(peer: RawClient) -> list[dict[str, Any]]:
    """All that came so far."""
    await wait_all_tasks_blocked()
    await peer.send(action="ping")
    return (await peer.until("pong"))[:-1]


def brief(messages: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """(symbol, seq), with what is special after it; a gap as (symbol, reason, from, to)."""
    found: list[tuple[Any, ...]] = []
    for message in messages:
        if message["type"] == "gap":
            found.append((message["symbol"], message["reason"], message.get("from"), message.get("to")))
        else:
            special = [name for name in ("snapshot", "conflated") if name in message]
            found.append((message["symbol"], message["seq"], *special))
    return found


async def test_what_was_missed_comes_in_order_then_live(autojump_clock: MockClock) -> None:
    async with closed_list() as (server, peer):
        await publish(server, "AAPL MSFT AAPL AAPL MSFT")
        answer = await resume(peer, "aapl", "MSFT", positions={"aapl": 1, "MSFT": 2, "QQQ": 7})
        assert answer == {
            "type": "subscribed", "dataset": "Stocks", "assetClass": "stocks", "channels": ["quotes"],
            "symbols": ["AAPL", "MSFT"], "epoch": EPOCH, "total": 2,
        }  # fmt: skip
        await publish(server, "MSFT AAPL")
        assert brief(await rest(peer)) == [("AAPL", 2), ("AAPL", 3), ("MSFT", 3), ("AAPL", 4)]


async def test_a_topic_without_the_past_asked_for_gets_one_gap_and_where_it_stands(autojump_clock: MockClock) -> None:
    async with closed_list(SMALL) as (server, peer):
        await publish(server, "AAPL AAPL AAPL AAPL AAPL")
        await resume(peer, "AAPL", positions={"AAPL": 1}, snapshot=False)
        await publish(server, "AAPL")
        found = await rest(peer)
        assert found[0] == {
            "type": "gap", "dataset": "Stocks", "assetClass": "stocks", "channel": "quotes", "symbol": "AAPL",
            "epoch": EPOCH, "reason": "expired", "from": 2, "to": 5,
        }  # fmt: skip
        assert brief(found[1:]) == [("AAPL", 5, "snapshot"), ("AAPL", 6)]


async def test_the_last_position_that_the_ring_reaches(autojump_clock: MockClock) -> None:
    async with closed_list(SMALL) as (server, peer):
        await publish(server, "AAPL AAPL AAPL AAPL AAPL")
        await resume(peer, "AAPL", positions={"AAPL": 2})
        assert brief(await rest(peer)) == [("AAPL", 3), ("AAPL", 4), ("AAPL", 5)]


@pytest.mark.parametrize(("epoch", "position"), [("older", 1), ("older", 2), (EPOCH, 3)])
async def test_numbers_of_another_life(autojump_clock: MockClock, epoch: str, position: int) -> None:
    async with closed_list() as (server, peer):
        await publish(server, "AAPL AAPL")
        await resume(peer, "AAPL", "MSFT", epoch=epoch, positions={"AAPL": position, "MSFT": position})
        await publish(server, "AAPL MSFT")
        found = await rest(peer)
        assert brief(found) == [
            ("AAPL", "epoch_changed", None, None), ("AAPL", 2, "snapshot"), ("MSFT", "epoch_changed", None, None),
            ("AAPL", 3), ("MSFT", 1),
        ]  # fmt: skip
        assert {message["epoch"] for message in found if message["type"] == "gap"} == {EPOCH}


async def test_at_the_head_nothing_is_missing(autojump_clock: MockClock) -> None:
    async with closed_list() as (server, peer):
        await publish(server, "AAPL AAPL")
        await resume(peer, "AAPL", "MSFT", positions={"AAPL": 2, "MSFT": 0})
        await publish(server, "AAPL MSFT")
        assert brief(await rest(peer)) == [("AAPL", 3), ("MSFT", 1)]


@pytest.mark.parametrize("snapshot", [None, False])
async def test_a_symbol_without_a_position_is_subscribed_afresh(
    autojump_clock: MockClock, snapshot: bool | None
) -> None:
    async with closed_list() as (server, peer):
        await publish(server, "AAPL MSFT MSFT")
        answer = await resume(peer, "AAPL", "MSFT", positions={"AAPL": 0}, snapshot=snapshot)
        assert "positions" not in answer
        await publish(server, "MSFT")
        seen = [("MSFT", 2, "snapshot")] if snapshot is None else []
        assert brief(await rest(peer)) == [("AAPL", 1), *seen, ("MSFT", 3)]


async def test_star_resumes_all_and_leaves_alone_what_earlier_requests_did(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        await publish(server, "A B C A B C A")
        peer = await connect(server)
        await resume(peer, "A", positions={"A": 2})
        assert brief(await rest(peer)) == [("A", 3)]
        answer = await resume(peer, "*", positions={"B": 1})
        assert (answer["symbols"], answer["total"]) == (["*"], 3)
        await publish(server, "A B C NEW")
        assert brief(await rest(peer)) == [
            ("B", 2), ("C", 1), ("C", 2), ("A", 4), ("B", 3), ("C", 3), ("NEW", 1),
        ]  # fmt: skip


async def test_star_after_a_change_of_epoch(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        await publish(server, "A A B")
        await server.publish(trade("QUIET"))
        peer = await connect(server)
        await peer.ask(action="subscribe", symbols=["QUIET"])  # makes a topic, but no symbol of the dataset
        other = await connect(server)
        answer = await resume(other, "*", epoch="older", positions={"A": 9, "GONE": 4, "EMPTY": 0, "not a symbol": 1})
        assert answer["total"] == 3
        assert brief(await rest(other)) == [
            ("A", "epoch_changed", None, None), ("A", 2, "snapshot"), ("B", "epoch_changed", None, None),
            ("B", 1, "snapshot"), ("GONE", "epoch_changed", None, None),
        ]  # fmt: skip
        await publish(server, "GONE QUIET")
        assert brief(await rest(other)) == [("GONE", 1), ("QUIET", 1)]


async def test_star_makes_no_topics_beside_a_closed_list(autojump_clock: MockClock) -> None:
    async with closed_list() as (_, peer):
        answer = await resume(peer, "*", epoch="older", positions={"QQQ": 5})
        assert answer["total"] == 2
        assert await rest(peer) == []


async def test_what_is_subscribed_is_not_resumed_again(autojump_clock: MockClock) -> None:
    async with closed_list() as (server, peer):
        await publish(server, "AAPL AAPL")
        await peer.ask(action="subscribe", symbols=["AAPL"], snapshot=False)
        await resume(peer, "AAPL", positions={"AAPL": 0})
        await publish(server, "AAPL")
        assert brief(await rest(peer)) == [("AAPL", 3)]


async def test_latest_gets_the_newest_with_the_number_of_those_it_stands_for(autojump_clock: MockClock) -> None:
    async with closed_list(SMALL) as (server, peer):
        await publish(server, "AAPL AAPL AAPL AAPL AAPL")
        await resume(peer, "AAPL", positions={"AAPL": 1}, delivery="latest")
        [message] = await rest(peer)
        assert (message["seq"], message["conflated"]) == (5, 3)
        await publish(server, "AAPL")
        assert brief(await rest(peer)) == [("AAPL", 6)]


async def test_a_symbol_of_an_older_epoch_is_told_of_under_a_star_too(autojump_clock: MockClock) -> None:
    """The `*` joined the topic as it was made: it was taken for one that was there already."""
    async with memory_server() as server:
        peer = await connect(server)
        await peer.ask(action="subscribe", symbols=["*"])
        await resume(peer, "GONE", epoch="before", positions={"GONE": 7})
        assert brief(await rest(peer)) == [("GONE", "epoch_changed", None, None)]
        await publish(server, "GONE")
        assert brief(await rest(peer)) == [("GONE", 1)]


async def test_a_client_of_messagepack_gets_the_same(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        packed = await Peer.connect(server, QUOTES, "Sec-WebSocket-Protocol: datafye.v1.msgpack")
        assert msgpack.unpackb((await packed.frame())[1])["type"] == "connected"
        request = {"action": "subscribe", "symbols": ["AAPL"]}
        past = request | {"resume": {"epoch": EPOCH, "positions": {"AAPL": 0}}}
        live = await Peer.connect(server, QUOTES, "Sec-WebSocket-Protocol: datafye.v1.msgpack")
        await live.frame()
        await live.stream.send_all(masked(2, msgpack.packb(request)))
        assert msgpack.unpackb((await live.frame())[1])["type"] == "subscribed"
        await server.publish([quote("AAPL", 1), Halt("AAPL", 5, "x" * 200), Halt("AAPL", 6, "x" * 65_536)])
        await wait_all_tasks_blocked()
        await packed.stream.send_all(masked(2, msgpack.packb(past)))
        assert msgpack.unpackb((await packed.frame())[1])["type"] == "subscribed"
        for _ in range(3):
            # As messages: the head of a map of twelve may have one byte or three.
            assert msgpack.unpackb((await packed.frame())[1]) == msgpack.unpackb((await live.frame())[1])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"channels": ["quotes", "trades"], "positions": {}}, "INVALID_MESSAGE", "resume"),
        ({"channels": ["quotes"], "positions": {"AAPL": -1}}, "INVALID_MESSAGE", "resume.positions"),
        ({"channels": ["quotes"], "positions": {"AAPL": 1, "aapl": 1}}, "INVALID_MESSAGE", "resume.positions"),
        ({"channels": ["sma"], "positions": {"AAPL": 1}}, "CHANNEL_NOT_AVAILABLE", "channels"),
    ],
)
async def test_refusals(autojump_clock: MockClock, fields: dict[str, Any], code: str, field: str) -> None:
    async with memory_server(None, [STOCKS]) as server:
        peer = await connect(server, BASE)
        answer = await resume(peer, "AAPL", "*", **fields)
        assert (answer["code"], answer["field"]) == (code, field)
        assert (await peer.ask(action="subscriptions"))["subscriptions"] == []
