"""A player that moves events to now: what shifts, when, and by how much."""

from __future__ import annotations

from math import inf

import trio
from sources.kit import SECOND, START_NS, NotingPublisher, Stage, tape
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.model import Bar, Trade


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
