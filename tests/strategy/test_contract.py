"""What `Feed` promises of subscribing, on the wire, in process and on a recording alike."""

from __future__ import annotations

from typing import Any

import pytest
from strategy.kit import trade
from strategy.ways import (
    BARS,
    DAY,
    PROCESS,
    WIRE,
    Market,
    collect,
    everywhere,
    play,
    ways,
)

from datafye_trio.errors import ConfigurationError, SubscriptionError
from datafye_trio.model import AssetClass, Bar, Ema, FeedItem, Quote, Sma, Trade
from datafye_trio.strategy import Feed


@ways
def test_events_come_typed_and_in_order(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.subscribe(["quotes", "trades"], ["aapl", " msft"]) as sub:
            assert sub.symbols == ("AAPL", "MSFT")
            return await collect(sub)

    assert play(way, strategy, DAY) == DAY


@ways
def test_each_way_to_subscribe(way: str) -> None:
    async def strategy(feed: Feed) -> list[Any]:
        found = []
        async with (
            feed.quotes("AAPL") as quotes, feed.trades("AAPL") as trades, feed.bars("AAPL", frequency="Second") as bars,
            feed.sma("AAPL", frequency="1s") as sma, feed.ema("AAPL", frequency="ohlc-1s") as ema,
        ):  # fmt: skip
            for sub in (quotes, trades, bars, sma, ema):
                found.append({type(item) for item in await collect(sub, 60)})  # noqa: PERF401
        return found

    assert play(way, strategy, Market(DAY, BARS)) == [{Quote}, {Trade}, {Bar}, {Sma}, {Ema}]


@ways
def test_every_symbol_those_that_appear_later_too(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("*") as sub, feed.trades("NEW") as named:
            found = await collect(sub, 10)
            assert sub.symbols == ("*",)
            assert await collect(named, 10) == [one for one in found if one.symbol == "NEW"]
            return found

    events = [trade(1, "OLD"), trade(2, "OLD"), trade(3, "NEW"), trade(4, "OLD"), trade(5, "NEWER"), trade(6, "NEW")]
    assert play(way, strategy, events) == events


@ways
def test_a_symbol_may_be_taken_out_of_all_and_put_back(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("*") as sub:
            found = await collect(sub, 1.5)
            await sub.remove("A")
            found += await collect(sub, 1)
            await sub.add("A")
            return found + await collect(sub, 10)

    events = [trade(n, symbol) for n in (1, 2, 3, 4) for symbol in ("A", "B")]
    assert play(way, strategy, events) == [one for one in events if one != trade(2, "A")]


@ways
@pytest.mark.parametrize("text", ["BTCUSD", "btc/usd", "X:BTC-USD"])
def test_crypto_symbols_in_any_spelling(way: str, text: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades(text, asset_class="crypto") as sub:
            assert sub.symbols == ("BTCUSD",)
            return await collect(sub)

    market = Market([trade(1, "BTCUSD")], name="Crypto", asset_class=AssetClass.CRYPTO)
    assert play(way, strategy, market) == market.events


def told(error: SubscriptionError) -> tuple[str, str, tuple[str, ...], list[str]]:
    return error.code, error.message, error.symbols, getattr(error, "__notes__", [])


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("quotes", {"dataset": "Nowhere"}, "UNKNOWN_DATASET"),
    ("quotes", {"asset_class": "crypto"}, "UNKNOWN_DATASET"),
    ("aggregates", {"frequency": "Hour"}, "INVALID_FREQUENCY"),
    ("sma", {"frequency": "Day"}, "INVALID_FREQUENCY"),
]


@pytest.mark.parametrize(("channel", "options", "code"), REFUSED)
def test_refusals_are_the_same_everywhere(channel: str, options: dict[str, Any], code: str) -> None:
    async def strategy(feed: Feed) -> Any:
        with pytest.raises(SubscriptionError) as caught:
            async with feed.subscribe(channel, "AAPL", **options):
                raise AssertionError
        return told(caught.value)

    assert everywhere(strategy, Market(DAY, BARS))[0] == code


@pytest.mark.parametrize("channels", ["bars", "ema", ["trades", "bars"]])
def test_a_channel_that_is_not_there(channels: Any) -> None:
    async def strategy(feed: Feed) -> Any:
        with pytest.raises(SubscriptionError) as caught:
            async with feed.subscribe(channels, "AAPL"):
                raise AssertionError
        return told(caught.value)

    code, message, *_ = everywhere(strategy, DAY)
    assert code == "CHANNEL_NOT_AVAILABLE"
    assert message.endswith("it offers quotes, trades")


@pytest.mark.parametrize("text", ["A B", "AAPL, MSFT", "", "É", "X" * 33])
def test_what_is_no_symbol(text: str) -> None:
    async def strategy(feed: Feed) -> Any:
        with pytest.raises(SubscriptionError) as caught:
            async with feed.quotes(["AAPL", text]):
                raise AssertionError
        return told(caught.value)

    assert everywhere(strategy, DAY)[0] == "UNKNOWN_SYMBOL"


@ways
@pytest.mark.parametrize(
    "wrong", [{"channels": "news"}, {"symbols": []}, {"symbols": b"A"}, {"policy": "hope"}, {"buffer": 0}]
)
def test_what_nobody_could_make_sense_of(way: str, wrong: dict[str, Any]) -> None:
    async def strategy(feed: Feed) -> None:
        with pytest.raises(ConfigurationError):
            feed.subscribe(**({"channels": "quotes", "symbols": "A"} | wrong))

    play(way, strategy, DAY)


CLOSED = Market(DAY, BARS, frozenset({"AAPL", "MSFT"}))


@pytest.mark.parametrize("channels", ["trades", ["quotes", "bars"]])
@pytest.mark.parametrize("partial", [False, True])
def test_closed_lists_of_symbols(channels: Any, partial: bool) -> None:
    # A recording has no list: nobody knows what will appear in it.
    async def strategy(feed: Feed) -> Any:
        if not partial:
            with pytest.raises(SubscriptionError) as caught:
                async with feed.subscribe(channels, ["AAPL", "QQQ", "SPY"]):
                    raise AssertionError
            return told(caught.value)
        async with feed.subscribe(channels, ["AAPL", "QQQ", "SPY"], partial=True) as sub:
            assert sub.symbols == ("AAPL",)
            codes = {(error.code, error.message, error.symbols) for error in sub.rejected}
            return codes, await collect(sub, 60)

    one, other = (play(way, strategy, CLOSED) for way in (WIRE, PROCESS))
    assert one == other
    assert partial or (one[0], one[2]) == ("UNKNOWN_SYMBOL", ("QQQ", "SPY"))


@pytest.mark.parametrize("way", [WIRE, PROCESS])
def test_with_partial_something_must_be_left(way: str) -> None:
    async def strategy(feed: Feed) -> None:
        with pytest.raises(SubscriptionError, match="UNKNOWN_SYMBOL"):
            async with feed.trades(["QQQ", "SPY"], partial=True):
                raise AssertionError

    play(way, strategy, CLOSED)


@pytest.mark.parametrize("way", [WIRE, PROCESS])
def test_what_is_added_may_be_refused_and_the_rest_goes_on(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("AAPL") as sub:
            with pytest.raises(SubscriptionError, match="QQQ"):
                await sub.add(["MSFT", "QQQ"])
            assert sub.symbols == ("AAPL", "MSFT")
            assert not sub.rejected
            return await collect(sub)

    assert play(way, strategy, CLOSED) == [one for one in DAY if isinstance(one, Trade)]


@ways
def test_with_partial_what_there_is(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.subscribe(["trades", "bars"], ["AAPL", "A B"], partial=True) as sub:
            assert {error.code for error in sub.rejected} == {"CHANNEL_NOT_AVAILABLE", "UNKNOWN_SYMBOL"}
            return await collect(sub)

    assert play(way, strategy, DAY) == [one for one in DAY if isinstance(one, Trade) and one.symbol == "AAPL"]


@ways
def test_symbols_come_and_go(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("A") as sub:
            found = await collect(sub, 1.5)
            await sub.add(["B", "a"])
            assert sub.symbols == ("A", "B")
            found += await collect(sub, 1)
            await sub.remove("A")
            await sub.remove("Z")
            assert sub.symbols == ("B",)
            found += await collect(sub, 1)
            await sub.remove("*")
            assert sub.symbols == ()
            return found + await collect(sub, 1)

    events = [trade(n, symbol) for n in (1, 2, 3, 4, 5) for symbol in ("A", "B")]
    wanted = [trade(1, "A"), trade(2, "A"), trade(2, "B"), trade(3, "B")]
    assert play(way, strategy, events) == wanted
