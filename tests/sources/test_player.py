"""Playing under controls: what is published, when, and that a pause holds in whatever the player is about."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sources.kit import SECOND, SPEEDS, TIMES, NotingPublisher, Stage, tape
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.sources import BATCH, Mark, PlayState
from datafye_trio.sources.pacing import TICK


async def test_a_paused_player_publishes_nothing_until_it_is_stepped(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    stage = Stage(publisher, tape(*range(10)), speed=speed, paused=True)
    nursery.start_soon(stage.play)
    await trio.sleep(100)
    assert (stage.numbers, stage.controls.position, stage.controls.state) == ([], None, PlayState.PAUSED)
    stage.controls.step()
    await stage.controls.wait_settled()
    assert (stage.numbers, stage.controls.position) == ([0], 0)
    stage.controls.step(2)
    stage.controls.step(3)  # on top of what is left
    await stage.controls.wait_settled()
    assert (stage.numbers, stage.controls.position) == ([*range(6)], 5 * SECOND)
    assert trio.current_time() == 100  # steps wait for no time to pass
    stage.controls.resume()
    await trio.sleep(100)
    assert stage.numbers == [*range(10)]
    assert stage.controls.state is PlayState.ENDED


async def test_a_step_takes_several_batches_and_asks_for_room(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    stage = Stage(publisher, tape(*range(3 * BATCH)), speed=speed, paused=True)
    nursery.start_soon(stage.play)
    stage.controls.step(2 * BATCH + 3)
    await stage.controls.wait_settled()
    assert [len(batch) for _, batch in publisher.batches] == [BATCH, BATCH, 3]
    assert publisher.rooms == 3


async def test_a_step_of_a_running_player_stops_it(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(publisher, tape(*range(10)))
    nursery.start_soon(stage.play)
    await trio.sleep(2.5)
    stage.controls.step(2)
    await stage.controls.wait_settled()
    assert stage.numbers == [0, 1, 2, 3, 4]
    await trio.sleep(100)
    assert (stage.numbers, stage.controls.state) == ([0, 1, 2, 3, 4], PlayState.PAUSED)


@pytest.mark.parametrize("held", ["publish", "room", "mark"])
async def test_a_pause_holds_wherever_the_player_waits(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, held: str
) -> None:
    """The broker has no room at the moment of the pause, and has some later: nothing may slip through."""
    free = trio.Event()
    stage = Stage(publisher, tape(*range(BATCH)), speed=inf)
    plain = getattr(publisher, held)

    async def hold(*arguments: object) -> None:
        await free.wait()
        await plain(*arguments)

    setattr(publisher, held, hold)
    nursery.start_soon(stage.play)
    await wait_all_tasks_blocked()
    before = (len(stage.numbers), len(publisher.marks))
    stage.controls.pause()
    free.set()
    await trio.sleep(100)
    assert (len(stage.numbers), len(publisher.marks)) == before
    stage.controls.resume()
    await wait_all_tasks_blocked()
    assert stage.numbers == [*range(BATCH)]
    assert publisher.marks == [(BATCH, Mark.END)]


async def test_a_step_after_a_pause_in_a_batch_takes_only_its_part(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    free = trio.Event()
    publisher.before = free.wait
    stage = Stage(publisher, tape(*[0] * 10), speed=1.0)
    nursery.start_soon(stage.play)
    await wait_all_tasks_blocked()
    stage.controls.pause()
    stage.controls.step(3)
    free.set()
    await stage.controls.wait_settled()
    assert stage.numbers == [0, 1, 2]


async def test_what_was_handed_over_before_the_pause_counts_as_published(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The broker took the batch, but the player has not run since: neither lost, nor published twice, nor a step."""
    stage = Stage(publisher, tape(*range(4)), speed=inf)
    release = trio.Event()
    plain = publisher.publish

    async def publish(events: Any) -> None:
        await plain(events)
        with trio.CancelScope(shield=True):
            await release.wait()

    publisher.publish = publish  # type: ignore[method-assign]
    nursery.start_soon(stage.play)
    await wait_all_tasks_blocked()
    stage.controls.step(1)
    release.set()
    await trio.sleep(1)
    assert stage.numbers == [0, 1, 2, 3]
    assert stage.controls.position == 3 * SECOND


async def test_a_pause_and_a_resume_wake_a_sleeper_at_once_and_nothing_comes_in_a_burst(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(publisher, tape(0, 1000, 1001, 1003))
    nursery.start_soon(stage.play)
    await trio.sleep(10)
    stage.controls.pause()
    await trio.sleep(5000)
    assert stage.numbers == [0]
    stage.controls.resume()
    await trio.sleep(100)
    assert publisher.arrivals == pytest.approx([0, 5010, 5011, 5013], abs=2 * TICK)


async def test_what_was_due_at_the_pause_is_spread_again(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A stalled broker makes a whole batch overdue; after a pause it goes at its pace."""
    stalled = [True]

    async def stall() -> None:
        if len(publisher.batches) == 1 and stalled:
            await trio.sleep(60)

    publisher.before = stall
    stage = Stage(publisher, tape(*range(100)))
    nursery.start_soon(stage.play)
    await trio.sleep(61.5)  # event 1 was held for a minute; the overdue ones follow
    stage.controls.pause()
    stalled.clear()
    await trio.sleep(10)
    published = len(stage.numbers)
    assert published > 50
    began = trio.current_time()
    stage.controls.resume()
    await trio.sleep(5)
    assert publisher.arrivals[published:] == pytest.approx(
        [began + n for n in range(len(stage.numbers) - published)], abs=2 * TICK
    )
    assert len(stage.numbers) - published in (5, 6)


async def test_what_is_due_at_once_goes_in_full_batches(publisher: NotingPublisher, autojump_clock: MockClock) -> None:
    stage = Stage(publisher, tape(*[5] * (2 * BATCH + 1), 6))
    await stage.play()
    assert [len(batch) for _, batch in publisher.batches] == [BATCH, BATCH, 1, 1]
    assert publisher.arrivals[-2:] == pytest.approx([0, 1], abs=TICK)


async def test_cancelled_it_closes_what_it_reads(publisher: NotingPublisher, autojump_clock: MockClock) -> None:
    stage = Stage(publisher, tape(0, 1000))
    with trio.move_on_after(10):
        await stage.play()
    assert (stage.opened, stage.closed) == (1, 1)


@settings(max_examples=40)
@given(TIMES, st.lists(st.floats(0, 5), max_size=6), st.sampled_from(SPEEDS))
def test_pauses_at_any_moment_lose_and_repeat_nothing(times: list[int], moments: list[float], speed: float) -> None:
    async def main() -> None:
        publisher = NotingPublisher()

        async def busy() -> None:
            await trio.sleep(0.3)

        publisher.before = busy  # so that pauses also meet batches that are being handed over
        stage = Stage(publisher, tape(*times), speed=speed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.play)
            for moment in moments:
                await trio.sleep(moment)
                if stage.controls.state is PlayState.ENDED:
                    break
                stage.controls.pause()
                held = len(stage.numbers)
                await trio.sleep(moment)
                assert len(stage.numbers) == held
                stage.controls.resume()
        assert stage.numbers == [*range(len(times))]
        assert publisher.marks == [(len(times), Mark.END)]

    trio.run(main, clock=MockClock(autojump_threshold=0))
