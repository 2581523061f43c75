"""A strategy on a recording: how it ends, what it raises, what it can be run on, and what it is told meanwhile."""

from __future__ import annotations

import functools
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import trio
from strategy.kit import at, quote, trade
from strategy.ways import DAY, moment

from datafye_trio.errors import ConfigurationError, DatafyeError
from datafye_trio.model import FeedItem, Trade
from datafye_trio.strategy import Feed, Progress, RecordingOptions, run_on_recording


async def all_trades(feed: Feed) -> list[FeedItem]:
    async with feed.trades("*") as sub:
        return [item async for item in sub]


def test_returns_what_the_strategy_returns_and_more_arguments_are_bound() -> None:
    async def strategy(feed: Feed, symbol: str, *, most: int) -> list[FeedItem]:
        async with feed.trades(symbol) as sub:
            return [item async for item in sub][:most]

    found = run_on_recording(functools.partial(strategy, symbol="MSFT", most=2), DAY)
    assert found == [one for one in DAY if type(one) is Trade and one.symbol == "MSFT"][:2]


def test_one_that_returns_early_is_not_played_further() -> None:
    seen: list[Progress] = []

    async def strategy(feed: Feed) -> FeedItem:
        async with feed.trades("*") as sub:
            return await anext(sub)

    assert run_on_recording(strategy, DAY, RecordingOptions(on_progress=seen.append)) == DAY[1]
    assert [(one.events, one.time) for one in seen] == [(4, moment(DAY[0]))]


def test_one_that_waits_for_nothing() -> None:
    async def strategy(feed: Feed) -> int:
        return feed.now()

    assert run_on_recording(strategy, DAY) == moment(DAY[0])


def test_what_it_raises_comes_bare_and_its_traceback_ends_there() -> None:
    async def strategy(feed: Feed) -> None:
        async for _ in await entered(feed):
            raise ZeroDivisionError("mine")

    async def entered(feed: Feed) -> Any:
        return await feed.trades("*").__aenter__()

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        run_on_recording(strategy, DAY)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "strategy"


@pytest.mark.parametrize("inner", [[ValueError(1)], [ValueError(1), KeyError(2)]])
def test_a_group_of_its_own_stays_as_it_is(inner: list[Exception]) -> None:
    group = ExceptionGroup("mine", inner)

    async def strategy(feed: Feed) -> None:
        await all_trades(feed)
        raise group

    with pytest.RaisesGroup(*map(type, inner), check=lambda raised: raised is group):
        run_on_recording(strategy, DAY)


def test_a_nursery_of_its_own_raises_its_group() -> None:
    async def strategy(feed: Feed) -> None:
        async def fail() -> None:
            await trio.sleep(1)
            raise ValueError("in a task")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(all_trades, feed)
            nursery.start_soon(fail)

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="in a task")):
        run_on_recording(strategy, DAY)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_programs_comes_bare(error: BaseException) -> None:
    async def strategy(feed: Feed) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(all_trades, feed)
            await trio.sleep(2)
            raise error

    with pytest.raises(BaseException) as caught:
        run_on_recording(strategy, DAY)
    leaf = caught.value.exceptions[0] if isinstance(caught.value, BaseExceptionGroup) else caught.value
    assert leaf is error


def test_a_ctrl_c_ends_it() -> None:
    async def strategy(feed: Feed) -> None:
        async with feed.trades("*") as sub:
            async for _ in sub:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_on_recording(strategy, DAY)


def test_one_that_tidies_up_when_it_is_stopped() -> None:
    async def strategy(feed: Feed) -> str:
        try:
            await trio.sleep_forever()
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return "never"

    with pytest.raises(DatafyeError, match="waits for something that never comes"):
        run_on_recording(strategy, DAY)


async def parked() -> None:
    await trio.lowlevel.ParkingLot().park()


async def nobody_sends() -> None:
    send, receive = trio.open_memory_channel[int](0)
    async with send, receive, trio.open_nursery() as nursery:
        nursery.start_soon(parked)
        await receive.receive()


@pytest.mark.parametrize("wait", [trio.sleep_forever, parked, nobody_sends])
def test_waiting_for_what_never_comes_is_told(wait: Callable[[], Any]) -> None:
    async def strategy(feed: Feed) -> None:
        await all_trades(feed)
        await wait()

    with pytest.raises(DatafyeError, match="waits for something that never comes"):
        run_on_recording(strategy, DAY)


def test_sleeping_on_and_on_after_the_end_is_told() -> None:
    rounds = 0

    async def strategy(feed: Feed) -> None:
        nonlocal rounds
        while True:
            await trio.sleep(600)
            rounds += 1

    with pytest.raises(DatafyeError, match="a day later the strategy still sleeps"):
        run_on_recording(strategy, DAY)
    assert rounds == 24 * 6

    async def overslept(feed: Feed) -> None:
        await trio.sleep(10**6)

    with pytest.raises(DatafyeError, match="still sleeps"):
        run_on_recording(overslept, DAY)


def test_what_it_raises_or_returns_when_it_is_stopped_counts() -> None:
    async def raising(feed: Feed) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("tidied up badly")

    with pytest.raises(ValueError, match="badly"):
        run_on_recording(raising, DAY)


def test_market_time_stands_still_while_a_thread_works() -> None:
    async def strategy(feed: Feed) -> Any:
        async with feed.trades("*") as sub:
            await anext(sub)
            assert await trio.to_thread.run_sync(sum, range(1_000_000)) == 499_999_500_000
            seen = feed.now(), sub.statistics().waiting
            assert len([item async for item in sub]) == 79
        await trio.to_thread.run_sync(sum, range(1_000_000))  # after the end, too
        await trio.sleep(1)
        return seen

    assert run_on_recording(strategy, DAY) == (at(1), 1)


async def test_not_where_trio_runs() -> None:
    with pytest.raises(ConfigurationError, match=r"trio runs already: call it before, or in a thread"):
        run_on_recording(all_trades, DAY)
    assert len(await trio.to_thread.run_sync(run_on_recording, all_trades, DAY)) == 80


def test_what_is_no_strategy() -> None:
    def plain(feed: Feed) -> None: ...

    async def generator(feed: Feed) -> Any:
        yield 1

    for wrong in (plain, generator, None, "crossover.py:strategy"):
        with pytest.raises(ConfigurationError, match="a strategy is an async function"):
            run_on_recording(wrong, DAY)  # type: ignore[arg-type,type-var]


def test_progress_and_an_end_by_it() -> None:
    seen: list[Progress] = []

    async def strategy(feed: Feed) -> int:
        async with feed.quotes("*") as sub:
            return len([item async for item in sub])

    events = [quote(n / 100) for n in range(2_000)]
    assert run_on_recording(strategy, events, RecordingOptions(on_progress=seen.append)) == 2_000
    assert (seen[-1].events, seen[-1].time) == (2_000, moment(events[-1]))
    assert seen[-1].seconds > 0

    def stop(progress: Progress) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        run_on_recording(strategy, events, RecordingOptions(on_progress=stop))


@pytest.mark.parametrize(("a_second", "events", "least", "most"), [(2_500, 5_000, 3, 6), (1, 5, 4, 7)])
def test_progress_about_twice_a_second(
    a_second: int, events: int, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("datafye_trio.strategy.playing.time.monotonic", lambda: next(clock) / a_second)
    seen: list[Progress] = []
    run_on_recording(all_trades, [trade(n) for n in range(events)], RecordingOptions(on_progress=seen.append))
    assert least <= len(seen) <= most
    assert len({one.events for one in seen}) >= len(seen) - 1  # the last one may be the same as the end
