import pytest
import trio

from datafye_trio.model import Trade
from datafye_trio.sources.base import BATCH
from datafye_trio.sources.pacing import TICK, flood, pace

SECOND = 10**9


def timed(*times):
    return iter([(time, Trade("A", time, 1.0, number)) for number, time in enumerate(times)])


async def test_each_event_comes_when_it_is_due(publisher, autojump_clock):
    assert await pace(timed(0, SECOND, 90 * SECOND), publisher, origin=0, speed=1.0) == 3
    assert publisher.arrivals == pytest.approx([0.0, 1.0, 90.0], abs=TICK)


async def test_the_first_event_waits_for_the_time_since_the_origin(publisher, autojump_clock):
    await pace(timed(7 * SECOND), publisher, origin=2 * SECOND, speed=2.0)
    assert publisher.arrivals == pytest.approx([2.5])


@pytest.mark.parametrize("speed", [0.1, 10.0, 1000.0])
async def test_speed_divides_the_gaps(speed, publisher, autojump_clock):
    await pace(timed(0, 100 * SECOND, 1000 * SECOND), publisher, origin=0, speed=speed)
    assert publisher.arrivals == pytest.approx([0.0, 100 / speed, 1000 / speed], abs=TICK)


async def test_a_slow_schedule_does_not_drift(publisher, autojump_clock):
    await pace(timed(*range(0, 10_000 * SECOND, 10 * SECOND)), publisher, origin=0, speed=1.0)
    assert publisher.arrivals == pytest.approx([10.0 * n for n in range(1000)], abs=1e-6)


@pytest.mark.unmeasured
async def test_a_fast_schedule_wakes_once_a_tick_is_never_early_and_does_not_drift(publisher, autojump_clock):
    gap = SECOND // 5_000
    await pace(timed(*range(0, 20 * SECOND, gap)), publisher, origin=0, speed=1.0)
    lateness = [at - n / 5_000 for n, at in enumerate(publisher.arrivals)]
    assert len(lateness) == 100_000
    assert min(lateness) > -1e-6
    assert max(lateness) <= TICK + 1e-6
    assert len(publisher.batches) <= 20 / TICK + 1


async def test_after_a_stall_all_that_is_overdue_goes_out_at_once_in_order(publisher, autojump_clock):
    stalls = [30.0]

    async def stall():
        await trio.sleep(stalls.pop() if stalls and len(publisher.batches) == 5 else 0)

    publisher.before = stall
    gap = SECOND // 100
    await pace(timed(*range(0, 60 * SECOND, gap)), publisher, origin=0, speed=1.0)
    assert [event.size for event in publisher.events] == list(range(6_000))
    assert max(len(batch) for _, batch in publisher.batches) == BATCH
    after = [(n, at) for n, at in enumerate(publisher.arrivals) if at > 31.0]
    assert after[0][0] > 3_000
    assert all(abs(at - n / 100) <= TICK for n, at in after)


async def test_what_is_due_at_the_same_time_goes_out_at_the_same_time(publisher, autojump_clock):
    times = [n * 12_345_678_901 for n in range(1, 500) for _ in range(2)]
    await pace(timed(*times), publisher, origin=0, speed=3.0)
    assert [len(batch) for _, batch in publisher.batches] == [2] * 499


async def test_equal_times_and_times_in_the_past_go_out_together(publisher, autojump_clock):
    assert await pace(timed(5, 5, 5), publisher, origin=5, speed=1.0) == 3
    assert [len(batch) for _, batch in publisher.batches] == [3]


@pytest.mark.parametrize("count", [BATCH, BATCH + 1, 3 * BATCH])
async def test_overdue_events_go_in_full_batches(count, publisher, autojump_clock):
    assert await pace(timed(*[0] * count), publisher, origin=0, speed=1.0) == count
    sizes = [len(batch) for _, batch in publisher.batches]
    assert sum(sizes) == count
    assert all(size == BATCH for size in sizes[:-1])


@pytest.mark.parametrize("publish", [lambda events, to: pace(events, to, origin=0, speed=1.0), flood])
async def test_no_events(publish, publisher, autojump_clock):
    assert await publish(timed(), publisher) == 0
    assert publisher.batches == []


async def test_a_flood_asks_for_room_before_each_full_batch(publisher, autojump_clock):
    assert await flood(timed(*range(2 * BATCH + 5)), publisher) == 2 * BATCH + 5
    assert [len(batch) for _, batch in publisher.batches] == [BATCH, BATCH, 5]
    assert publisher.rooms == 4
    assert [event.size for event in publisher.events] == list(range(2 * BATCH + 5))


async def test_a_flood_reads_nothing_while_there_is_no_room(publisher, autojump_clock):
    read = []

    def source():
        for event in timed(*range(10)):
            read.append(event)
            yield event

    publisher.room = trio.sleep_forever
    with trio.move_on_after(100):
        await flood(source(), publisher)
    assert read == []
    assert publisher.batches == []
