"""Large requests in slices: others have their turn in between, and neither order nor limits suffer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from connection.kit import BASE, QUOTES, subscribed
from support import RawClient, memory_server, quote
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Channel, Program, Server, ServerConfig, default_aggregation
from datafye_trio.broker import OutboxLimits, Policy
from datafye_trio.connection.limits import RequestLimits
from datafye_trio.connection.slices import SLICE, in_slices
from datafye_trio.protocol import CloseCode, Ending

MANY = [f"S{n}" for n in range(2 * SLICE + 10)]


async def peer_of(server: Server, path: str = QUOTES) -> RawClient:
    peer = await RawClient.connect(server, path)
    await peer.message()
    return peer


async def test_each_further_slice_takes_its_turn() -> None:
    turn, done = trio.Lock(), list[Sequence[int]]()
    async with trio.open_nursery() as nursery:
        async with turn:
            nursery.start_soon(in_slices, turn, range(5), done.append, 2)
            await wait_all_tasks_blocked()
            assert done == [range(2)]
        await wait_all_tasks_blocked()
    assert done == [range(2), range(2, 4), range(4, 5)]
    await in_slices(turn, (), done.append)
    assert done[3:] == [()]


async def test_what_is_published_between_slices_is_neither_lost_nor_ahead_of_the_answer(
    autojump_clock: MockClock,
) -> None:
    async with memory_server() as server:
        peer, other = await peer_of(server), await subscribed(server, "S0")
        async with server._broker.turn:
            await peer.send(action="subscribe", symbols=MANY)
            await peer.send(action="unsubscribe", symbols=MANY)
            await peer.send(action="subscriptions")
            await wait_all_tasks_blocked()
            await server.publish([quote("S0", n) for n in range(3)])
            assert [m["seq"] for m in await other.messages(3)] == [1, 2, 3]  # in the midst of the request
        answer, snapshot = await peer.messages(2)
        assert answer["positions"]["quotes"] == {symbol: 3 if symbol == "S0" else 0 for symbol in MANY}
        assert (answer["total"], snapshot["seq"], snapshot["snapshot"]) == (len(MANY), 3, True)
        left, listed = await peer.messages(2)
        assert (left["type"], left["symbols"], left["total"]) == ("unsubscribed", MANY, 0)
        assert listed["subscriptions"] == []


async def test_a_request_that_is_cut_off_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        peer = await peer_of(server)
        async with server._broker.turn:
            await peer.send(action="subscribe", symbols=MANY)
            await wait_all_tasks_blocked()
            assert server._broker.topic_count() == SLICE
            server._reception.end_all(Ending(CloseCode.RESTART, "over"))
            assert (await peer.closed())[0] == 1012
            assert server._broker.topic_count() == 0


async def test_a_client_with_many_topics_leaves_them_in_slices(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        peer = await peer_of(server)
        await peer.ask(action="subscribe", symbols=["*"])
        await peer.ask(action="subscribe", symbols=MANY)
        peer.stream.close()
        await wait_all_tasks_blocked()
        assert server._broker.topic_count() == 0
        assert not server.is_subscribed()


async def test_snapshots_of_many_topics_come_as_they_are_read(autojump_clock: MockClock) -> None:
    """They were all put at once: a client that subscribed to more than its outbox holds was cut again and again."""
    config = ServerConfig(outbox=OutboxLimits(bytes=100_000))
    async with memory_server(config) as server:
        await server.publish([quote(symbol) for symbol in MANY])
        peer = await peer_of(server)
        answer = await peer.ask(action="subscribe", symbols=["*"])
        assert set(answer["positions"]["quotes"].values()) == {1}
        await wait_all_tasks_blocked()
        await server.publish([quote(MANY[0], 1), quote(MANY[-1], 1)])
        found: dict[str, list[tuple[int, bool]]] = {}
        for message in await peer.messages(len(MANY) + 1):
            found.setdefault(message["symbol"], []).append((message["seq"], "snapshot" in message))
        assert found.pop(MANY[0]) == [(1, True), (2, False)]
        assert found.pop(MANY[-1]) == [(2, False)]  # it was still to be shown: what is new shows where it stands
        assert list(found.values()) == [[(1, True)]] * (len(MANY) - 2)
        await server.publish(quote(MANY[-1], 2))
        assert (await peer.message())["seq"] == 3


async def test_symbols_that_nobody_has_heard_of_do_not_fill_up_a_star(autojump_clock: MockClock) -> None:
    """Each became a topic of every `*` of others, for as long as there was one: one client took it from everybody."""
    async with memory_server(ServerConfig(requests=RequestLimits(topics=3))) as server:
        everything, stranger = await subscribed(server, "*"), await subscribed(server, "X", "Y", "Z")
        for symbols in (["X", "Y", "Z"], ["*"]):
            await stranger.ask(action="unsubscribe", symbols=symbols)
            await stranger.ask(action="subscribe", symbols=["U", "V", "W"])
        assert (await everything.ask(action="subscribe", symbols=["*"]))["total"] == 0
        assert server._broker.topic_count() == 3
        await server.publish([quote(symbol) for symbol in "UVQ"])
        assert [m["symbol"] for m in await everything.messages(3)] == ["U", "V", "Q"]
        await server.publish(quote("R"))
        assert (await stranger.ask(action="subscribe", symbols=["*"]))["symbol"] == "U"  # its own
        late = await peer_of(server)
        assert (await late.ask(action="subscribe", symbols=["*"]))["code"] == "SUBSCRIPTION_LIMIT"  # four are published


async def test_what_star_keeps_is_limited_over_all_its_boards(autojump_clock: MockClock) -> None:
    """Each board had the whole limit: ten thousand symbols became 180,000 topics, in two seconds without a pause."""
    source = Program("Desk", aggregation=default_aggregation("Desk", live=True))
    async with memory_server(ServerConfig(requests=RequestLimits(topics=5)), [source]) as server:
        peer = await peer_of(server, f"{BASE}/stream")
        channels = [Channel.QUOTES, Channel.TRADES, Channel.AGGREGATES]
        await peer.ask(action="subscribe", channels=channels, symbols=["*"])
        await peer.send(action="unsubscribe", symbols=["*"], **{"except": ["A", "B"]})
        answer, error = await peer.messages(2)
        assert (answer["total"], error["code"], error["symbols"]) == (4, "SUBSCRIPTION_LIMIT", ["A", "B"])
        listed = (await peer.ask(action="subscriptions"))["subscriptions"]
        assert [(group["channel"], group["symbols"]) for group in listed] == [
            ("quotes", ["A", "B"]), ("trades", ["A", "B"]),
        ]  # fmt: skip


@pytest.mark.parametrize("policy", ["disconnect", "drop_oldest"])
async def test_many_that_are_conflated_stand_before_the_answers_that_follow(
    policy: Policy, autojump_clock: MockClock
) -> None:
    async with memory_server(ServerConfig(outbox=OutboxLimits(seconds=1.0, policy=policy))) as server:
        peer = await subscribed(server, *MANY, delivery="latest")
        await peer.ask(action="subscribe", symbols=["FIRST"])
        for symbols in (["FIRST"] * 400, MANY):  # the first are on their way: 64 KiB are
            await server.publish([quote(symbol) for symbol in symbols])
            await wait_all_tasks_blocked()
        await peer.send(action="subscriptions")
        await wait_all_tasks_blocked()
        if policy == "drop_oldest":  # a second one, and the first is held in front of what waits
            await trio.sleep(1.5)
            await peer.send(action="subscriptions")
        await peer.messages(400)
        found = await peer.messages(len(MANY) + 1)
        assert [message.get("symbol") for message in found] == [*MANY, None]
