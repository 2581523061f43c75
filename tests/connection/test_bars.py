"""Bars and indicators as a client sees them: frequencies, running bars, corrections, subscriptions."""

from __future__ import annotations

import attrs
import pytest
from connection.bars import ALL, START, at, client, subscribe
from connection.kit import BASE
from support import RawClient, memory_server
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Bar, Program
from datafye_trio.aggregates import Aggregation, consolidated
from datafye_trio.model import Channel, Frequency


async def test_bars_of_a_frequency_follow_the_trades_that_finish_them(autojump_clock: MockClock) -> None:
    async with client() as (peer, server):
        await subscribe(peer, "trades")
        answer = await subscribe(peer, "aggregates", frequency="1s")
        assert (answer["frequency"], answer["channels"]) == ("Second", ["aggregates"])
        await server.publish([at(0.1, 10, 5), at(0.2, 12, 5), at(1.1, 11)])
        found = await peer.messages(4)
        assert [message["type"] for message in found] == ["trade", "trade", "trade", "ohlc"]
        assert found[-1] == {
            "type": "ohlc", "dataset": "P", "assetClass": "stocks", "seq": 1, "symbol": "A", "frequency": "Second",
            "datetime": START, "open": 10, "high": 12, "low": 10, "close": 12, "volume": 10, "count": 2, "vwap": 11.0,
            "final": True,
        }  # fmt: skip


async def test_each_frequency_is_numbered_by_itself_and_minute_is_the_default(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        answer = await peer.ask(action="subscribe", symbols=["A"])
        assert answer["frequency"] == "Minute"
        await peer.ask(action="subscribe", symbols=["A"], frequency="Second")
        await server.publish([at(1), at(2), at(61)])
        got = [(m["frequency"], m["seq"], m["datetime"] - START) for m in await peer.messages(3)]
        assert got == [("Second", 1, 10**9), ("Second", 2, 2 * 10**9), ("Minute", 1, 0)]


async def test_a_price_of_eight_decimals_reaches_the_wire_digit_by_digit(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"])
        await server.publish([at(0, 0.00141342, 0.1), at(1, 0.00141341, 0.2), at(60)])
        _, payload = await peer.frame()
        assert b'"open":0.00141342,"high":0.00141342,"low":0.00141341,"close":0.00141341,"volume":0.3,' in payload


async def test_prices_are_null_where_no_trade_may_set_them(autojump_clock: MockClock) -> None:
    async with client(Aggregation(consolidated), "/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"], frequency="Second")
        await server.publish([at(0, 10, 7, conditions="I"), at(1)])
        bar = await peer.message()
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (None,) * 4
        assert (bar["volume"], bar["count"], bar["vwap"]) == (7, 1, 10)


async def test_a_late_trade_sends_the_bar_once_more_with_a_revision(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"], frequency="Second")
        await server.publish([at(0, 10), at(1, 11), at(0.5, 12)])
        first, corrected = await peer.messages(2)
        assert "revision" not in first
        assert (corrected["revision"], corrected["seq"], corrected["datetime"], corrected["high"]) == (1, 2, START, 12)


async def test_a_trade_that_is_too_late_is_counted_and_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(attrs.evolve(ALL, lateness=5.0)) as (peer, server):
        await subscribe(peer, "trades")
        await server.publish([at(100), *(at(1) for _ in range(12))])
        assert len(await peer.messages(13)) == 13  # as a trade, it is as good as any
        assert server._broker.datasets["P"].derived.late == 12
    lines = [record for record in caplog.records if record.message == "trade too late for its bars"]
    assert [(line.so_far, line.symbol, line.seconds) for line in lines] == [(1, "A", 99.0), (10, "A", 99.0)]


async def test_a_time_far_ahead_is_healed_and_told(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"])
        await server.publish([at(10**6, 9), *(at(n / 10) for n in range(101)), at(60)])
        assert [(m["datetime"] - START, m["count"]) for m in await peer.messages(2)] == [(999_960 * 10**9, 1), (0, 1)]
    told = [(line.message, getattr(line, "seconds", None)) for line in caplog.records if line.name.endswith(".bars")]
    assert told[-2:] == [
        ("trade too late for its bars", 999_990.1),
        ("market time begins anew: all trades were too late for their bars", None),
    ]


async def test_running_bars_come_after_every_trade_and_end_with_the_final_one(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        answer = await peer.ask(action="subscribe", symbols=["A"], running=True)
        assert (answer["running"], answer["frequency"]) == (True, "Minute")
        await server.publish([at(0, 10), at(30, 12), at(61, 11)])
        found = await peer.messages(4)
        assert [(m["seq"], m["final"], m["close"], m["count"]) for m in found] == [
            (1, False, 10, 1), (2, False, 12, 2), (3, True, 12, 2), (4, False, 11, 1),
        ]  # fmt: skip
        assert {m["running"] for m in found} == {True}  # the final one too: it is not that of the other topic
        assert (await peer.ask(action="subscribe", symbols=["A"], running=True, snapshot=True))["total"] == 1


async def test_running_bars_are_made_only_for_those_who_asked(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/aggs") as (peer, server):
        await server.publish([at(0), at(1)])
        await peer.ask(action="subscribe", symbols=["B"], running=True)
        answer = await peer.ask(action="subscribe", symbols=["A"])
        assert "running" not in answer
        await server.publish([at(2), at(61), at(62, symbol="B")])
        assert [(m["symbol"], m["final"]) for m in await peer.messages(2)] == [("A", True), ("B", False)]
        board = next(b for b in server._broker.datasets["P"].boards.values() if b.key.running and b.topics)
        assert set(board.topics) == {"B"}


async def test_who_comes_back_to_running_bars_has_missed_no_final_one(autojump_clock: MockClock) -> None:
    """Nothing was made for the topic while nobody was subscribed: the bars that ended meanwhile were lost, unsaid."""
    async with client(path="/stocks/live/aggs") as (peer, server):
        await peer.ask(action="subscribe", symbols=["*"], running=True)
        await server.publish([at(0, 10)])
        assert (await peer.message())["seq"] == 1
        await peer.ask(action="unsubscribe", symbols=["*"], running=True)
        await server.publish([at(30, 12), at(40, 7, symbol="NEW"), at(61, 11)])
        await wait_all_tasks_blocked()
        past = {"epoch": "epoch-1", "positions": {"A": 1}}
        await peer.ask(action="subscribe", symbols=["*"], running=True, resume=past)
        found = await peer.messages(2)
        assert sorted((m["symbol"], m["seq"], m["final"], m["close"]) for m in found) == [
            ("A", 2, True, 12), ("NEW", 1, True, 7),
        ]  # fmt: skip
        await server.publish([at(62, 13)])
        assert [(m["seq"], m["final"], m["count"]) for m in [await peer.message()]] == [(3, False, 2)]


async def test_a_star_on_running_bars_finds_symbols_that_appear_later(autojump_clock: MockClock) -> None:
    async with client() as (peer, server):
        await subscribe(peer, "aggregates", frequency="Second", running=True)
        await server.publish([at(0), at(0.5, symbol="B")])
        assert [(m["symbol"], m["seq"]) for m in await peer.messages(2)] == [("A", 1), ("B", 1)]


async def test_indicators_follow_their_bar(autojump_clock: MockClock) -> None:
    async with client() as (peer, server):
        await subscribe(peer, "aggregates", "sma", "ema", frequency="Second")
        await server.publish([at(n, 10 + n) for n in range(3)])
        found = await peer.messages(6)
        assert [message["type"] for message in found] == ["ohlc", "sma", "ema"] * 2
        assert found[4] == {
            "type": "sma", "dataset": "P", "assetClass": "stocks", "seq": 2, "symbol": "A", "frequency": "Second",
            "timestamp": START + 10**9, "price": 11, "slowLine": {"periods": 50, "count": 2, "ma": 10.5},
            "fastLine": {"periods": 20, "count": 2, "ma": 10.5}, "macd": 0.0, "crossover": "NONE",
        }  # fmt: skip
        assert set(found[5]) - set(found[4]) == {
            "signalLine", "zeroCrossover", "signalCrossover", "zeroLineCrossover", "lastZeroLineCrossover",
        }  # fmt: skip


async def test_an_indicator_goes_on_from_the_corrected_close(autojump_clock: MockClock) -> None:
    async with client(path="/stocks/live/sma") as (peer, server):
        await peer.ask(action="subscribe", symbols=["A"], frequency="Second")
        await server.publish([at(0, 10), at(1, 20), at(0.5, 12), at(2, 30)])
        first, second = await peer.messages(2)
        assert (first["price"], second["fastLine"]["ma"]) == (10, 16.0)  # of 12 and 20; nothing was sent in between


async def test_a_frequency_that_a_channel_lacks_is_refused_with_those_that_it_has(autojump_clock: MockClock) -> None:
    offer = attrs.evolve(
        ALL, frequencies=(Frequency.SECOND, Frequency.HOUR), sma=None, ema_frequencies=(Frequency.DAY,)
    )
    async with client(offer) as (peer, _):
        for channel, frequency, offered in (("bars", "Minute", "Second, Hour"), ("ema", "1h", "Day"), ("ohlc", "", "")):
            answer = await peer.ask(action="subscribe", channels=[channel], symbols=["A"], frequency=frequency)
            assert (answer["code"], answer["field"]) == ("INVALID_FREQUENCY", "frequency")
            assert offered in answer["message"]
        assert (await peer.ask(action="subscribe", channels=["sma"], symbols=["A"]))["code"] == "CHANNEL_NOT_AVAILABLE"
        answer = await peer.ask(action="subscribe", channels=["ema"], symbols=["A"], frequency="Day", running=True)
        assert (answer["frequency"], "running" in answer) == ("Day", False)


async def test_the_offer_lists_derived_channels_and_frequencies(autojump_clock: MockClock) -> None:
    async with memory_server(None, [Program("P", channels=(), aggregation=ALL)]) as server:
        (offer,) = (await (await RawClient.connect(server)).message())["datasets"]
        assert offer["channels"] == ["aggregates", "sma", "ema"]
        assert offer["frequencies"] == ["Second", "Minute", "Hour", "Day"]


async def test_trades_of_a_dataset_that_offers_none_are_folded_all_the_same(autojump_clock: MockClock) -> None:
    async with client(channels=()) as (peer, server):
        await subscribe(peer, "aggregates", frequency="Second")
        await server.publish([at(0), at(1)])
        assert (await peer.message())["type"] == "ohlc"


async def test_unsubscribing_star_is_a_clean_slate_of_all_frequencies(autojump_clock: MockClock) -> None:
    async with client() as (peer, _):
        for frequency in ("Second", "Minute"):
            for running in (False, True):
                await subscribe(peer, "aggregates", symbols=["A"], frequency=frequency, running=running)
        one = await peer.ask(action="unsubscribe", channels=["aggregates"], symbols=["A"])
        assert (one["frequency"], one["total"]) == ("Minute", 3)
        some = await peer.ask(action="unsubscribe", channels=["aggregates"], symbols=["*"], frequency="Second")
        assert (some["frequency"], some["total"], "running" in some) == ("Second", 1, False)
        rest = await peer.ask(action="unsubscribe", symbols=["*"])
        assert (rest["total"], "frequency" in rest) == (0, False)
        assert rest["channels"] == ["trades", "aggregates", "sma", "ema"]


async def test_a_program_s_own_bars_go_out_by_frequency(autojump_clock: MockClock) -> None:
    source = Program("P", channels=(Channel.AGGREGATES,), frequencies=(Frequency.MINUTE,))
    async with memory_server(None, [source]) as server:
        peer = await RawClient.connect(server, f"{BASE}/stocks/live/aggs")
        await peer.message()
        await peer.ask(action="subscribe", symbols=["A"], running=True)
        await peer.ask(action="subscribe", symbols=["A"])
        bar = Bar("A", "Minute", START, 1, 1, 1, 1, 5, 1, 1.0)
        await server.publish([attrs.evolve(bar, final=False), bar])
        got = [(m["seq"], m["final"], m.get("running", False)) for m in await peer.messages(3)]
        assert sorted(got) == [(1, False, True), (1, True, False), (2, True, True)]
        await wait_all_tasks_blocked()
