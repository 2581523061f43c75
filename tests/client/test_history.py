"""Stored data of a feed: whole, in order, over cuts; windows; refusals; leaving at any point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
from connection.stored import Stored, failing, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from support import START_NS, memory_server, trade
from trio.testing import MockClock

from datafye_trio import (
    Channel,
    ConfigurationError,
    Feed,
    FeedClosedError,
    FeedConfig,
    FeedError,
    Reconnect,
    ServerConfig,
    SourceError,
    SubscriptionError,
    open_feed,
    open_raw_feed,
)  # fmt: skip
from datafye_trio.client.history import parse_moment
from datafye_trio.model import Event, FeedItem
from datafye_trio.sources import HistoryQuery
from datafye_trio.testing import CutAfter, Proxy, open_proxy

URL = "ws://test"
DAY: dict[str, Any] = {"start": "2023-11-14T00:00:00Z", "end": "2023-11-15T00:00:00Z", "channel": "trades"}
QUICK = Reconnect(first=0.001, ceiling=0.001)


@asynccontextmanager
async def stored_feed(*sources: Stored, **options: Any) -> AsyncIterator[tuple[Feed[FeedItem], Proxy]]:
    """A feed of a server with stored data, through a proxy that can cut. Nothing is left behind at the end."""
    opening = open_raw_feed if options.pop("raw", False) else open_feed
    server_config = options.pop("server", None)
    async with memory_server(server_config, sources) as server:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        async def dial() -> trio.abc.Stream:
            return proxy.connect()

        async with open_proxy(upstream) as proxy:
            config = FeedConfig(open_stream=dial, **{"reconnect": QUICK, **options})
            async with opening(URL, config) as feed:
                await feed.wait_connected()
                yield feed, proxy  # type: ignore[misc]  # raw feeds, too
                await settle(lambda: proxy.statistics().open <= 1 and not any(source.open for source in sources))


async def settle(ready: Callable[[], bool]) -> None:
    """Wait for what is to come true by itself; fails after half a minute."""
    with trio.fail_after(30):
        while not ready():  # noqa: ASYNC110 -- what tests wait for has no event
            await trio.sleep(0.01)


async def whole(feed: Feed[FeedItem], **options: Any) -> list[FeedItem]:
    async with feed.history("AAPL", **(DAY | options)) as stream:
        return [event async for event in stream]


async def test_stored_events_come_whole_and_in_order_and_end(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(10_000))) as (feed, _), feed.history("aapl", **DAY) as stream:
        found = [event async for event in stream]
        assert stream.delivered == 10_000
        assert [event async for event in stream] == []  # the end stays the end
    assert found == [trade("AAPL", n) for n in range(10_000)]


async def test_what_is_asked_for_reaches_the_source(autojump_clock: MockClock) -> None:
    source = Stored(trades(3), channels=(Channel.TRADES, Channel.AGGREGATES))
    start, end = datetime(2023, 11, 14, tzinfo=UTC), 1_700_006_400_123_456_789
    async with stored_feed(source) as (feed, _):
        async with feed.history(["msft", "aapl"], start=start, end=end, channel="ticks"):
            pass
        async with feed.history("*", start="2023-11-14", frequency="1h"):
            pass
    midnight = 1_699_920_000 * 10**9
    ticks, bars = source.queries
    assert (ticks.channel, ticks.frequency, ticks.symbols) == (Channel.TRADES, None, ("MSFT", "AAPL"))
    assert (ticks.start, ticks.end) == (midnight, end)
    assert (bars.channel, bars.frequency, bars.symbols) == (Channel.AGGREGATES, "Hour", None)
    assert bars.start == midnight + 5 * 3_600 * 10**9  # New York's
    assert START_NS <= bars.end < START_NS + 10**9  # now, by the server's clock


async def test_raw_feeds_give_what_the_server_wrote(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(3)), raw=True) as (feed, _):
        found: Any = await whole(feed)
    assert [message["tradeID"] for message in found] == ["0", "1", "2"]
    assert {message["type"] for message in found} == {"trade"}


async def test_times_in_the_unit_of_the_server(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(1)), server=ServerConfig(timestamp_unit="ms")) as (feed, _):
        assert await whole(feed) == [trade("AAPL", 0)]
        async with feed.history("AAPL", start=START_NS - 10**9, channel="trades") as stream:
            assert len([event async for event in stream]) == 1


@given(cuts=st.lists(st.integers(1, 40_000), max_size=6), size=st.integers(1, 300), window=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_cut_anywhere_the_events_are_those_of_an_uncut_stream(cuts: list[int], size: int, window: int) -> None:
    async def main() -> None:
        async with stored_feed(Stored(disordered, size=size)) as (feed, proxy):
            left = iter(cuts)
            proxy.plan = lambda _: CutAfter(from_server=next(left, None))
            async with feed.history("AAPL", **DAY, window=window) as stream:
                found = [event async for event in stream]
            proxy.plan = None
            assert found == list(disordered(None))

    trio.run(main, clock=MockClock(autojump_threshold=0))


def disordered(_: object) -> Iterator[Event]:
    """Several at a time, some that are alike, and late reports."""
    for n in range(300):
        yield trade("AAPL", n // 3 - (50 if n % 17 == 0 else 0))


async def test_a_stalled_program_stalls_its_stream_and_nothing_else(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(20_000))) as (feed, _), feed.history("AAPL", **DAY, window=100) as stalled:
        await trio.sleep(300)  # ten times the server's patience for a pong
        assert stalled.waiting == 100
        assert len(await whole(feed)) == 20_000
        assert stalled.waiting == 100
        most = 0
        found = []
        async for event in stalled:
            found.append(event)
            most = max(most, stalled.waiting)
        assert stalled.repeated == 0  # never cut
    assert found == [trade("AAPL", n) for n in range(20_000)]
    assert most < 100


async def test_a_cut_with_a_full_buffer_waits_for_room(autojump_clock: MockClock) -> None:
    source = Stored(trades(1_000))
    async with stored_feed(source) as (feed, proxy), feed.history("AAPL", **DAY, window=100) as stream:
        await settle(lambda: stream.waiting == 100)
        proxy.cut_all()
        await trio.sleep(60)
        assert stream.waiting == 100
        found = [event async for event in stream]
        assert stream.repeated == 1  # the last one, to see that it is the same
    assert found == [trade("AAPL", n) for n in range(1_000)]


async def test_a_rate(autojump_clock: MockClock) -> None:
    async with stored_feed(Stored(trades(101))) as (feed, _):
        began = trio.current_time()
        await whole(feed, rate=10.0)
        assert trio.current_time() - began == pytest.approx(10, abs=0.5)


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


@pytest.mark.parametrize("after", range(0, 60, 3))
async def test_cancelled_at_any_point_nothing_is_left(autojump_clock: MockClock, after: int) -> None:
    source = Stored(trades(2_000))
    async with stored_feed(source) as (feed, _):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, scope, after)
                async with feed.history("AAPL", **DAY, window=16) as stream:
                    async for _ in stream:
                        await trio.lowlevel.checkpoint()
        assert not feed._hub.histories  # and the kit looks at the connections


async def cancel_after(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


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
