"""Windows of so many events."""

from __future__ import annotations

import pytest
import trio
from strategy.kit import Scripted, at, gap, live, playing, trade
from trio.testing import MockClock

from datafye_trio.errors import ConfigurationError, DisconnectedError
from datafye_trio.model import FeedItem, Trade
from datafye_trio.strategy.windows import Window, count_windows


def window(start: float, end: float, *items: FeedItem, partial: bool = False) -> Window:
    return Window(at(start), at(end), items, 0, partial)


async def test_by_count(autojump_clock: MockClock) -> None:
    items = [trade(0), gap(), trade(1), trade(2), live(), trade(3), trade(4)]
    script = Scripted([(n, item) for n, item in enumerate(items)], end=9)
    async with playing(script):
        assert [(trio.current_time(), one) async for one in count_windows(script, 2)] == [
            (2, window(0, 1, trade(0), gap(), trade(1))),
            (5, window(2, 3, trade(2), live(), trade(3))),
            (9, window(4, 4, trade(4), partial=True)),
        ]


async def test_by_count_without_a_rest(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (1, trade(1))], end=9)
    async with playing(script):
        windows = count_windows(script, 1)
        assert [one.items async for one in windows] == [(trade(0),), (trade(1),)]
        with pytest.raises(StopAsyncIteration):
            await anext(windows)


async def test_by_count_an_error_comes_after_what_was_received(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0))], end=1, failure=DisconnectedError(4001, "too slow"))
    async with playing(script):
        windows = count_windows(script, 2)
        assert await anext(windows) == window(0, 0, trade(0), partial=True)
        with pytest.raises(DisconnectedError):
            await anext(windows)


async def test_by_count_giving_up_loses_nothing(autojump_clock: MockClock) -> None:
    script = Scripted([(n, trade(n)) for n in range(10)], end=12)
    found: list[Trade] = []
    async with playing(script):
        windows = count_windows(script, 5)
        while len(found) < 10:
            with trio.move_on_after(0.7):
                found += (await anext(windows)).items  # type: ignore[arg-type]
    assert found == [trade(n) for n in range(10)]


async def test_counts_that_make_no_sense() -> None:
    for count in (0, 2.5):
        with pytest.raises(ConfigurationError, match="count"):
            count_windows(Scripted([]), count)  # type: ignore[arg-type]
