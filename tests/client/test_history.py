"""Stored data of a feed: whole, in order, over cuts; windows; leaving at any point."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from client.storing import DAY, settle, stored_feed, whole
from connection.stored import Stored, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from support import START_NS, trade
from trio.testing import MockClock

from datafye_trio import (
    Channel,
    ServerConfig,
)  # fmt: skip
from datafye_trio.model import Event
from datafye_trio.testing import CutAfter


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


@pytest.mark.unmeasured
@given(cuts=st.lists(st.integers(1, 40_000), max_size=6), size=st.integers(1, 300), window=st.integers(1, 400))
@settings(max_examples=25)
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


@pytest.mark.unmeasured
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
