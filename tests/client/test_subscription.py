"""Subscriptions over a server in memory: entering, refusals, sharing, live changes, leaving, cancelling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from client.served import dialing, served, take, topics
from support import memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    Channel,
    ConfigurationError,
    FeedClosedError,
    FeedItem,
    Program,
    Quote,
    SubscriptionError,
    Trade,
    WireFeed,
    open_raw_feed,
)  # fmt: skip


async def test_events_come_typed_and_in_order(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.subscribe(["quotes", "trades"], ["aapl", "MSFT"]) as sub:
        assert sub.symbols == ("AAPL", "MSFT")
        sent = [make(symbol, n) for n in range(50) for make in (quote, trade) for symbol in ("AAPL", "MSFT")]
        await server.publish(sent)
        assert await take(sub, 200) == sent


async def test_a_str_is_one_symbol(autojump_clock: MockClock) -> None:
    async with served() as (_, feed), feed.trades("AAPL") as sub:
        assert sub.symbols == ("AAPL",)


async def test_events_show_their_time_as_an_aware_datetime() -> None:
    assert quote(n=1_500).time.isoformat() == "2023-11-14T22:13:20.000001+00:00"


async def test_two_subscriptions_to_one_topic_cost_one_on_the_wire(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        async with feed.trades(["AAPL", "MSFT"]) as one:
            assert topics(server) == 2
            async with feed.trades("AAPL") as other:
                assert topics(server) == 2
                await server.publish(trade("AAPL", 1))
                assert await take(one, 1) == await take(other, 1) == [trade("AAPL", 1)]
            await wait_all_tasks_blocked()
            assert topics(server) == 2
            await server.publish(trade("AAPL", 2))
            assert await take(one, 1) == [trade("AAPL", 2)]
        await wait_all_tasks_blocked()
        assert topics(server) == 0


async def test_symbols_come_and_go_while_it_runs(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("AAPL") as sub:
        await sub.add(["MSFT", "aapl"])
        assert sub.symbols == ("AAPL", "MSFT")
        await server.publish([trade("MSFT", 1), trade("AAPL", 1)])
        assert await take(sub, 2) == [trade("MSFT", 1), trade("AAPL", 1)]
        await sub.remove("AAPL")
        await wait_all_tasks_blocked()
        assert topics(server) == 1
        await server.publish([trade("AAPL", 2), trade("MSFT", 2)])
        assert await take(sub, 1) == [trade("MSFT", 2)]


async def test_every_symbol_also_those_that_appear_later(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        await server.publish(trade("OLD", 1))
        async with feed.trades("*") as sub:
            await server.publish([trade("OLD", 2), trade("NEW", 1)])
            assert await take(sub, 2) == [trade("OLD", 2), trade("NEW", 1)]
            assert sub.symbols == ("*",)
            async with feed.trades("OLD") as named:
                await server.publish(trade("OLD", 3))
                assert await take(sub, 1) == await take(named, 1)


async def test_a_named_symbol_goes_on_when_the_star_leaves(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("A") as named:
        async with feed.trades("*"):
            await server.publish([trade("A", 1), trade("B", 1)])
        await server.publish(trade("A", 2))
        await wait_all_tasks_blocked()
        await server.publish(trade("A", 3))
        assert await take(named, 3) == [trade("A", n) for n in (1, 2, 3)]
        assert topics(server) == 1


async def test_a_refusal_is_raised_on_entering(autojump_clock: MockClock) -> None:
    async with served(sources=[Program(symbols=frozenset({"AAPL"}))]) as (server, feed):
        for wrong, code in (
            (feed.trades(["AAPL", "QQQ", "SPY"]), "UNKNOWN_SYMBOL"),
            (feed.bars("AAPL"), "CHANNEL_NOT_AVAILABLE"),
            (feed.trades("AAPL", dataset="SIP"), "UNKNOWN_DATASET"),
            (feed.trades("AAPL", asset_class="crypto"), "UNKNOWN_DATASET"),
            (feed.trades(["AAPL", "A B"]), "UNKNOWN_SYMBOL"),
        ):
            with pytest.raises(SubscriptionError) as caught:
                async with wrong:
                    pass
            assert caught.value.code == code
        assert caught.value.symbols == ("A B",)
        await wait_all_tasks_blocked()
        assert topics(server) == 0


async def test_partial_takes_what_it_gets(autojump_clock: MockClock) -> None:
    async with served(sources=[Program(symbols=frozenset({"AAPL"}))]) as (server, feed):
        async with feed.trades(["AAPL", "QQQ", "A B"], partial=True) as sub:
            assert sorted(one.symbols for one in sub.rejected) == [("A B",), ("QQQ",)]
            assert sub.symbols == ("AAPL",)
            await server.publish(trade("AAPL", 1))
            assert await take(sub, 1) == [trade("AAPL", 1)]
        with pytest.raises(SubscriptionError):
            async with feed.trades(["QQQ"], partial=True):
                pass


async def test_adding_a_wrong_symbol_raises_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with served(sources=[Program(symbols=frozenset({"AAPL"}))]) as (server, feed), feed.trades("AAPL") as sub:
        for wrong in ("QQQ", "A B"):
            with pytest.raises(SubscriptionError, match=wrong):
                await sub.add(wrong)
        await server.publish(trade("AAPL", 1))
        assert await take(sub, 1) == [trade("AAPL", 1)]
        assert not sub.rejected


@pytest.mark.parametrize("ask", [
    lambda feed: feed.subscribe("nonsense", "AAPL"), lambda feed: feed.subscribe([], "AAPL"),
    lambda feed: feed.trades([]), lambda feed: feed.bars("AAPL", frequency="2m"),
    lambda feed: feed.trades("AAPL", policy="hope"), lambda feed: feed.trades("AAPL", buffer=0),
    lambda feed: feed.trades([1]), lambda feed: feed.trades("AAPL", asset_class="bonds"),
])  # fmt: skip
async def test_nonsense_is_refused_at_the_call(
    autojump_clock: MockClock, ask: Callable[[WireFeed[FeedItem]], object]
) -> None:
    async with served() as (_, feed):
        with pytest.raises(ConfigurationError):
            ask(feed)
        with pytest.raises(TypeError, match="unknown option 'bufer'"):
            feed.trades("AAPL", bufer=3)  # type: ignore[call-arg]


async def test_the_newest_quote_comes_first_unless_it_is_not_wanted(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        await server.publish([quote("AAPL", 1), trade("AAPL", 1)])
        await wait_all_tasks_blocked()
        async with feed.subscribe(["quotes", "trades"], "AAPL") as sub:
            assert await take(sub, 1) == [quote("AAPL", 1)]
            async with feed.quotes("AAPL") as second, feed.quotes("AAPL", snapshot=False) as third:
                assert await take(second, 1) == [quote("AAPL", 1)]  # of what this feed has
                await server.publish(quote("AAPL", 2))
                assert await take(third, 1) == await take(second, 1) == await take(sub, 1) == [quote("AAPL", 2)]
        for entry in feed.ledger().values():
            assert entry.received == 0 or entry.last == entry.begin + entry.received


async def test_many_at_once(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("A") as sub:
        await server.publish([trade("A", n) for n in range(1_000)])
        await server.publish([trade("A", n) for n in range(1_000, 1_500)])
        got: list[FeedItem] = []
        while len(got) < 1_500:
            many = await sub.receive_many()
            assert 1 <= len(many) <= 2_048
            got += many
        assert got == [trade("A", n) for n in range(1_500)]
        assert sub.statistics().delivered == 1_500


async def test_raw_feeds_give_the_servers_own_fields(autojump_clock: MockClock) -> None:
    async with memory_server() as server, open_raw_feed("ws://test", dialing(server)) as feed, feed.trades("A") as sub:
        await server.publish(trade("A", 1))
        (fields,) = await take(sub, 1)
        assert fields["type"] == "trade"
        assert (fields["seq"], fields["tradePrice"]) == (1, 100.01)


async def test_an_iterator_ends_with_its_subscription(autojump_clock: MockClock) -> None:
    async with served() as (_, feed):
        async with feed.trades("A") as sub:
            pass
        with pytest.raises(FeedClosedError, match="subscription is closed"):
            await anext(sub)
        with pytest.raises(FeedClosedError):
            await sub.add("B")
    late = feed.trades("A")
    with pytest.raises(FeedClosedError, match="feed is closed"):
        async with late:
            pass


async def test_what_the_body_raises_leaves_bare(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with served() as (_, feed), feed.trades("A"):
            raise KeyError("mine")


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_leaves_nothing_behind(autojump_clock: MockClock, steps: int) -> None:
    async with served() as (server, feed):
        async with feed.trades("KEPT") as kept:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def cancel_soon() -> None:
                        for _ in range(steps):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(cancel_soon)
                    async with feed.trades(["A", "B"]) as sub:
                        await sub.add("C")
                        await anext(sub)
            await wait_all_tasks_blocked()
            assert topics(server) == 1
            await server.publish(trade("KEPT", 1))
            assert await take(kept, 1) == [trade("KEPT", 1)]
            assert len(feed._hub.book.sinks) == 1
        assert not feed._hub.book.sinks


async def test_a_cancelled_read_has_taken_nothing(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("A") as sub:
        for n in range(200):
            with trio.move_on_after(0.01):
                await anext(sub)
            await server.publish(trade("A", n))
            with trio.CancelScope() as scope:
                scope.cancel()
                await sub.receive_many()
            assert scope.cancelled_caught
            assert await take(sub, 1) == [trade("A", n)]


async def test_a_feed_of_two_servers_in_one_process(autojump_clock: MockClock) -> None:
    async with (
        served(sources=[Program("One")]) as (one, first),
        served(sources=[Program("Two")]) as (two, second),
        first.trades("A") as left,
        second.quotes("A", snapshot=False) as right,
    ):
        await one.publish(trade("A", 1))
        await two.publish(quote("A", 2))
        assert isinstance((await take(left, 1))[0], Trade)
        assert isinstance((await take(right, 1))[0], Quote)
        assert next(iter(first.ledger())).channel is Channel.TRADES
