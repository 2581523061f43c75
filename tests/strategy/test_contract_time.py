"""What `Feed` promises of market time and of stored data, three ways alike."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from strategy.kit import SECOND, START, at, halt, quote, resume, trade
from strategy.ways import (
    BARS,
    DAY,
    JUMPY,
    PROCESS,
    RECORDING,
    Market,
    collect,
    everywhere,
    moment,
    play,
    ways,
)

from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.errors import FeedClosedError, SubscriptionError
from datafye_trio.model import AssetClass, Bar, Frequency, Halt, Quote, Trade
from datafye_trio.strategy import Feed


@ways
def test_now_is_never_before_what_was_seen_and_never_goes_back(way: str) -> None:
    async def strategy(feed: Feed) -> int:
        seen = feed.now()
        async with feed.subscribe(["quotes", "trades", "bars", "ema"], "*", frequency="Second", running=True) as sub:
            with trio.move_on_after(300):
                async for item in sub:
                    assert feed.now() >= seen
                    seen = feed.now()
                    if isinstance(item, Quote | Trade):
                        assert seen >= item.exchange_timestamp
                    elif isinstance(item, Halt):
                        assert seen >= item.timestamp
                    elif isinstance(item, Bar) and item.final:
                        assert seen >= item.start + SECOND
                    await trio.sleep(0.01 if int(seen) % 3 else 0)
                    assert feed.now() >= seen
                    seen = feed.now()
        return seen

    events = sorted([*JUMPY, *(quote(n + 0.123) for n in range(1, 200)), halt(50), resume(60)], key=moment)
    assert play(way, strategy, Market(events, BARS)) >= at(199)


@ways
def test_now_follows_the_events_and_goes_on_between_them(way: str) -> None:
    async def strategy(feed: Feed) -> list[float]:
        assert feed.now() == at(0)
        found = []
        async with feed.trades("*") as sub:
            async for _ in sub:
                found.append((feed.now() - at(0)) / SECOND)
                await trio.sleep(0.25)
                found.append((feed.now() - at(0)) / SECOND)
                if len(found) == 4:
                    return found
        return found

    assert play(way, strategy, [trade(1), trade(2), trade(9)]) == [1, 1.25, 2, 2.25]


@ways
def test_sleeping_until_a_market_time(way: str) -> None:
    async def strategy(feed: Feed) -> Any:
        found = [(await feed.sleep_until(at(n)), feed.now() >= at(n)) for n in (0.5, 0.5, 0.2, 3, 3.000_000_5)]
        begun = trio.current_time()
        with trio.move_on_after(1) as scope:
            await feed.sleep_until(at(60))
        return found, scope.cancelled_caught, round(trio.current_time() - begun, 6)

    assert play(way, strategy, [trade(1), trade(2), trade(100)]) == ([(True, True)] * 5, True, 1.0)


@pytest.mark.parametrize("way", [PROCESS, RECORDING])
def test_the_end_of_the_data_ends_what_iterates_and_sleeps(way: str) -> None:
    async def strategy(feed: Feed) -> Any:
        async with feed.trades("*") as sub, feed.quotes("*") as quotes:
            items = [item async for item in sub]
            assert [item async for item in sub] == []
            assert await sub.receive_many() == []
            assert await feed.sleep_until(at(1))
            assert not await feed.sleep_until(at(500))
            first = await anext(quotes)
        async with feed.subscribe(["quotes", "trades"], "AAPL") as late:
            assert [item async for item in late] == [first]  # the newest quote is known still
        before = feed.now()
        await trio.sleep(10)
        return items, feed.now() - before

    assert play(way, strategy, [trade(1), quote(2), trade(3)]) == ([trade(1), trade(3)], 10 * SECOND)


@ways
def test_stored_ticks_up_to_now(way: str) -> None:
    async def strategy(feed: Feed) -> Any:
        await trio.sleep(5.1)
        async with feed.history("aapl", start=at(2), end=at(4.5), channel="trades") as stored:
            inner = [item async for item in stored]
        async with feed.history("*", start=at(0), channel="quotes") as stored:
            return inner, [item async for item in stored]

    trades, quotes = play(way, strategy, DAY)
    assert trades == [
        one for one in DAY if type(one) is Trade and one.symbol == "AAPL" and at(2) <= moment(one) < at(4.5)
    ]
    assert quotes == [one for one in DAY if type(one) is Quote and moment(one) < at(5.1)]


@ways
@pytest.mark.parametrize("frequency", ["Second", "Minute"])
def test_stored_bars_that_are_over(way: str, frequency: str) -> None:
    async def strategy(feed: Feed) -> Any:
        async with feed.bars("*", frequency=frequency) as sub:
            live = await collect(sub, 150)
        async with feed.history("*", start=at(0), end=at(120), frequency=frequency) as stored:
            return live, [item async for item in stored]

    live, stored = play(way, strategy, Market(JUMPY, BARS))
    early = [one for one in live if one.start < at(120)]
    assert sorted(stored, key=str) == sorted(early, key=str)
    assert len(stored) > 3


@pytest.mark.parametrize("way", [PROCESS, RECORDING])  # a server stores what it likes
@pytest.mark.parametrize("channel", ["trades", "aggregates"])
def test_nothing_of_what_is_to_come(way: str, channel: str) -> None:
    async def strategy(feed: Feed) -> None:
        with pytest.raises(SubscriptionError, match="NO_DATA"):
            async with feed.history("*", start=at(0), channel=channel):
                raise AssertionError
        async with feed.trades("*") as sub:
            async for _ in sub:
                now = feed.now()
                try:
                    async with feed.history("*", start=at(0), end=at(10_000), channel=channel) as stored:
                        items = [item async for item in stored]
                except SubscriptionError as error:
                    assert error.code == "NO_DATA"
                    continue
                if channel == "trades":
                    assert items == [one for one in JUMPY if moment(one) < now]
                else:
                    assert max(item.start for item in items) + 60 * SECOND <= now

    play(way, strategy, Market(JUMPY[:150], BARS))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"symbols": "ZZZ"}, "NO_DATA"),
        ({"start": at(5_000), "end": at(6_000)}, "NO_DATA"),
        ({"symbols": "A B"}, "UNKNOWN_SYMBOL"),
        ({"dataset": "Nowhere"}, "UNKNOWN_DATASET"),
    ],
)
def test_stored_data_that_is_not_there(asked: dict[str, Any], code: str) -> None:
    async def strategy(feed: Feed) -> Any:
        await trio.sleep(20)
        with pytest.raises(SubscriptionError) as caught:
            async with feed.history(**({"symbols": "AAPL", "start": at(0), "channel": "trades"} | asked)):
                raise AssertionError
        return caught.value.code

    assert everywhere(strategy, DAY) == code


@ways
def test_a_history_is_used_within(way: str) -> None:
    async def strategy(feed: Feed) -> None:
        await trio.sleep(5)
        stored = feed.history("*", start=at(0), channel="trades")
        with pytest.raises(FeedClosedError):
            await anext(stored)
        async with stored:
            await anext(stored)
        with pytest.raises(FeedClosedError):
            for _ in range(100):
                await anext(stored)

    play(way, strategy, DAY)


@ways
def test_a_halt_alone_moves_market_time(way: str) -> None:
    async def strategy(feed: Feed) -> list[bool]:
        async with feed.quotes("*") as sub:
            return [(await anext(sub)).timestamp <= feed.now() for _ in range(2)]

    assert play(way, strategy, [halt(5), resume(5.5)]) == [True, True]


@ways
def test_days_of_crypto_end_in_utc(way: str) -> None:
    midnight = START - START % (86_400 * SECOND) + 86_400 * SECOND

    async def strategy(feed: Feed) -> tuple[int, int]:
        async with feed.bars("BTCUSD", frequency="Day") as sub:
            return (await anext(sub)).start, feed.now()

    events = [trade(1, "BTCUSD"), trade((midnight - START) / 1e9 + 1, "BTCUSD")]
    folded = Aggregation(every_trade, (Frequency.DAY,), sma=None, ema=None)
    start, now = play(way, strategy, Market(events, folded, name="Crypto", asset_class=AssetClass.CRYPTO))
    assert start == midnight - 86_400 * SECOND
    assert midnight <= now <= midnight + SECOND
