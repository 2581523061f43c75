"""Loops that were written for a server, and do not see that a recording has ended."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from strategy.kit import trade

from datafye_trio.strategy import Feed, run_on_recording

EVENTS = [trade(n) for n in range(3)]


async def subscribing(feed: Feed, rounds: int) -> None:
    for _ in range(rounds):
        async with feed.trades("*") as trades:
            async for _ in trades:
                pass


async def polling(feed: Feed, rounds: int) -> None:
    async with feed.trades("*") as trades:
        for _ in range(rounds):
            with trio.move_on_after(5):
                await trades.receive_many()


@pytest.mark.parametrize("strategy", [subscribing, polling])
@pytest.mark.parametrize("rounds", [5, 200])
def test_who_goes_on_and_on_is_told_once(
    strategy: Any, rounds: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("datafye_trio.strategy.lingering.time.monotonic", lambda: next(clock) / 10)
    run_on_recording(lambda feed: strategy(feed, rounds), EVENTS)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (rounds == 200)
    assert all(one.startswith("the recording has ended, and the strategy still runs") for one in told)
