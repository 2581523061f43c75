"""What a tired program does with a feed: each slip is one sentence that says what to do, and none of them waits."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from client.test_subscription import dialing, served, take, topics
from support import memory_server, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    ConfigurationError,
    FeedClosedError,
    FeedItem,
    Program,
    Subscription,
    SubscriptionError,
    WireFeed,
    open_feed,
)  # fmt: skip

KNOWN = [Program(symbols=frozenset({"A", "B", "C"}))]


@pytest.mark.parametrize("use", [
    lambda sub: anext(sub), lambda sub: sub.receive_many(), lambda sub: sub.add("B"), lambda sub: sub.remove("A"),
])  # fmt: skip
async def test_a_subscription_that_was_not_entered_says_so(
    autojump_clock: MockClock, use: Callable[[Subscription[FeedItem]], Awaitable[object]]
) -> None:
    async with served() as (_, feed):
        with pytest.raises(FeedClosedError, match="write `async with feed.subscribe"), trio.fail_after(1):
            await use(feed.trades("A"))


async def test_a_subscription_is_entered_once(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        sub = feed.trades("A")
        async with sub:
            with pytest.raises(FeedClosedError, match="entered once"):
                await sub.__aenter__()
            await server.publish(trade("A", 1))
            assert await take(sub, 1) == [trade("A", 1)]  # the slip has not hurt it
        with pytest.raises(FeedClosedError, match="entered once"):
            await sub.__aenter__()


async def test_a_feed_is_opened_once(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        opening = open_feed("ws://test", dialing(server))
        async with opening as feed:
            with pytest.raises(FeedClosedError, match="opened once"):
                await opening.__aenter__()
            async with feed.trades("A") as sub:
                await server.publish(trade("A", 1))
                assert await take(sub, 1) == [trade("A", 1)]


@pytest.mark.parametrize("arguments", [(5,), (b"ws://x",), ("ws://x", {}), ("ws://x", "slow")])
def test_what_a_feed_cannot_be_opened_with(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match="url: a text|config: a FeedConfig"):
        open_feed(*arguments)


@pytest.mark.parametrize("wrong", [None, 5, b"B", [None], [b"B"], [5], [["B"]], []])
async def test_symbols_that_are_none_change_nothing(autojump_clock: MockClock, wrong: Any) -> None:
    async with served() as (_, feed), feed.trades("A") as sub:
        for change in (sub.add, sub.remove):
            with pytest.raises(ConfigurationError, match="symbols: "):
                await change(wrong)
        assert sub.symbols == ("A",)


async def test_several_symbols_in_one_text_are_told_to_be_a_list(autojump_clock: MockClock) -> None:
    async with served() as (_, feed):
        for text in ("AAPL,MSFT", "AAPL MSFT"):
            with pytest.raises(SubscriptionError, match=r"several are a list: \[\"AAPL\", \"MSFT\"\]"):
                await feed.trades(text).__aenter__()


@pytest.mark.parametrize("symbols", ["B", "NOSUCH", ["B", "NOSUCH"], "*"])
@pytest.mark.parametrize("steps", range(8))
async def test_an_add_that_is_given_up_is_taken_back_or_done(
    autojump_clock: MockClock, symbols: str | list[str], steps: int
) -> None:
    async with served(sources=KNOWN) as (server, feed), feed.trades("A") as sub:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, scope, steps)
                with contextlib.suppress(SubscriptionError):
                    await sub.add(symbols)
        await wait_all_tasks_blocked()
        assert sub.symbols in {("A",), ("A", "B"), ("*",)}
        assert topics(server) == (3 if sub.symbols == ("*",) else len(sub.symbols))
        await server.publish([trade("A", 1), trade("A", 2)])
        assert await take(sub, 2) == [trade("A", 1), trade("A", 2)]  # what the server says later has not ended it


async def _cancel_after(scope: trio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_what_is_removed_while_it_is_added_is_waited_for_no_longer(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("A") as sub:
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sub.add, ["B", "C"])
                for _ in range(3):
                    await trio.lowlevel.checkpoint()
                assert "C" in sub.symbols
                await sub.remove(["B", "C"])
        await wait_all_tasks_blocked()
        assert sub.symbols == ("A",)
        assert topics(server) == 1


async def test_many_tasks_add_at_once_and_each_is_told_of_its_own(autojump_clock: MockClock) -> None:
    told: dict[str, str] = {}

    async def add(sub: Subscription[FeedItem], symbol: str) -> None:
        try:
            await sub.add(symbol)
        except SubscriptionError as error:
            told[symbol] = ",".join(error.symbols)

    async with served(sources=KNOWN) as (server, feed), feed.trades("A") as sub:
        async with trio.open_nursery() as nursery:
            for symbol in ("B", "NO1", "C", "NO2"):
                nursery.start_soon(add, sub, symbol)
        assert told == {"NO1": "NO1", "NO2": "NO2"}
        assert sorted(sub.symbols) == ["A", "B", "C"]
        await server.publish(trade("C", 1))
        assert await take(sub, 1) == [trade("C", 1)]


async def test_an_error_that_is_met_a_thousand_times_does_not_grow(autojump_clock: MockClock) -> None:
    async def met(feed: WireFeed[FeedItem], sub: Subscription[FeedItem]) -> int:
        with pytest.raises(FeedClosedError) as caught:
            await anext(sub)
        with pytest.raises(FeedClosedError):
            await feed.wait_connected()
        traceback, length = caught.value.__traceback__, 0
        while traceback is not None:
            traceback, length = traceback.tb_next, length + 1
        return length

    async with memory_server() as server:
        async with open_feed("ws://test", dialing(server)) as feed:
            sub = await feed.trades("A").__aenter__()
        first = await met(feed, sub)
        assert {await met(feed, sub) for _ in range(50)} == {first}
