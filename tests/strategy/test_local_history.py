"""Stored data of a source in the same process: read step by step, by one task or by several, up to now."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from connection.stored import Make, Stored, failing
from strategy.kit import at
from strategy.sources import opened
from strategy.ways import Market
from support import START_NS, trade
from trio.testing import MockClock, assert_checkpoints

from datafye_trio.errors import FeedClosedError, FeedError, SourceError, SubscriptionError
from datafye_trio.model import FeedItem

ALL: dict[str, Any] = {"start": START_NS, "channel": "trades"}


def some(count: int) -> Make:
    return lambda _: (trade("AAPL", n) for n in range(count))


async def test_all_of_it_in_order_and_the_source_is_closed(autojump_clock: MockClock) -> None:
    source = Stored(some(1_234), size=100)
    async with opened(source) as feed:
        with assert_checkpoints():
            async with feed.history("aapl", **ALL) as stored:
                assert [item async for item in stored] == [trade("AAPL", n) for n in range(1_234)]
                with pytest.raises(StopAsyncIteration):
                    await anext(stored)
        async with feed.history("*", **ALL) as stored:
            await anext(stored)
            assert source.open == 1
        assert source.open == 0
    assert [query.symbols for query in source.queries] == [("AAPL",), None]
    assert all(query.end == at(0) for query in source.queries)


async def test_several_tasks_get_each_event_once(autojump_clock: MockClock) -> None:
    found: list[FeedItem] = []

    async def read() -> None:
        async for item in stored:
            found.append(item)
            await trio.lowlevel.checkpoint()

    async with (
        opened(Stored(some(500), size=7)) as feed, feed.history("AAPL", **ALL) as stored,
        trio.open_nursery() as nursery,
    ):  # fmt: skip
        for _ in range(3):
            nursery.start_soon(read)
    assert sorted(found, key=str) == sorted((trade("AAPL", n) for n in range(500)), key=str)


async def test_what_cannot_be_read_any_further_is_told_after_what_was(autojump_clock: MockClock) -> None:
    source = Stored(failing(SourceError("torn"), after=150), size=100)
    found = []
    async with opened(source) as feed, feed.history("AAPL", **ALL) as stored:
        with pytest.raises(FeedError, match="cannot be read: torn"):
            async for item in stored:
                found.append(item)  # noqa: PERF401 -- kept, though it fails
    assert len(found) == 100
    source = Stored(failing(SourceError("torn")))
    async with opened(source) as feed:
        with pytest.raises(FeedError, match="torn"):
            await feed.history("AAPL", **ALL).__aenter__()
    assert source.open == 0


@pytest.mark.parametrize("checkpoints", range(6))
async def test_cancelled_anywhere_the_files_are_closed(checkpoints: int, autojump_clock: MockClock) -> None:
    source = Stored(some(1_000), size=1)
    async with opened(source) as feed:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel() -> None:
                    for _ in range(checkpoints):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                nursery.start_soon(cancel)
                async with feed.history("AAPL", **ALL) as stored:
                    async for _ in stored:
                        pass
        assert source.open == 0


async def test_entered_once_and_left_while_another_task_reads(autojump_clock: MockClock) -> None:
    async def read() -> None:
        with pytest.raises(FeedClosedError, match="not open"):
            async for _ in stored:
                pass

    async with (
        opened(Stored(some(10_000), size=1)) as feed, trio.open_nursery() as nursery,
        feed.history("AAPL", **ALL) as stored,
    ):  # fmt: skip
        nursery.start_soon(read)
        await anext(stored)
        with pytest.raises(FeedClosedError, match="entered once"):
            await stored.__aenter__()
        assert await anext(stored)


@pytest.mark.parametrize(
    ("asked", "code", "why"),
    [
        ({"symbols": ["AAPL", "QQQ"]}, "UNKNOWN_SYMBOL", "1 of the symbols are not offered by dataset Stored"),
        ({"channel": "quotes"}, "CHANNEL_NOT_AVAILABLE", "no stored quotes: it has trades"),
        ({"start": at(5)}, "NO_DATA", "up to now"),
        ({"start": START_NS, "end": START_NS + 1}, "NO_DATA", "up to now"),
    ],
)
async def test_what_is_refused(asked: dict[str, Any], code: str, why: str, autojump_clock: MockClock) -> None:
    async with opened(Stored(some(0))) as feed:
        with pytest.raises(SubscriptionError, match=why) as caught:
            await feed.history(**({"symbols": "AAPL"} | ALL | asked)).__aenter__()
        assert caught.value.code == code


async def test_a_dataset_without_stored_data(autojump_clock: MockClock) -> None:
    class Bare:
        dataset, run = Market([]).dataset, Stored(some(0)).run

    async with opened(Bare()) as feed:
        with pytest.raises(SubscriptionError, match="dataset Market has no stored data"):
            await feed.history("AAPL", **ALL).__aenter__()
