"""The numbered source: what it publishes is what it says, on schedule."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest
import trio
from support import RawClient, memory_server

from datafye_trio.model import Channel
from datafye_trio.protocol import Data, decode_message
from datafye_trio.testing import NumberedConfig, NumberedSource, number_of, numbered

BOTH = (Channel.TRADES, Channel.QUOTES)


def test_an_event_tells_its_number_and_its_life() -> None:
    for channel in BOTH:
        events = [numbered(channel, "AAPL", number, life) for life in (0, 1, 19) for number in (1, 2, 10**9)]
        assert [number_of(event) for event in events] == [(life, n) for life in (0, 1, 19) for n in (1, 2, 10**9)]
        assert len({repr(event) for event in events}) == len(events)


async def test_it_publishes_what_it_counts_in_the_time_it_says(autojump_clock: trio.testing.MockClock) -> None:
    source = NumberedSource(NumberedConfig(("AAPL", "MSFT"), BOTH, messages=105, rate=10.0, batch=10))
    async with memory_server(sources=[source]) as server:
        client = await RawClient.connect(server)
        await client.ask(action="subscribe", channels=["trades", "quotes"], symbols=["*"], snapshot=False)
        await client.until("subscribed")
        began = trio.current_time()
        source.go.set()
        events = await _events(client, 105)
        await source.done.wait()
        assert trio.current_time() - began == pytest.approx(10.0)
        assert sum(source.published.values()) == 105
        seen: Counter[Any] = Counter()
        for data in events:
            topic = Channel(f"{type(data.event).__name__.lower()}s"), data.event.symbol
            seen[topic] += 1
            assert data.seq == seen[topic]
            assert data.event == numbered(*topic, seen[topic])
        assert seen == source.published
        assert len(set(seen.values())) > 1


async def _events(client: RawClient, count: int) -> list[Data]:
    found: list[Data] = []
    while len(found) < count:
        payload = (await client.frame())[1]
        if b'"seq"' in payload:
            data = decode_message(payload)
            assert isinstance(data, Data)
            found.append(data)
    return found


async def test_without_end_and_at_full_speed(autojump_clock: trio.testing.MockClock) -> None:
    source = NumberedSource(NumberedConfig(("AAPL",), rate=None, batch=100, life=2))
    async with memory_server(sources=[source]) as server:
        client = await RawClient.connect(server)
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        await client.until("subscribed")
        source.go.set()
        events = await _events(client, 5_000)
        assert trio.current_time() == 0
        assert events[-1].event == numbered(Channel.TRADES, "AAPL", 5_000, 2)
        assert not source.done.is_set()
        source.stop()
        await source.done.wait()
        published = source.published["trades", "AAPL"]  # type: ignore[index]
        await _events(client, published - 5_000)
        with trio.move_on_after(1):
            assert not await _events(client, 1)


@pytest.mark.parametrize(
    "make",
    [
        partial(NumberedConfig, ()),
        partial(NumberedConfig, ("A",), ()),
        partial(NumberedConfig, ("A",), (Channel.SMA,)),
        partial(NumberedConfig, ("A",), batch=0),
        partial(NumberedConfig, ("A",), batch=2_000),
        partial(NumberedConfig, ("A",), rate=0.0),
    ],
)
def test_a_source_that_cannot_work_is_refused(make: partial[NumberedConfig]) -> None:
    with pytest.raises(ValueError, match=r"needed|above"):
        make()
