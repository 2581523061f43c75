"""A hub of states: watchers see the current one and each change, in order, at their own pace."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from datafye_trio.client.states import MAX_WAITING, FeedState, StateChange, States, StateWatch

URL = "ws://localhost:8080/datafye-ws/v1"


async def all_of(watch: StateWatch, into: list[StateChange]) -> None:
    async for change in watch:
        into.append(change)  # noqa: PERF401 -- what was seen before a cancellation counts


async def test_begins_with_connecting(autojump_clock: trio.testing.MockClock) -> None:
    await trio.sleep(3)
    states = States(URL)
    assert states.current == StateChange(FeedState.CONNECTING, URL, time=trio.current_time())


async def test_a_change_says_what_why_and_when(autojump_clock: trio.testing.MockClock) -> None:
    states = States(URL)
    await trio.sleep(5)
    states.set(FeedState.DISCONNECTED, why="closed with 4008", retry_in=0.2)
    assert states.current == StateChange(FeedState.DISCONNECTED, URL, "closed with 4008", 0.2, trio.current_time())
    states.set(FeedState.CONNECTING, url="ws://other")
    states.set(FeedState.CONNECTED)
    assert (states.current.url, states.current.why, states.current.retry_in) == ("ws://other", None, None)


async def test_watchers_see_the_current_state_first_and_then_each_change() -> None:
    states = States(URL, lambda: 0.0)
    first: list[StateChange] = []
    second: list[StateChange] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_of, states.watch(), first)
        await wait_all_tasks_blocked()
        assert [change.state for change in first] == ["connecting"]
        states.set(FeedState.CONNECTED)
        nursery.start_soon(all_of, states.watch(), second)
        states.set(FeedState.LIVE)
        await wait_all_tasks_blocked()
        assert [change.state for change in second] == ["connected", "live"]
        states.set(FeedState.CLOSED, why="done")
    assert [change.state for change in first] == ["connecting", "connected", "live", "closed"]
    assert first[1:] == second


async def test_closed_is_final_and_a_late_watcher_sees_it_and_ends() -> None:
    states = States(URL)
    states.set(FeedState.CLOSED, why="the first reason")
    states.set(FeedState.DISCONNECTED)
    states.set(FeedState.CLOSED, why="the second reason")
    seen: list[StateChange] = []
    watch = states.watch()
    await all_of(watch, seen)
    assert [(change.state, change.why) for change in seen] == [("closed", "the first reason")]
    with pytest.raises(StopAsyncIteration):
        await watch.__anext__()


async def test_a_watcher_that_never_reads_keeps_the_newest_and_is_told_what_it_missed() -> None:
    states = States(URL)
    watch = states.watch()
    for n in range(MAX_WAITING + 9):
        states.set(FeedState.CONNECTING, why=str(n))
    change = await watch.__anext__()
    assert (change.why, change.missed) == ("9", 10), "the first state of all is among the missed"
    assert (await watch.__anext__()).missed == 0
    states.set(FeedState.CLOSED)
    seen: list[StateChange] = []
    await all_of(watch, seen)
    assert len(seen) == MAX_WAITING - 1
    assert seen[-1].state == "closed"
    assert not any(change.missed for change in seen)


async def test_a_cancelled_read_takes_nothing() -> None:
    states = States(URL)
    watch = states.watch()
    with trio.CancelScope() as scope:
        scope.cancel()
        await watch.__anext__()
    assert scope.cancelled_caught
    assert (await watch.__anext__()).state == "connecting"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.__anext__)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    states.set(FeedState.LIVE)
    assert (await watch.__anext__()).state == "live"


async def test_a_change_in_the_moment_of_a_cancellation_is_seen_once() -> None:
    states = States(URL)
    watch = states.watch()
    before: list[StateChange] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_of, watch, before)
        await wait_all_tasks_blocked()
        states.set(FeedState.LIVE)
        nursery.cancel_scope.cancel()
    states.set(FeedState.CLOSED)
    after: list[StateChange] = []
    await all_of(watch, after)
    assert [change.state for change in before + after] == ["connecting", "live", "closed"]


async def test_two_readers_of_one_watch_share_its_changes() -> None:
    states = States(URL)
    watch = states.watch()
    one: list[StateChange] = []
    other: list[StateChange] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_of, watch, one)
        nursery.start_soon(all_of, watch, other)
        for state in (FeedState.CONNECTED, FeedState.LIVE, FeedState.CLOSED):
            await wait_all_tasks_blocked()
            states.set(state)
    assert len(one) + len(other) == 4


async def test_a_watcher_that_nobody_holds_is_gone() -> None:
    states = States(URL)
    watch = states.watch()
    async for _ in watch:
        break  # a loop that is left needs no closing
    gone = weakref.ref(watch)
    del watch
    gc.collect()
    assert gone() is None
    states.set(FeedState.LIVE)
