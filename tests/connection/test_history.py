"""The history path: what a start is answered with, from the sample's request to every refusal."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest
from connection.kit import BASE, STOCKS
from connection.stored import DAY, HistoryPeer, Stored, failing, history_client, numbers, trades
from support import START_NS, masked, memory_server
from trio.testing import MockClock

from datafye_trio import Program, RequestLimits, ServerConfig, SourceError, Synthetic, SyntheticConfig
from datafye_trio.aggregates import default_aggregation, fold_trades
from datafye_trio.model import AssetClass, Channel, Frequency, Halt, Quote, Trade
from datafye_trio.protocol import Codec, parse_time
from datafye_trio.sources import HistoryQuery, Publisher, SyntheticMarket

SAMPLE = (
    '{"action":"start","dataset":"Synthetic","symbol":"AAPL","frequency":"Minute",'
    '"from":"2025-01-02T09:30:00","to":"2025-01-02T16:00:00"}'
)


class Quiet(Synthetic):
    """A synthetic market that is not live: busy events would keep virtual time from standing still."""

    async def run(self, publisher: Publisher) -> None:
        await Stored(trades(0)).run(publisher)


@pytest.mark.unmeasured
async def test_the_samples_request_is_answered_bar_by_bar(autojump_clock: MockClock) -> None:
    async with history_client(Quiet(SyntheticConfig(rate=8.0))) as peer:
        await peer.send_text(SAMPLE)
        first, *bars, last = await peer.until("stream_end")
    assert first == {"type": "stream_start", "stream": "s1", "symbols": ["AAPL"]}
    assert last == {"type": "stream_end", "stream": "s1", "symbols": ["AAPL"], "count": 390, "reason": "complete"}
    start, end = parse_time("2025-01-02T09:30:00-05:00"), parse_time("2025-01-02T16:00:00-05:00")
    assert [bar["datetime"] for bar in bars] == list(range(start, end, 60 * 10**9))
    market = SyntheticMarket(SyntheticConfig(rate=8.0), 0).blocks(start, end)
    folded = fold_trades(
        (event for block in market for _, event in block if isinstance(event, Trade) and event.symbol == "AAPL"),
        default_aggregation("Synthetic"),
        AssetClass.STOCKS,
    )
    minutes = [bar for bar in folded if bar.frequency == Frequency.MINUTE]
    expected = [msgspec.to_builtins(Codec().stored(bar, "Synthetic", "stocks", "s1")) for bar in minutes]
    assert bars == expected
    assert all("seq" not in bar and list(bar)[:4] == ["type", "dataset", "assetClass", "stream"] for bar in bars)


@pytest.mark.parametrize("skip", [1, 99, 100, 101, 249])
async def test_the_first_messages_are_left_out(autojump_clock: MockClock, skip: int) -> None:
    async with history_client(Stored(trades(250))) as peer:
        found = await peer.whole(skip=skip, window=250)
        assert numbers(found) == list(range(skip, 250))
        assert found[-1]["count"] == 250 - skip
        await peer.start(skip=250)
        assert (await peer.message())["code"] == "NO_DATA"  # nothing is left


async def test_messagepack(autojump_clock: MockClock) -> None:
    async with memory_server(None, [Stored(trades(3))]) as server:
        peer = await HistoryPeer.connect(server, BASE + "/stocks/history", "Sec-WebSocket-Protocol: datafye.v1.msgpack")
        await peer.frame()
        request = {"action": "start", "symbol": "AAPL", "id": 7, **DAY}
        await peer.stream.send_all(masked(2, msgpack.packb(request)))
        answers = [msgpack.unpackb((await peer.frame())[1]) for _ in range(5)]
        assert [answer["type"] for answer in answers] == ["stream_start", "trade", "trade", "trade", "stream_end"]
        assert {answer["stream"] for answer in answers} == {7}
        assert numbers(answers) == [0, 1, 2]


async def test_what_is_asked_for_reaches_the_stored_data(autojump_clock: MockClock) -> None:
    source = Stored(trades(1), channels=(Channel.QUOTES, Channel.TRADES, Channel.AGGREGATES))
    start, end = parse_time("2023-11-14T00:00:00Z"), parse_time("2023-11-15T00:00:00Z")
    asked: list[tuple[dict[str, Any], HistoryQuery]] = [
        ({}, HistoryQuery(Channel.TRADES, None, ("AAPL",), start, end)),
        ({"symbol": None}, HistoryQuery(Channel.TRADES, None, None, start, end)),
        ({"symbols": ["AAPL", "*"]}, HistoryQuery(Channel.TRADES, None, None, start, end)),
        ({"symbols": [" msft", "AAPL", "MSFT"]}, HistoryQuery(Channel.TRADES, None, ("MSFT", "AAPL"), start, end)),
        (
            {"frequency": "TICK", "channel": "quotes"},
            HistoryQuery(Channel.QUOTES, None, ("AAPL",), start, end),
        ),
        (
            {"frequency": "ohlc-1h", "channel": "ohlc"},
            HistoryQuery(Channel.AGGREGATES, Frequency.HOUR, ("AAPL",), start, end),
        ),
        (
            {"frequency": "1d", "channel": None},
            HistoryQuery(Channel.AGGREGATES, Frequency.DAY, ("AAPL",), start, end),
        ),
        (
            {"from": " 2023-11-13T19:00:00", "to": "2023-11-14"},  # New York
            HistoryQuery(Channel.TRADES, None, ("AAPL",), start, start + 5 * 3600 * 10**9),
        ),
    ]
    async with history_client(STOCKS, source) as peer:
        for fields, query in asked:
            messages = await peer.whole(dataset="Stored", **fields)
            assert source.queries[-1] == query
            assert messages[0]["symbols"] == list(query.symbols or ("*",))


async def test_halts_and_quotes_are_data_too(autojump_clock: MockClock) -> None:
    events = [Quote("AAPL", START_NS, 1.0, 1, 1.5, 2, "XNAS", "XNAS"), Halt("AAPL", START_NS + 1, "why")]
    async with history_client(Stored(lambda _: events, channels=(Channel.QUOTES,))) as peer:
        messages = await peer.whole(channel="quotes", id="q")
    assert [message["type"] for message in messages] == ["stream_start", "quote", "halt", "stream_end"]
    assert messages[2]["stream"] == "q"
    assert messages[3]["count"] == 2


START = {"action": "start", "id": 5, "symbol": "AAPL", **DAY}
REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "no time": ({"from": "yesterday"}, "INVALID_RANGE", "from"),
    "a day that is none": ({"to": "2025-02-30"}, "INVALID_RANGE", "to"),
    "out of reach": ({"to": "9999-01-01"}, "INVALID_RANGE", "to"),
    "the wrong way round": ({"from": "2023-11-16"}, "INVALID_RANGE", "from"),
    "nothing between": ({"to": DAY["from"]}, "INVALID_RANGE", "from"),
    "a time that is a number": ({"from": 1_700_000_000}, "INVALID_MESSAGE", "from"),
    "no from": ({"from": None}, "INVALID_MESSAGE", "from"),
    "unknown dataset": ({"dataset": "SPI"}, "UNKNOWN_DATASET", "dataset"),
    "a dataset without stored data": ({"dataset": "Program"}, "CHANNEL_NOT_AVAILABLE", "dataset"),
    "unknown symbol": ({"symbol": "QQQ"}, "UNKNOWN_SYMBOL", "symbols"),
    "no symbol": ({"symbol": "no good"}, "UNKNOWN_SYMBOL", "symbols"),
    "no symbols": ({"symbols": []}, "INVALID_MESSAGE", "symbols"),
    "many symbols": ({"symbols": ["AAPL"] * 6}, "SUBSCRIPTION_LIMIT", "symbols"),
    "frequency": ({"frequency": "Fortnight"}, "INVALID_FREQUENCY", "frequency"),
    "no frequency": ({"frequency": None}, "INVALID_MESSAGE", "frequency"),
    "ticks of nothing": ({"channel": None}, "INVALID_MESSAGE", "channel"),
    "ticks of bars": ({"channel": "bars"}, "INVALID_MESSAGE", "channel"),
    "bars of trades": ({"frequency": "Minute"}, "INVALID_MESSAGE", "channel"),
    "unknown channel": ({"channel": "tardes"}, "UNKNOWN_CHANNEL", "channel"),
    "no stored quotes": ({"channel": "quotes"}, "CHANNEL_NOT_AVAILABLE", "channel"),
    "no stored bars": ({"channel": None, "frequency": "Day"}, "CHANNEL_NOT_AVAILABLE", "frequency"),
    "no stored indicators": ({"channel": "sma", "frequency": "Day"}, "CHANNEL_NOT_AVAILABLE", "channel"),
    "rate": ({"rate": 0}, "INVALID_MESSAGE", "rate"),
    "window": ({"window": 0}, "INVALID_MESSAGE", "window"),
    "more of nothing": ({"action": "more", "count": 1}, "NOT_SUBSCRIBED", "id"),
    "more, but none": ({"action": "more", "count": 0}, "INVALID_MESSAGE", "count"),
    "stop of nothing": ({"action": "stop"}, "NOT_SUBSCRIBED", "id"),
}


@pytest.mark.parametrize(("fields", "code", "field"), REFUSED.values(), ids=REFUSED)
async def test_each_refusal(autojump_clock: MockClock, fields: dict[str, Any], code: str, field: str) -> None:
    config = ServerConfig(requests=RequestLimits(symbols=5))
    async with history_client(Stored(trades(1)), Program(), config=config) as peer:
        error = await peer.ask(**(START | fields))
        assert (error["type"], error["code"], error["id"], error.get("field")) == ("error", code, 5, field)
        assert len(error["message"].split()) > 2
        assert error["retryable"] is False
        await peer.idle()
        assert (await peer.whole())[-1]["count"] == 1  # the connection serves on


async def test_a_server_without_any_stored_data_says_so(autojump_clock: MockClock) -> None:
    async with history_client(STOCKS) as peer:
        await peer.start()
        error = await peer.message()
        assert (error["code"], "no dataset of this server" in error["message"]) == ("CHANNEL_NOT_AVAILABLE", True)
        assert (await peer.ask(action="stop"))["code"] == "NOT_SUBSCRIBED"


async def test_symbols_that_are_unknown_do_not_keep_the_others_from_streaming(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(1))) as peer:
        await peer.start(symbols=["QQQ", "MSFT", "AAPL"], id=1)
        error, begin, data, end = await peer.until("stream_end")
        assert (error["code"], error["symbols"], error["id"]) == ("UNKNOWN_SYMBOL", ["QQQ"], 1)
        assert begin["symbols"] == end["symbols"] == ["MSFT", "AAPL"]
        assert data["symbol"] == "MSFT"


async def test_no_data_is_an_answer_to_the_request_and_no_fault(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(0))) as peer:
        for n in range(50):
            await peer.start(id=n)
            error = await peer.message()
            assert (error["type"], error["code"], error["id"]) == ("error", "NO_DATA", n)
        await peer.start()
        assert "id" not in await peer.message()
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_fields_that_nobody_knows_are_named(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(1))) as peer:
        assert (await peer.whole(speed=2))[0]["ignored"] == ["speed"]


async def test_names_of_streams(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(2))) as peer:
        for name in ("s1", "1", 1, "", 0, None):
            await peer.start(id=name, window=1)
        named = [message["stream"] for message in await peer.messages(12)][::2]
        assert named[:5] == ["s1", "1", 1, "", 0]  # what the client gives, text or number
        assert named[5] == "s2"  # never one that is in use
        await peer.start(id=1)
        error = await peer.message()
        assert (error["code"], error["field"], error["id"]) == ("INVALID_MESSAGE", "id", 1)
        await peer.send(action="more", id=1, count=1)
        assert [message["type"] for message in await peer.messages(2)] == ["trade", "stream_end"]
        assert (await peer.whole(id=1))[-1]["count"] == 2  # free again


async def test_so_many_streams_at_once(autojump_clock: MockClock) -> None:
    config = ServerConfig(requests=RequestLimits(streams=2))
    async with history_client(Stored(trades(2)), config=config) as peer:
        for name in ("a", "b", "c"):
            await peer.start(id=name, window=1)
        answers = await peer.messages(5)
        assert [answer["code"] for answer in answers if answer["type"] == "error"] == ["SUBSCRIPTION_LIMIT"]
        await peer.send(action="more", id="a", count=1)
        await peer.until("stream_end")
        assert (await peer.whole(id="c"))[-1]["count"] == 2


@pytest.mark.parametrize("after", [0, 200])
async def test_a_source_that_fails_ends_its_own_stream_only(autojump_clock: MockClock, after: int) -> None:
    bad = Stored(failing(SourceError("trades.csv, line 9: the price 'x' is no number"), after), "Bad")
    async with history_client(Stored(trades(1_000)), bad) as peer:
        await peer.start(id="good")
        await peer.start(id="bad", dataset="Bad")
        messages = await peer.until("stream_end")
        of_bad = [message for message in messages if message.get("stream") == "bad"]
        assert [message["type"] for message in of_bad] == ["stream_start", *["trade"] * after, "stream_error"]
        assert of_bad[-1] == {
            "type": "stream_error", "stream": "bad", "symbols": ["AAPL"], "code": "INTERNAL",
            "message": "trades.csv, line 9: the price 'x' is no number",
        }  # fmt: skip
        assert numbers(m for m in messages if m.get("stream") == "good") == list(range(1_000))
        assert bad.open == 0


async def test_a_bug_in_a_source_is_told_without_its_details(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with history_client(Stored(trades(1)), Stored(failing(ZeroDivisionError("secret")), "Bad")) as peer:
        await peer.start(id="bad", dataset="Bad")
        begin, error = await peer.until("stream_error")
        assert begin["type"] == "stream_start"
        assert (error["code"], "secret" in error["message"]) == ("INTERNAL", False)
        assert (await peer.whole())[-1]["count"] == 1


async def test_unit_of_time(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(1)), config=ServerConfig(timestamp_unit="ms")) as peer:
        assert (await peer.whole())[1]["exchangeTimestamp"] == START_NS // 10**6


@pytest.mark.unmeasured
async def test_order_within_and_between_streams(autojump_clock: MockClock) -> None:
    """Twenty at once: each in order and whole, and none far ahead of the others while all run."""
    async with history_client(Stored(trades(3_000))) as peer:
        for name in range(20):
            await peer.start(id=name)
        sent = dict.fromkeys(range(20), 0)
        ended = 0
        while ended < 20:
            message = await peer.message()
            if message["type"] == "trade":
                name = message["stream"]
                assert message["exchangeTimestamp"] - START_NS == sent[name]
                sent[name] += 1
                if not ended and min(sent.values()):
                    assert max(sent.values()) - min(sent.values()) <= 512 + 100
            ended += message["type"] == "stream_end"
        assert set(sent.values()) == {3_000}
