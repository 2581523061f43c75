"""What is known of each symbol now: by hand, and by a task that follows a subscription."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from strategy.kit import Scripted, gap, halt, live, playing, quote, resume, trade
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio.errors import DisconnectedError, FeedClosedError, SubscriptionError
from datafye_trio.strategy.views import Latest, open_latest


def test_the_newest_of_each_symbol() -> None:
    latest = Latest()
    assert latest.get("AAPL") is None
    assert not latest
    for item in (quote(1), quote(2, "MSFT"), quote(3), live()):
        latest.add(item)
    assert latest["AAPL"] == quote(3)
    assert dict(latest) == {"AAPL": quote(3), "MSFT": quote(2, "MSFT")}
    with pytest.raises(KeyError, match="TSLA"):
        _ = latest["TSLA"]


def test_newest_is_what_came_last() -> None:
    latest = Latest()
    latest.add(trade(5))
    latest.add(trade(4))
    assert latest["AAPL"] == trade(4)


def test_halts_and_gaps_show_and_are_no_events() -> None:
    latest = Latest()
    latest.add(quote(1))
    latest.add(halt(2))
    latest.add(gap())
    assert latest["AAPL"] == quote(1)
    assert latest.halt("AAPL") == halt(2)
    assert latest.gap("AAPL") == gap()
    assert latest.halt("MSFT") is latest.gap("MSFT") is None
    latest.add(quote(3))  # up to date again
    assert latest.gap("AAPL") is None
    assert latest.halt("AAPL") == halt(2)
    latest.add(resume(4))
    assert latest.halt("AAPL") is None


async def test_a_view_follows_its_subscription(autojump_clock: MockClock) -> None:
    sub = Scripted([(1, quote(1)), (2, quote(2, "MSFT")), (3, quote(3))])
    async with playing(sub), open_latest(sub) as latest:
        assert sub.entered == 1
        assert await latest.wait("MSFT") == quote(2, "MSFT")
        assert trio.current_time() == 2
        assert latest["AAPL"] == quote(1)
        with assert_checkpoints():
            assert await latest.wait("AAPL") == quote(1)  # at once
        await trio.sleep(1.5)
        assert latest["AAPL"] == quote(3)
    assert sub.left == 1


async def test_changes(autojump_clock: MockClock) -> None:
    script = [(0, quote(0)), (1, quote(1)), (2, halt(2)), (5, quote(5)), (6, quote(6)), (6, quote(7)), (9, quote(9))]
    seen = []
    sub = Scripted(script, end=12)
    async with playing(sub), open_latest(sub) as latest:
        await trio.sleep(0.5)
        while await latest.changed():  # the first one at once: something came before
            seen.append((trio.current_time(), latest["AAPL"]))
            if trio.current_time() == 5:
                await trio.sleep(2)  # busy, while two come: told as one, and not forgotten
        assert trio.current_time() == 12
        with assert_checkpoints():
            assert not await latest.changed()
        assert latest["AAPL"] == quote(9)  # still there when the data has ended
    times = [0.5, 1, 2, 5, 7, 9]
    assert seen == [(t, event) for t, event in zip(times, map(quote, [0, 1, 1, 5, 7, 9]), strict=True)]


async def test_waiting_for_what_never_comes_ends_with_the_data(autojump_clock: MockClock) -> None:
    sub = Scripted([(1, quote(1))], end=5)
    async with playing(sub), open_latest(sub) as latest:
        with pytest.raises(FeedClosedError, match="no event of TSLA, and will be none"):
            await latest.wait("TSLA")
        assert trio.current_time() == 5
        with pytest.raises(FeedClosedError):
            await latest.wait("TSLA")
        assert await latest.wait("AAPL") == quote(1)


async def test_what_ends_the_subscription_ends_the_body(autojump_clock: MockClock) -> None:
    sub = Scripted([(1, quote(1))], end=5, failure=DisconnectedError(4001, "too slow"))
    async with playing(sub):
        with pytest.raises(DisconnectedError, match="too slow"):  # bare
            async with open_latest(sub) as latest:
                await latest.wait("AAPL")
                await trio.sleep(100)
    assert trio.current_time() == 5
    assert sub.left == 1


async def test_what_the_body_raises_leaves_it_bare(autojump_clock: MockClock) -> None:
    sub, mine = Scripted([(1, quote(1))]), ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_latest(sub):
            raise mine
    assert caught.value is mine
    group = ExceptionGroup("mine", [ValueError("a"), KeyError("b")])
    with pytest.RaisesGroup(ValueError, KeyError, check=lambda found: found is group):
        async with open_latest(Scripted([])):
            raise group
    assert sub.left == 1


async def test_refused_on_entering(autojump_clock: MockClock) -> None:
    class Refused(Scripted):
        async def __aenter__(self) -> Any:
            raise SubscriptionError("UNKNOWN_SYMBOL", "no such symbol")

    sub = Refused([])
    with pytest.raises(SubscriptionError):
        async with open_latest(sub):
            pytest.fail("entered")


async def test_a_view_is_entered_once(autojump_clock: MockClock) -> None:
    view = open_latest(Scripted([]))
    async with view:
        pass
    with pytest.raises(FeedClosedError, match="entered once"):
        async with view:
            pytest.fail("entered")


async def test_cancelled_from_outside(autojump_clock: MockClock) -> None:
    sub = Scripted([])
    with trio.move_on_after(3) as scope:
        async with open_latest(sub) as latest:
            await latest.changed()
    assert scope.cancelled_caught
    assert sub.left == 1


async def test_giving_up_a_wait_loses_nothing(autojump_clock: MockClock) -> None:
    sub = Scripted([(5, quote(5))])
    async with playing(sub), open_latest(sub) as latest:
        for wait in (latest.changed, lambda: latest.wait("AAPL")):
            with trio.move_on_after(1) as scope:
                await wait()
            assert scope.cancelled_caught
        assert await latest.changed()
        assert latest["AAPL"] == quote(5)
        await wait_all_tasks_blocked()
