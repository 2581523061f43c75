"""Stored bars of a server that has only what Datafye documents: part by part, each bar once, and never too many."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from client.plain_kit import dialing, served
from client.plain_server import HISTORY, PlainConfig, open_plain_server
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from datafye_trio import Bar, DisconnectedError, SubscriptionError, open_raw_feed
from datafye_trio.client.history_query import HistoryQuery
from datafye_trio.client.plain_history import PlainHistoryTalk, plain_history
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import parse_time

MINUTE = 60 * 10**9
START = parse_time("2025-01-02T09:30:00")


def bars(count: int, start: int = START, step: int = MINUTE) -> list[Bar]:
    return [Bar("AAPL", "Minute", start + n * step, 1, 2, 1, 2, n, 0, None) for n in range(count)]


def query(start: int = START, end: int | None = START + 10 * MINUTE, **options: Any) -> HistoryQuery:
    fields: dict[str, Any] = {
        "dataset": "SIP", "asset_class": AssetClass.STOCKS, "symbols": ("AAPL",), "channel": Channel.AGGREGATES,
        "frequency": Frequency.MINUTE, "start": start, "end": end,
    }  # fmt: skip
    return HistoryQuery(**fields | options)


def asked(talk: PlainHistoryTalk) -> tuple[str, str]:
    """The range of the next request."""
    talk.begin()
    (text,) = talk.outgoing()
    request = json.loads(text)
    return request["from"], request["to"]


async def test_all_bars_of_the_range_once_and_in_order_in_parts(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        server.history = bars(400)
        end = START + 390 * MINUTE
        async with feed.history("aapl", start="2025-01-02T09:30:00", end=end, window=100) as stored:
            found = []
            async for bar in stored:
                assert stored.waiting <= 100
                found.append(bar)
            assert found == server.history[:390]
            assert (stored.delivered, stored.repeated) == (390, 0)
        first = {
            "action": "start", "dataset": "SIP", "symbol": "AAPL", "frequency": "Minute",
            "from": "2025-01-02T09:30:00", "to": "2025-01-02T10:20:00",
        }  # fmt: skip
        assert server.requests[0] == (HISTORY, first)
        assert len(server.requests) == 8
        assert all(path == HISTORY for path, _ in server.requests)


async def test_a_slow_reader_makes_it_ask_later(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        server.history = bars(100)
        async with feed.history("AAPL", start=START, end=START + 100 * MINUTE, window=20) as stored:
            await trio.sleep(100)
            assert (stored.waiting, len(server.requests)) == (20, 2)
            assert server.peers == []
            assert [bar async for bar in stored] == server.history


async def test_nothing_in_the_range_is_an_end(autojump_clock: MockClock) -> None:
    async with served() as (_, feed):
        async with feed.history("AAPL", start=START, end=START + 100 * MINUTE) as stored:
            assert [bar async for bar in stored] == []
        async with feed.history("AAPL", start=START - MINUTE) as stored:  # up to now, as our own clock has it
            stored.leave()


async def test_a_cut_repeats_nothing(autojump_clock: MockClock) -> None:
    talk = plain_history(query(), raw=False)
    assert asked(talk) == ("2025-01-02T09:30:00", "2025-01-02T09:40:00")
    async with open_plain_server() as server:
        frames = [json.dumps(server.frame(bar)) for bar in bars(11)]
    talk.take(frames[:4])
    talk.cut()
    assert asked(talk) == ("2025-01-02T09:30:00", "2025-01-02T09:40:00")
    talk.take([*frames, '{"type":"stream_end"}'])
    assert list(talk.items) == bars(10)  # the bar at the end is not part of the range, whether it is sent or not
    assert (talk.received, talk.repeated, talk.complete) == (10, 4, True)


@pytest.mark.parametrize("options", [{"channel": "trades"}, {"rate": 5.0}])
async def test_what_is_not_documented_is_refused(autojump_clock: MockClock, options: Any) -> None:
    async with served() as (server, feed):
        with pytest.raises(SubscriptionError, match="bars of one symbol"):
            async with feed.history("AAPL", start=START, end=START + MINUTE, **options):
                pass
        for symbols in ("*", ["AAPL", "MSFT"]):
            with pytest.raises(SubscriptionError, match="bars of one symbol"):
                async with feed.history(symbols, start=START, end=START + MINUTE):
                    pass
        assert server.requests == []


async def test_a_refusal_has_the_servers_words(autojump_clock: MockClock) -> None:
    async with served(PlainConfig(refusals={"NOPE": "no such symbol"})) as (_, feed):
        with pytest.raises(SubscriptionError, match="no such symbol"):
            async with feed.history("NOPE", start=START, end=START + MINUTE):
                pass


async def test_raw_bars_are_as_the_server_wrote_them(autojump_clock: MockClock) -> None:
    async with open_plain_server() as server, open_raw_feed("ws://test", dialing(server)) as feed:
        server.history = bars(3)
        async with feed.history("AAPL", start=START, end=START + 3 * MINUTE) as stored:
            assert [bar async for bar in stored] == [server.frame(bar) for bar in bars(3)]


def test_what_is_no_bar_is_an_error_and_words_are_none() -> None:
    talk = plain_history(query(), raw=False)
    asked(talk)
    talk.take(['{"type":"connected"}', '{"type":"stream_start"}', '{"status":null}'])
    assert not talk.over
    for wrong in ('{"type":"ohlc","symbol":"AAPL"}', '{"type":["ohlc"],"symbol":"AAPL"}', "[]", "{"):
        with pytest.raises(DisconnectedError, match="no stored bar"):
            talk.take([wrong])


@given(
    st.datetimes(datetime(2024, 11, 2, 20), datetime(2024, 11, 3, 8)),
    st.integers(1, 20), st.integers(1, 30),
)  # fmt: skip
def test_no_bar_is_missed_where_the_clocks_go_back(begin: datetime, hours: int, window: int) -> None:
    start = int(begin.replace(tzinfo=UTC).timestamp()) * 10**9
    end = start + hours * 60 * MINUTE
    stored = [Bar("AAPL", "Hour", start + n * 60 * MINUTE, 1, 1, 1, 1, n, 0, None) for n in range(-3, hours + 3)]
    talk = plain_history(query(start, end, frequency=Frequency.HOUR, window=window), raw=False)
    while not talk.complete:
        first, last = (parse_time(text) for text in asked(talk))
        for bar in stored:
            if first <= bar.start < last:
                record = {"symbol": "AAPL", "datetime": bar.start, "volume": bar.volume}
                talk.take([json.dumps(record | dict.fromkeys(("open", "high", "low", "close"), 1))])
        talk.take(['{"type":"stream_end"}'])
    assert list(talk.items) == stored[3:-3]
