"""Sources in the same process: how they end, crash, are paced and made to wait, and that nothing is left behind."""

from __future__ import annotations

import pytest
import trio
from client.served import served
from strategy.kit import at, trade
from strategy.sources import Does, opened, publishing, silent
from strategy.ways import DAY, Market
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Program, Relay, Synthetic
from datafye_trio.errors import ConfigurationError, FeedClosedError, FeedError, SourceError
from datafye_trio.protocol import DatasetOffer
from datafye_trio.sources import Publisher
from datafye_trio.strategy import open_local_feed


async def test_it_ends_when_all_its_sources_have(autojump_clock: MockClock) -> None:
    one = Does(publishing([trade(1)]), name="One")
    other = Does(publishing([trade(2, "B")]), name="Other")
    async with opened(one, other) as feed, feed.trades("*") as first:
        assert await anext(first) == trade(1)
        async with feed.trades("*", dataset="Other") as second:
            assert [item async for item in second] == [trade(2, "B")]
        assert [item async for item in first] == []
    assert (one.over, other.over) == (1, 1)


async def test_one_that_cannot_go_on_ends_the_feed_after_what_came(autojump_clock: MockClock) -> None:
    failure = SourceError("line 7 is torn")
    source, other = Does(publishing([trade(1)], failure)), Does(silent, name="Other")
    async with opened(source, other) as feed, feed.trades("AAPL") as sub:
        assert await anext(sub) == trade(1)
        with pytest.raises(FeedError, match="source of Does cannot go on: line 7 is torn") as caught:
            await anext(sub)
        assert caught.value.__cause__ is failure
        for call in (lambda: feed.sleep_until(at(99)), feed.quotes("A").__aenter__):
            with pytest.raises(FeedError, match="line 7"):
                await call()
    assert other.over == 1


async def test_a_failure_that_nobody_has_met_is_raised_by_the_end_of_the_body(autojump_clock: MockClock) -> None:
    async def failing(publisher: Publisher) -> None:
        raise SourceError("gone")

    with pytest.raises(FeedError, match="gone"):
        async with opened(Does(failing)):
            await trio.sleep(1)
    with pytest.raises(ValueError, match="mine"):
        async with opened(Does(failing)):
            await trio.sleep(1)
            raise ValueError("mine")


async def test_one_with_a_nursery_of_its_own_that_cannot_go_on(autojump_clock: MockClock) -> None:
    async def failing(publisher: Publisher) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise SourceError("gone")

    with pytest.raises(FeedError, match="gone"):
        async with opened(Does(failing)) as feed, feed.trades("*") as sub:
            await anext(sub)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), KeyboardInterrupt()])
async def test_a_crash_cancels_the_body_and_comes_bare(error: BaseException, autojump_clock: MockClock) -> None:
    source = Does(publishing([trade(1)], error))
    with pytest.raises(type(error)) as caught:
        async with opened(source) as feed, feed.trades("*") as sub:
            assert await anext(sub) == trade(1)
            await trio.sleep_forever()
    assert caught.value is error


async def test_what_the_body_raises_comes_bare_and_the_source_is_stopped(autojump_clock: MockClock) -> None:
    source = Does(silent)
    with pytest.raises(KeyError, match="mine"):
        async with opened(source):
            await wait_all_tasks_blocked()
            raise KeyError("mine")
    assert (source.begun, source.over) == (1, 1)
    group = ExceptionGroup("mine", [KeyError()])
    with pytest.RaisesGroup(KeyError, check=lambda raised: raised is group):
        async with opened(source):
            raise group


async def test_cancelled_it_leaves_nothing(autojump_clock: MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    source = Does(silent)
    with trio.move_on_after(3) as scope:
        async with opened(source) as feed, feed.trades("*") as sub:
            await anext(sub)
    assert scope.cancelled_caught
    assert source.begun == source.over
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_after_the_body_all_says_closed(autojump_clock: MockClock) -> None:
    opening = opened(Market(DAY))
    async with opening as feed, feed.trades("*") as sub:
        pass
    for call in (feed.quotes("*").__aenter__, lambda: feed.sleep_until(at(99))):
        with pytest.raises(FeedClosedError, match="the feed is closed"):
            await call()
    with pytest.raises(FeedClosedError):
        await anext(sub)
    with pytest.raises(FeedClosedError, match="opened once"):
        await opening.__aenter__()


async def test_what_is_no_set_of_sources(autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigurationError, match="name a source"):
        open_local_feed()
    with pytest.raises(ConfigurationError, match="named twice"):
        open_local_feed(Synthetic(), Synthetic())
    async with served() as (_, feed):
        offer = DatasetOffer("Program", "stocks", "epoch", ("trades",), ())
        with pytest.raises(ConfigurationError, match="open_feed reads them there"):
            open_local_feed(Relay(feed, offer))
    with pytest.raises(ConfigurationError, match=r"server\.publish"):
        open_local_feed(Program())


async def test_two_feeds_of_one_process_know_nothing_of_each_other(autojump_clock: MockClock) -> None:
    async with (
        opened(Market([trade(1, "A")])) as one, opened(Market([trade(1, "B")])) as other,
        one.trades("*") as first, other.trades("*") as second,
    ):  # fmt: skip
        assert [item async for item in first] == [trade(1, "A")]
        assert [item async for item in second] == [trade(1, "B")]
