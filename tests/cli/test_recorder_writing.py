"""Between the messages and the files of a recording: when rows are written, and what happens when they cannot be."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from cli.recording import FULL, Bench, data, good
from support import START_NS
from trio.testing import MockClock

from datafye_trio.errors import ConfigurationError, RecordingError


async def test_what_came_is_on_disk_half_a_second_later(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 20)
        for number in range(1, 100):
            line.say(data(number))
            await trio.sleep(0.13)
            old = [row for row in bench.sink.waiting if row[1] < START_NS + (trio.current_time() - 0.6) * 1e9]
            assert old == []
    steps = [after - before for before, after in zip(bench.sink.flushes, bench.sink.flushes[1:], strict=False)]
    assert max(steps) < 0.56
    assert bench.recorder.flushed_at == bench.sink.flushes[-1]


async def test_the_end_writes_what_is_under_way(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        await trio.sleep(0.76)
        for number in range(1, 3_001):
            line.say(data(number))
        await trio.testing.wait_all_tasks_blocked()
        bench.recorder.stop()
    assert bench.sink.numbers == list(range(1, 3_001))
    assert trio.current_time() == 0.76


async def test_cancelled_from_outside_it_writes_what_it_has(autojump_clock: MockClock) -> None:
    bench = Bench([good(*(data(number) for number in range(1, 3_001)))])
    with trio.move_on_after(0.01):
        await bench.run()
    assert bench.sink.numbers == list(range(1, 3_001))


async def test_a_full_disk_is_told_once_and_the_stream_goes_on(autojump_clock: MockClock) -> None:
    line = good(data(1))
    bench = Bench([line])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 30)
        await trio.sleep(1)
        bench.sink.failure = FULL
        for number in range(2, 12):
            line.say(data(number))
            await trio.sleep(1)
        assert bench.told == [str(FULL)]
        assert bench.recorder.flushed_at is not None
        assert bench.recorder.flushed_at < 2
        bench.sink.failure = None
        await trio.sleep(1)
    assert bench.told == [str(FULL), "the recording can be written again; rows lost so far: 0"]
    assert bench.sink.numbers == list(range(1, 12))
    assert bench.tally.gaps == 0


async def test_rows_that_never_found_room_are_lost_and_counted(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    bench.sink.failure, bench.sink.room = FULL, 4
    for number in range(1, 11):
        line.say(data(number))
    await bench.run(3)
    assert (bench.sink.rows, bench.sink.lost) == ([], 10)
    assert bench.told == [str(FULL), str(FULL)]  # when it began, and at the end


async def test_rows_dropped_by_a_flush_are_told_each_time(autojump_clock: MockClock) -> None:
    bench = Bench([good(data(1))])

    def flush() -> None:
        bench.sink.lost += 1
        raise RecordingError(f"row {bench.sink.lost} fits no column")

    bench.sink.flush = flush  # type: ignore[method-assign]
    await bench.run(0.6)
    assert bench.told[:2] == ["row 1 fits no column", "row 2 fits no column"]


async def test_a_folder_that_cannot_be_recorded_to_ends_it(autojump_clock: MockClock) -> None:
    bench = Bench([good()])
    bench.refusal = ConfigurationError("pyarrow is missing")
    with pytest.RaisesGroup(ConfigurationError):
        await bench.run()


async def test_while_the_writer_is_stuck_nothing_is_read_and_nothing_lost(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel is full: the server is to notice. That we did not listen is not taken for the server's silence."""
    line = good(*(data(number) for number in range(1, 20_001)))
    bench = Bench([line])
    stuck = trio.Event()
    move = bench.recorder._move
    monkeypatch.setattr(bench.recorder, "_move", lambda: stuck.is_set() and move())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 120)
        await trio.sleep(100)
        assert bench.tally.rows == 16_384
        stuck.set()
    assert bench.sink.numbers == list(range(1, 20_001))
    assert bench.connected_at == [0]
