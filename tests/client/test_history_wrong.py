"""Stored data that cannot be had: questions, refusals, ends, servers that are gone, data that has changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
from client.storing import DAY, URL, settle, stored_feed, whole
from connection.stored import Stored, failing, trades
from support import memory_server, trade
from trio.testing import MockClock

from datafye_trio import (
    ConfigurationError,
    FeedClosedError,
    FeedConfig,
    FeedError,
    Reconnect,
    ServerConfig,
    SourceError,
    SubscriptionError,
    open_feed,
)  # fmt: skip
from datafye_trio.client.history import parse_moment
from datafye_trio.model import Event
from datafye_trio.sources import HistoryQuery
from datafye_trio.testing import CutAfter


@pytest.mark.parametrize("where", ["entering", "later"])
async def test_stored_data_that_has_changed_is_told(autojump_clock: MockClock, where: str) -> None:
    counts = iter([1_000, 50 if where == "later" else 0])

    def make(query: HistoryQuery) -> Iterable[Event]:
        return trades(next(counts))(query)

    async with stored_feed(Stored(make)) as (feed, proxy), feed.history("AAPL", **DAY, window=100) as stream:
        await settle(lambda: stream.waiting == 100)
        proxy.cut_all()
        with pytest.raises(FeedError, match="not what it was"):
            async for _ in stream:
                pass
        assert stream.delivered == 100  # what had come before is there


async def test_other_events_in_their_place_are_told_too(autojump_clock: MockClock) -> None:
    shifts = iter([0, 1])

    def make(_: HistoryQuery) -> Iterable[Event]:
        shift = next(shifts)
        return (trade("AAPL", n + shift) for n in range(1_000))

    async with stored_feed(Stored(make)) as (feed, proxy), feed.history("AAPL", **DAY, window=100) as stream:
        await settle(lambda: stream.waiting == 100)
        proxy.cut_all()
        with pytest.raises(FeedError, match="not what it was"):
            async for _ in stream:
                pass


async def test_nothing_in_the_range(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(0))) as (feed, _):
        with pytest.raises(SubscriptionError) as raised:
            await whole(feed)
    assert raised.value.code == "NO_DATA"


@pytest.mark.parametrize(
    ("symbols", "options", "code"),
    [
        ("NOPE", {}, "UNKNOWN_SYMBOL"),
        (["AAPL", "NOPE"], {}, "UNKNOWN_SYMBOL"),
        ("A B", {}, "UNKNOWN_SYMBOL"),
        ("AAPL", {"channel": "quotes"}, "CHANNEL_NOT_AVAILABLE"),
        ("AAPL", {"dataset": "Other"}, "UNKNOWN_DATASET"),
        ("AAPL", {"asset_class": "crypto"}, "UNKNOWN_DATASET"),
    ],
)
async def test_refusals(autojump_clock: MockClock, symbols: Any, options: dict[str, Any], code: str) -> None:
    async with stored_feed(Stored(trades(3))) as (feed, _):
        with pytest.raises(SubscriptionError) as raised:
            async with feed.history(symbols, **(DAY | options)):
                pytest.fail("entered")
    assert raised.value.code == code


async def test_a_file_that_cannot_be_read_on(autojump_clock: MockClock) -> None:
    broken = Stored(failing(SourceError("row 7 is broken"), after=200))
    async with stored_feed(broken) as (feed, _), feed.history("AAPL", **DAY) as stream:
        found = []
        with pytest.raises(SubscriptionError) as raised:
            async for event in stream:
                found.append(event)  # noqa: PERF401 -- what came before the error is looked at
    assert raised.value.code == "INTERNAL"
    assert len(found) == 200


async def test_a_busy_server_is_asked_again(autojump_clock: MockClock) -> None:
    config = ServerConfig(max_streams=1)
    async with stored_feed(Stored(trades(1_000)), server=config) as (feed, _):
        async with trio.open_nursery() as nursery:
            async with feed.history("AAPL", **DAY, window=10):
                nursery.start_soon(whole, feed)
                await trio.sleep(5)
            began = trio.current_time()
        assert trio.current_time() - began < 2


async def test_a_server_that_is_never_there_again(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(1_000)), reconnect=Reconnect(attempts=2)) as (feed, proxy):
        async with feed.history("AAPL", **DAY, window=10) as stream:
            proxy.plan = lambda _: CutAfter(from_server=0)
            proxy.cut_all()
            found = []
            with pytest.raises(FeedError):
                async for event in stream:
                    found.append(event)  # noqa: PERF401 -- likewise
            assert found == [trade("AAPL", n) for n in range(len(found))]
            await settle(lambda: feed.state.state == "closed")
        with pytest.raises(FeedError):
            await whole(feed)
        with pytest.raises(FeedError):
            async with feed.trades("AAPL"):
                pytest.fail("entered")


async def test_a_connection_for_stored_data_that_cannot_be_had(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(10)), reconnect=Reconnect(attempts=2)) as (feed, proxy):
        proxy.plan = lambda _: CutAfter(from_server=0)
        with pytest.raises(FeedError):
            await whole(feed)
        assert feed.state.state == "live"  # that is another connection
        proxy.plan = None
        assert len(await whole(feed)) == 10


async def test_a_feed_that_is_closed_ends_its_histories(autojump_clock: MockClock) -> None:
    async with memory_server(sources=[Stored(trades(1_000))]) as server, trio.open_nursery() as nursery:

        async def dial() -> trio.abc.Stream:
            return server.connect()

        async def read() -> None:
            with pytest.raises(FeedClosedError):
                async for _ in stream:
                    await trio.sleep(0.01)

        async with open_feed(URL, FeedConfig(open_stream=dial)) as feed:
            stream = feed.history("AAPL", **DAY, window=10)
            with pytest.raises(FeedClosedError, match="async with"):
                await anext(stream)
            await stream.__aenter__()
            nursery.start_soon(read)
            await trio.sleep(1)
        with pytest.raises(FeedClosedError):
            await whole(feed)


async def test_a_history_that_is_left_is_closed(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(1_000))) as (feed, _):
        async with feed.history("AAPL", **DAY, window=10) as stream:
            await anext(stream)
        with pytest.raises(FeedClosedError, match="closed"):
            async for _ in stream:
                pass


def test_moments() -> None:
    moment = 1_700_000_000_123_456_000
    assert parse_moment("start", moment) == moment
    assert parse_moment("start", "2023-11-14T22:13:20.123456Z") == moment
    assert parse_moment("start", datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)) == moment
    zone = ZoneInfo("America/New_York")
    assert parse_moment("start", datetime(2023, 11, 14, 17, 13, 20, 123_456, tzinfo=zone)) == moment
    assert parse_moment("start", "2023-11-14T17:13:20.123456") == moment


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (datetime(2023, 11, 14), "without a time zone"),
        ("yesterday", "no time"),
        (1.5, "not float"),
        (True, "not bool"),
        (2**80, "start"),
        (-(2**63), "out of reach"),
    ],
)
def test_what_is_no_moment(moment: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_moment("start", moment)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"channel": "sma"}, "stored are"),
        ({"frequency": "Minute"}, "frequency"),
        ({"rate": 0.0}, "rate"),
        ({"window": 0}, "window"),
        ({"window": True}, "window"),
        ({"end": "2023-11-13"}, "before end"),
        ({"channel": "nope"}, "nope"),
    ],
)
async def test_what_cannot_be_asked(autojump_clock: MockClock, options: dict[str, Any], why: str) -> None:
    async with stored_feed(Stored(trades(1))) as (feed, _):
        with pytest.raises(ConfigurationError, match=why):
            feed.history("AAPL", **(DAY | options))
        with pytest.raises(TypeError, match="unknown option"):
            feed.history("AAPL", **DAY, nope=1)
