"""Playing under controls: what is published, when, and that a pause holds in whatever the player is about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator
from math import inf
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sources.conftest import START_NS, NotingPublisher
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.errors import SourceError
from datafye_trio.model import Bar, Timed, Trade
from datafye_trio.sources import BATCH, Mark, PlayState
from datafye_trio.sources.controls import Controls
from datafye_trio.sources.pacing import TICK
from datafye_trio.sources.player import Manner, Player

SECOND = 10**9
SPEEDS = [1.0, 1000.0, inf]


def tape(*seconds: float) -> list[Timed]:
    """Trades at these seconds; each carries its number as its size."""
    return [(round(s * SECOND), Trade("A", round(s * SECOND), 1.0, n)) for n, s in enumerate(seconds)]


class Stage:
    """A player on a list of events, and everything around it."""

    def __init__(self, publisher: NotingPublisher, events: list[Timed], **manner: Any) -> None:
        self.publisher = publisher
        self.events = events
        self.opened = self.closed = 0
        self.fail_at: int | None = None
        self.skips = True
        self.controls = Controls("T", paused=manner.pop("paused", False))
        self.player = Player(self.read, publisher, self.controls, Manner(**manner))

    def read(self, start: int | None) -> Generator[Timed]:
        self.opened += 1
        try:
            for place, timed in enumerate(self.events):
                if place == self.fail_at:
                    raise SourceError(f"row {place} is broken")
                if start is None or timed[0] >= start or not self.skips:
                    yield timed
        finally:
            self.closed += 1

    async def play(self) -> None:
        await self.player.play()
        self.controls.end()

    @property
    def numbers(self) -> list[float]:
        return [event.size for event in self.publisher.events if isinstance(event, Trade)]


@pytest.fixture(params=SPEEDS, ids=str)
def speed(request: pytest.FixtureRequest) -> float:
    found: float = request.param
    return found


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


async def test_shifted_events_begin_now_and_keep_their_gaps(
    publisher: NotingPublisher, autojump_clock: MockClock, speed: float
) -> None:
    events = tape(1, 2.5)
    events.insert(1, (2 * SECOND, Bar("A", "Second", SECOND, 1, 1, 1, 1, 1, 1, 1)))
    await Stage(publisher, events, speed=speed, shift_to_now=True).play()
    first, bar, last = publisher.events
    assert isinstance(first, Trade)
    assert isinstance(bar, Bar)
    assert isinstance(last, Trade)
    assert (first.exchange_timestamp, bar.start) == (START_NS, START_NS)
    assert last.exchange_timestamp == START_NS + 3 * SECOND // 2
    assert events == [*tape(1, 2.5)[:1], events[1], *tape(1, 2.5)[1:]]  # what was read is left as it was


async def test_each_lap_shifts_anew_and_a_seek_does_not(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    began = trio.current_time()
    publisher.now_ns = lambda: START_NS + round((trio.current_time() - began) * SECOND)  # type: ignore[method-assign]
    stage = Stage(publisher, tape(0, 10), speed=inf, loop=True, shift_to_now=True, paused=True)
    nursery.start_soon(stage.play)
    await trio.sleep(5)  # now is when the first event is published, not when it was read
    stage.controls.step(1)
    await trio.sleep(100)
    stage.controls.seek(0)
    stage.controls.step(3)
    await stage.controls.wait_settled()
    times = [event.exchange_timestamp for event in publisher.events if isinstance(event, Trade)]
    assert times == [START_NS + s * SECOND for s in (5, 5, 15, 105)]
    nursery.cancel_scope.cancel()


async def test_a_first_batch_that_a_pause_held_back_shifts_when_it_goes_out(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    free = trio.Event()
    publisher.before = free.wait
    times = iter([START_NS, START_NS + 7])
    publisher.now_ns = lambda: next(times)  # type: ignore[method-assign]
    stage = Stage(publisher, tape(1), speed=inf, shift_to_now=True)
    nursery.start_soon(stage.play)
    await wait_all_tasks_blocked()
    stage.controls.pause()
    await wait_all_tasks_blocked()
    free.set()
    stage.controls.resume()
    await wait_all_tasks_blocked()
    (event,) = publisher.events
    assert isinstance(event, Trade)
    assert event.exchange_timestamp == START_NS + 7


async def test_cancelled_it_closes_what_it_reads(publisher: NotingPublisher, autojump_clock: MockClock) -> None:
    stage = Stage(publisher, tape(0, 1000))
    with trio.move_on_after(10):
        await stage.play()
    assert (stage.opened, stage.closed) == (1, 1)


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


_TIMES = st.lists(st.integers(0, 20), min_size=1, max_size=40).map(sorted)
_ASKED = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(1, 12)),
        st.tuples(st.just("seek"), st.integers(-2, 22)),
        st.tuples(st.just("pause"), st.just(0)),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(_TIMES, _ASKED, st.sampled_from(SPEEDS), st.booleans(), st.booleans())
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


@settings(max_examples=40, deadline=None)
@given(_TIMES, st.lists(st.floats(0, 5), max_size=6), st.sampled_from(SPEEDS))
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
