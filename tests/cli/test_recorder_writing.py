"""Between the events and the files of a recording: when rows are written, and what happens when they cannot be."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing
from cli.recording import FULL, Bench, market, quotes, recording
from support import START_NS
from trio.testing import MockClock

from datafye_trio.cli import recorder as module
from datafye_trio.client.tap import Tap
from datafye_trio.errors import ConfigurationError, RecordingError


async def test_what_came_is_on_disk_half_a_second_later(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            for number in range(1, 100):
                await server.publish(quotes(number, number))
                await trio.sleep(0.13)
                old = [row for row in bench.sink.waiting if row[1] < START_NS + (trio.current_time() - 0.6) * 1e9]
                assert old == []
        steps = [after - before for before, after in zip(bench.sink.flushes, bench.sink.flushes[1:], strict=False)]
    assert max(steps) < 0.51
    assert len(bench.sink.numbers) == 99
    assert bench.recorder.flushed_at == bench.sink.flushes[-1]


async def test_the_end_writes_what_is_under_way(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            await server.publish(quotes(1, 3_000))
            await trio.sleep(0.1)  # no flush is due
    assert bench.sink.numbers == list(range(1, 3_001))
    assert trio.current_time() < 1.2


async def test_what_has_come_and_is_not_taken_yet_is_written_too(autojump_clock: MockClock) -> None:
    """Stopped in the very moment: the recorder has had no turn since."""
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            take = bench.recorder._take
            bench.recorder._take = lambda _: False  # type: ignore[method-assign]
            await server.publish(quotes(1, 3_000))
            await trio.testing.wait_all_tasks_blocked()
            bench.recorder._take = take  # type: ignore[method-assign]
    assert bench.sink.numbers == list(range(1, 3_001))


async def test_cancelled_from_outside_it_writes_what_it_has(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.run)
            await trio.sleep(1)
            await server.publish(quotes(1, 3_000))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert bench.sink.numbers == list(range(1, 3_001))


async def test_a_full_disk_is_told_once_and_the_stream_goes_on(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            await server.publish(quotes(1, 1))
            await trio.sleep(1)
            bench.sink.failure = FULL
            for number in range(2, 12):
                await server.publish(quotes(number, number))
                await trio.sleep(1)
            assert bench.told == [str(FULL)]
            assert bench.recorder.flushed_at is not None
            assert bench.recorder.flushed_at <= 2
            bench.sink.failure = None
            await trio.sleep(1)
    assert bench.told == [str(FULL), "the recording can be written again; rows lost so far: 0"]
    assert bench.sink.numbers == list(range(1, 12))
    assert bench.tally.gaps.gaps == 0


async def test_rows_that_never_found_room_are_lost_and_counted(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        bench.sink.failure, bench.sink.room = FULL, 4
        async with recording(bench):
            await server.publish(quotes(1, 10))
            await trio.sleep(3)
    assert (bench.sink.rows, bench.sink.lost) == ([], 10)
    assert bench.told == [str(FULL), str(FULL)]  # when it began, and at the end


async def test_rows_dropped_by_a_flush_are_told_each_time(autojump_clock: MockClock) -> None:
    def flush() -> None:
        bench.sink.lost += 1
        raise RecordingError(f"row {bench.sink.lost} fits no column")

    async with market() as server:
        bench = Bench(server)
        bench.sink.flush = flush  # type: ignore[method-assign]
        await bench.run(1.1)
    assert bench.told[:2] == ["row 1 fits no column", "row 2 fits no column"]


async def test_a_folder_that_cannot_be_recorded_to_ends_it(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        bench.refusal = ConfigurationError("pyarrow is missing")
        with pytest.RaisesGroup(ConfigurationError):
            await bench.run()


async def test_a_writer_that_is_stuck_costs_neither_rows_nor_the_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More comes than may wait here: what is left is fetched from the server once there is room."""
    monkeypatch.setattr(module, "Tap", partial(Tap, capacity=100))
    async with market() as server:
        bench = Bench(server)
        stuck = True
        take = bench.recorder._take
        monkeypatch.setattr(bench.recorder, "_take", lambda tap: not stuck and take(tap))
        async with recording(bench):
            await trio.sleep(1)
            for first in range(1, 1_000, 10):
                await server.publish(quotes(first, first + 9))
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(20)
            stuck = False
            bench.recorder._wake()
            await trio.sleep(10)
    assert bench.sink.numbers == list(range(1, 1_001))
    assert len(bench.streams) == 1
