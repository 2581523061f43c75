"""What a server has for those who test clients: its subscribers, its heartbeats, its ring."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
import trio
from support import RawClient, memory_server, quote
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    AccessConfig,
    AssetClass,
    Channel,
    EventError,
    Frequency,
    Program,
    Server,
    ServerClosedError,
    ServerConfig,
)  # fmt: skip

ALL = Program("All", AssetClass.STOCKS, tuple(Channel))
COINS = Program("Coins", AssetClass.CRYPTO, (Channel.TRADES,))


async def is_subscribed(server: Server, *question: object, **options: object) -> bool:
    with trio.move_on_after(1):
        await server.wait_subscribed(*question, **options)  # type: ignore[arg-type]
        return True
    return False


async def test_it_waits_for_a_subscription_however_it_is_spelled(autojump_clock: MockClock) -> None:
    async with memory_server(sources=[ALL, COINS]) as server:
        client = await RawClient.connect(server)
        assert not await is_subscribed(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_subscribed, Channel.QUOTES, ["aapl", "MSFT"])
            await wait_all_tasks_blocked()
            await client.send(action="subscribe", channels=["quotes"], symbols=["AAPL"])
            await wait_all_tasks_blocked()
            assert nursery.child_tasks, "one of two is not enough"
            await client.send(action="subscribe", channels=["quotes"], symbols=["msft"])
        assert await is_subscribed(server)
        assert await is_subscribed(server, None, "AAPL", dataset="All")
        assert not await is_subscribed(server, Channel.TRADES)
        assert not await is_subscribed(server, dataset="Coins")
        assert not await is_subscribed(server, Channel.QUOTES, "*")
        await client.send(action="subscribe", channels=["trades"], symbols="*", dataset="Coins")
        assert await is_subscribed(server, Channel.TRADES, ["btc/usd", "X:ETH-USD"])
        assert await is_subscribed(server, Channel.TRADES, "*", dataset="Coins")


async def test_it_tells_frequencies_apart(autojump_clock: MockClock) -> None:
    async with memory_server(sources=[ALL]) as server:
        client = await RawClient.connect(server)
        await client.send(action="subscribe", channels=["bars"], symbols=["AAPL"], frequency="Second")
        assert await is_subscribed(server, Channel.AGGREGATES, "AAPL", frequency=Frequency.SECOND)
        assert not await is_subscribed(server, Channel.AGGREGATES, "AAPL", frequency=Frequency.MINUTE)


async def test_a_wait_that_makes_no_sense_or_has_no_end(autojump_clock: MockClock) -> None:
    ended: list[ServerClosedError] = []
    async with trio.open_nursery() as nursery, memory_server() as server:
        with pytest.raises(EventError, match="unknown dataset 'None'"):
            await server.wait_subscribed(dataset="None")
        with pytest.raises(ValueError, match="no symbol"):
            await server.wait_subscribed(symbols=["a b"])

        async def wait() -> None:
            try:
                await server.wait_subscribed(Channel.TRADES)
            except ServerClosedError as error:
                ended.append(error)

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
    assert len(ended) == 1
    with pytest.raises(ServerClosedError):
        server.publisher()


async def test_a_publisher_is_bound_to_its_dataset(autojump_clock: MockClock) -> None:
    async with memory_server(sources=[COINS, ALL]) as server:
        client = await RawClient.connect(server)
        await client.send(action="subscribe", channels=["quotes"], symbols=["AAPL"], dataset="All")
        await client.messages(2)
        await server.publisher("All").publish(quote())
        await server.publisher("All").room()
        assert (await client.message())["type"] == "quote"
        with pytest.raises(EventError, match="Coins"):
            await server.publisher().publish(quote())


async def test_without_heartbeats_nobody_is_cut_for_their_sake(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        mute, other = [await RawClient.connect(server) for _ in range(2)]
        await mute.message()
        name = (await other.message())["connectionId"]
        assert (await other.message())["type"] == (await mute.message())["type"] == "heartbeat"
        server.set_beating(lambda connection: connection == name)
        assert (await other.closed())[0] == 4009
        assert trio.current_time() == 40
        await trio.sleep(65)
        server.set_beating(lambda _: True)
        assert (await mute.message())["type"] == "heartbeat"
        assert trio.current_time() == 110, "on the grid as before"
        assert (await mute.closed())[0] == 4009
        assert trio.current_time() == 140


async def test_heartbeats_may_be_early(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        server.set_beating(lambda _: True, early=0.25)
        client = await RawClient.connect(server)
        assert [message["type"] for message in await client.messages(2)] == ["connected", "heartbeat"]
        assert trio.current_time() == 9.75
        assert (await client.closed())[0] == 4009
        assert trio.current_time() == 39.75


async def test_a_lost_ring_is_a_gap_for_whoever_lacks_something(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        await server.publish([quote(n=n) for n in range(3)])
        await wait_all_tasks_blocked()
        server.lose_ring()
        await server.publish(quote(n=3))
        for after, types in ((2, ["gap", "quote"]), (3, ["quote"])):
            client = await RawClient.connect(server)
            await client.message()
            resume = {"epoch": "epoch-1", "positions": {"AAPL": after}}
            await client.send(action="subscribe", channels=["quotes"], symbols=["AAPL"], resume=resume)
            found = [await client.message() for _ in range(1 + len(types))]
            assert [message["type"] for message in found] == ["subscribed", *types]
            assert [message["seq"] for message in found if message["type"] == "quote"] == [4]
            assert [(one["reason"], one["from"], one["to"]) for one in found if one["type"] == "gap"] in (
                [],
                [("expired", 3, 4)],
            )


async def test_a_connection_in_memory_may_have_any_address(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(access=AccessConfig(deny=("192.0.2.0/24",)))) as server:
        client = RawClient(server.connect(ip_address("192.0.2.7")))
        assert (await client.http_answer())[0] == 403
