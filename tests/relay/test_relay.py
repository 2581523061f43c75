"""A relay: positions are kept, nothing is lost or repeated in silence, whatever restarts."""

from __future__ import annotations

from contextlib import AsyncExitStack

import trio
from relay.kit import RawClient, Upstream, feed_of, relaying, subscriptions, take
from support import quote, trade

from datafye_trio.model import Gap, Trade
from datafye_trio.relay import RelayConfig


def numbers(items: list[Trade]) -> list[int]:
    return [int(item.trade_id or 0) for item in items]


async def test_one_subscription_upstream_serves_many_clients(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with relaying(up) as relay, AsyncExitStack() as stack:
        feeds = [await stack.enter_async_context(feed_of(relay)) for _ in range(3)]
        subs = [await stack.enter_async_context(feed.trades("AAPL")) for feed in feeds]
        assert subscriptions(server) == {"trades:AAPL": 1}
        await server.publish([trade("AAPL", 1), trade("MSFT", 1), trade("AAPL", 2)])
        for sub in subs:
            assert numbers(await take(sub, 2)) == [1, 2]
    await up.stop()


async def test_a_topic_keeps_its_numbers(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    await server.publish([trade("AAPL", n) for n in range(1, 51)])
    await server.publish(quote("AAPL", 1))
    async with relaying(up) as relay:
        client = await RawClient.connect(relay)
        greeting = await client.message()
        assert greeting["datasets"][0]["epoch"] == "first"
        answer = await client.ask(action="subscribe", channels=["trades", "quotes"], symbols=["AAPL"], id=7)
        assert answer["positions"] == {"trades": {"AAPL": 50}, "quotes": {"AAPL": 1}}
        assert (answer["epoch"], answer["id"]) == ("first", 7)
        snapshot = await client.message()
        assert (snapshot["type"], snapshot["seq"], snapshot["snapshot"]) == ("quote", 1, True)
        await server.publish(trade("AAPL", 51))
        event = await client.message()
        assert (event["seq"], event["tradeID"]) == (51, "51")
        await client.close()
    await up.stop()


async def test_what_nobody_wants_any_more_is_left_after_a_while(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start()
    quick = RelayConfig(linger=10, check=1)
    async with relaying(up, relay=quick) as relay, feed_of(relay) as feed, feed.trades(["AAPL", "MSFT"]) as sub:
        await sub.remove("AAPL")
        await trio.sleep(5)
        assert subscriptions(server) == {"trades:AAPL": 1, "trades:MSFT": 1}
        await trio.sleep(7)
        assert subscriptions(server) == {"trades:MSFT": 1}
        await server.publish([trade("AAPL", 1), trade("MSFT", 1)])
        await sub.add("AAPL")
        await server.publish([trade("AAPL", 2)])
        assert numbers(await take(sub, 2)) == [1, 2]
    await up.stop()


async def test_every_symbol(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    await server.publish([trade("AAPL", 1), trade("MSFT", 1)])
    quick = RelayConfig(linger=10, check=1)
    async with relaying(up, relay=quick) as relay, feed_of(relay) as feed, feed.trades("MSFT") as named:
        async with feed_of(relay) as other, other.trades("*") as everything:
            assert subscriptions(server)["trades:*"] == 1
            await server.publish([trade("AAPL", 2), trade("NEW", 1), trade("MSFT", 2)])
            found = await take(everything, 3)
            assert [(item.symbol, item.trade_id) for item in found] == [("AAPL", "2"), ("NEW", "1"), ("MSFT", "2")]
            assert numbers(await take(named, 1)) == [2]
        await trio.sleep(20)
        assert subscriptions(server) == {"trades:MSFT": 1}
        await server.publish([trade("MSFT", 3)])
        assert numbers(await take(named, 1)) == [3]
        assert not named.statistics().gaps
    await up.stop()


async def test_a_cut_upstream_loses_nothing(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades(["AAPL", "MSFT"]) as sub:
        for n in range(1, 11):
            await server.publish([trade("AAPL", n), trade("MSFT", n)])
            await up.cut()
            await trio.sleep(0.1)
        items = await take(sub, 20)
        assert numbers([item for item in items if item.symbol == "AAPL"]) == list(range(1, 11))
        assert numbers([item for item in items if item.symbol == "MSFT"]) == list(range(1, 11))
    await up.stop()


async def test_a_new_numbering_upstream_is_told(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades(["AAPL", "MSFT"]) as sub:
        await server.publish([trade("AAPL", 1), trade("MSFT", 1)])
        await take(sub, 2)
        await up.stop()
        server = await up.start("second")
        await trio.sleep(60)  # longer than any wait before the next attempt
        assert subscriptions(server) == {"trades:AAPL": 1, "trades:MSFT": 1}
        await server.publish([trade("AAPL", 7)])
        items = await take(sub, 3)
        gaps = [item for item in items if isinstance(item, Gap)]
        assert {gap.topic.symbol: (gap.epoch, gap.first, gap.reason) for gap in gaps} == {
            "AAPL": ("second", None, "epoch_changed"),
            "MSFT": ("second", None, "epoch_changed"),
        }
        assert numbers([item for item in items if isinstance(item, Trade)]) == [7]
        client = await RawClient.connect(relay)
        assert (await client.message())["datasets"][0]["epoch"] == "second"
        await client.close()
    await up.stop()


async def test_a_restarted_relay_loses_nothing_that_the_server_still_holds(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start()
    await server.publish([trade("AAPL", n) for n in range(1, 101)])
    async with relaying(up) as relay:
        clients = [await RawClient.connect(relay) for _ in range(2)]
        for client, place in zip(clients, (40, 20), strict=True):
            await client.message()
            await client.send(
                action="subscribe",
                channels=["trades"],
                symbols=["AAPL"],
                resume={"epoch": "first", "positions": {"AAPL": place}},
            )
        for client, place in zip(clients, (40, 20), strict=True):
            answer, *events = await client.messages(101 - place)
            assert answer["type"] == "subscribed"
            assert [event["seq"] for event in events] == list(range(place + 1, 101))
        await server.publish(trade("AAPL", 101))
        for client in clients:
            assert (await client.message())["seq"] == 101
            await client.close()
    await up.stop()
