"""A player that goes elsewhere: seeks, the start, the end and a loop, and what is read on the way."""

from __future__ import annotations

from bisect import bisect_left
from math import inf

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sources.kit import SECOND, SPEEDS, TIMES, NotingPublisher, Stage, tape
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.errors import SourceError
from datafye_trio.sources import BATCH, Mark, PlayState
from datafye_trio.sources.pacing import TICK


@pytest.mark.parametrize("to", [3.0, 7.5, 50.0, 97.0])
async def test_a_seek_goes_both_ways_and_the_pace_begins_anew(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, to: float
) -> None:
    stage = Stage(publisher, tape(*range(100)))
    nursery.start_soon(stage.play)
    await trio.sleep(10.5)
    stage.controls.seek(round(to * SECOND))
    await trio.sleep(1.5)
    first = -(-to // 1)
    assert stage.numbers == [*range(11), first, first + 1]
    assert publisher.arrivals[11:] == pytest.approx([10.5, 11.5], abs=2 * TICK)
    assert publisher.marks[0] == (11, Mark.JUMP)
    assert stage.controls.state is PlayState.RUNNING


async def test_a_seek_while_paused_publishes_nothing_by_itself(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    stage = Stage(publisher, tape(*range(10)), speed=speed, paused=True)
    nursery.start_soon(stage.play)
    stage.controls.step(5)
    stage.controls.seek(8 * SECOND)  # drops the step
    await stage.controls.wait_settled()
    assert (stage.numbers, publisher.marks) == ([], [(0, Mark.JUMP)])
    stage.controls.step()
    await stage.controls.wait_settled()
    stage.controls.seek(2 * SECOND)
    stage.controls.step(2)
    await stage.controls.wait_settled()
    assert stage.numbers == [8, 2, 3]


async def test_paused_at_the_end_one_can_go_back(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    stage = Stage(publisher, tape(0, 1, 2), speed=speed, paused=True)
    nursery.start_soon(stage.play)
    stage.controls.step(100)
    await stage.controls.wait_settled()
    assert (stage.numbers, publisher.marks, stage.controls.state) == ([0, 1, 2], [(3, Mark.END)], PlayState.PAUSED)
    stage.controls.step()
    await stage.controls.wait_settled()
    stage.controls.seek(SECOND)
    stage.controls.step()
    await stage.controls.wait_settled()
    assert stage.numbers == [0, 1, 2, 1]
    stage.controls.resume()
    await trio.sleep(10)
    assert stage.numbers == [0, 1, 2, 1, 2]
    assert publisher.marks == [(3, Mark.END), (3, Mark.JUMP), (5, Mark.END)]
    assert (stage.controls.state, stage.opened, stage.closed) == (PlayState.ENDED, 2, 2)


async def test_resumed_at_the_end_it_ends(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(publisher, tape(0), paused=True)
    nursery.start_soon(stage.play)
    stage.controls.step(2)
    await stage.controls.wait_settled()
    stage.controls.resume()
    await wait_all_tasks_blocked()
    assert (stage.controls.state, publisher.marks) == (PlayState.ENDED, [(1, Mark.END)])


async def test_a_seek_beyond_the_end_ends_a_running_player(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    stage = Stage(publisher, tape(0, 1000), speed=speed, paused=True)
    stage.controls.seek(1001 * SECOND)
    stage.controls.resume()
    await stage.play()
    assert (stage.numbers, publisher.marks) == ([], [(0, Mark.JUMP), (0, Mark.END)])


async def test_a_loop_steps_over_its_end_and_goes_on_after_a_seek_beyond_it(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    stage = Stage(publisher, tape(0, 1, 2), speed=speed, loop=True, paused=True)
    nursery.start_soon(stage.play)
    stage.controls.step(5)
    await stage.controls.wait_settled()
    assert (stage.numbers, publisher.marks) == ([0, 1, 2, 0, 1], [(3, Mark.END)])
    stage.controls.seek(3 * SECOND)
    stage.controls.step(1)
    await stage.controls.wait_settled()
    assert stage.numbers == [0, 1, 2, 0, 1, 0]
    assert publisher.marks[1:] == [(5, Mark.JUMP), (5, Mark.END)]
    nursery.cancel_scope.cancel()


async def test_a_failure_comes_after_the_events_before_it_and_a_seek_may_avoid_it(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(publisher, tape(0, 1, 2, 3), speed=inf, paused=True)
    stage.fail_at = 2
    failed = []

    async def play() -> None:
        try:
            await stage.play()
        except SourceError as error:
            failed.append(str(error))

    nursery.start_soon(play)
    stage.controls.step(2)
    await stage.controls.wait_settled()
    stage.controls.seek(0)
    await stage.controls.wait_settled()
    assert (stage.numbers, failed) == ([0, 1], [])
    stage.controls.step(3)
    await wait_all_tasks_blocked()
    assert (stage.numbers, failed, publisher.marks) == ([0, 1, 0, 1], ["row 2 is broken"], [(2, Mark.JUMP)])


@pytest.mark.parametrize("skips", [False, True])
async def test_a_lap_begins_at_the_start_and_no_seek_goes_before_it(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, skips: bool
) -> None:
    stage = Stage(publisher, tape(0, 1, 2, 3), loop=True, start=2 * SECOND, paused=True)
    stage.skips = skips
    nursery.start_soon(stage.play)
    stage.controls.step(3)
    await stage.controls.wait_settled()
    stage.controls.seek(0)
    stage.controls.step(1)
    await stage.controls.wait_settled()
    assert stage.numbers == [2, 3, 2, 2]
    nursery.cancel_scope.cancel()


async def test_what_is_skipped_is_read_with_checkpoints_and_not_at_once(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A file of ticks has no index: its rows are read, but nobody else waits for that."""
    stage = Stage(publisher, tape(*range(20 * BATCH)), start=(20 * BATCH - 1) * SECOND)
    stage.skips = False
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not publisher.events:
            turns += 1
            await trio.lowlevel.checkpoint()

    nursery.start_soon(stage.play)
    nursery.start_soon(other)
    await wait_all_tasks_blocked()
    assert stage.numbers == [20 * BATCH - 1]
    assert turns >= 20


async def test_a_seek_is_settled_once_the_place_was_found(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    free = trio.Event()
    plain = publisher.mark

    async def mark(mark: Mark) -> None:
        await free.wait()
        await plain(mark)

    publisher.mark = mark  # type: ignore[method-assign]
    stage = Stage(publisher, tape(*range(3 * BATCH)), paused=True)
    stage.skips = False
    nursery.start_soon(stage.play)
    await stage.controls.wait_settled()
    stage.controls.seek(2 * BATCH * SECOND)
    with trio.move_on_after(1) as scope:
        await stage.controls.wait_settled()
    assert scope.cancelled_caught
    free.set()
    await stage.controls.wait_settled()
    assert publisher.marks == [(0, Mark.JUMP)]


@pytest.mark.parametrize("count", [BATCH - 1, BATCH, BATCH + 1])
async def test_a_start_behind_all_events_is_an_empty_lap(
    publisher: NotingPublisher, autojump_clock: MockClock, count: int
) -> None:
    stage = Stage(publisher, tape(*range(count)), start=10**6 * SECOND, loop=True)
    stage.skips = False
    await stage.play()
    assert (stage.numbers, publisher.marks) == ([], [(0, Mark.END)])


async def test_a_failure_before_the_start(publisher: NotingPublisher, autojump_clock: MockClock) -> None:
    stage = Stage(publisher, tape(0, 1, 2), start=2 * SECOND)
    stage.skips, stage.fail_at = False, 1
    with pytest.raises(SourceError, match="row 1"):
        await stage.play()


_ASKED = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(1, 12)),
        st.tuples(st.just("seek"), st.integers(-2, 22)),
        st.tuples(st.just("pause"), st.just(0)),
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(TIMES, _ASKED, st.sampled_from(SPEEDS), st.booleans(), st.booleans())
def test_steps_and_seeks_give_what_a_list_would(
    times: list[int], asked: list[tuple[str, int]], speed: float, loop: bool, skips: bool
) -> None:
    async def main() -> None:
        publisher = NotingPublisher()
        stage = Stage(publisher, tape(*times), speed=speed, loop=loop, paused=True)
        stage.skips = skips
        expected: list[int] = []
        place = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.play)
            for what, value in asked:
                if what == "step":
                    stage.controls.step(value)
                    for _ in range(value):
                        if place == len(times) and loop:
                            place = 0
                        if place < len(times):
                            expected.append(place)
                            place += 1
                elif what == "seek":
                    stage.controls.seek(value * SECOND)
                    place = bisect_left(times, value)
                else:
                    stage.controls.pause()
                await stage.controls.wait_settled()
                assert stage.numbers == expected
                assert stage.controls.position == (times[expected[-1]] * SECOND if expected else None)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
