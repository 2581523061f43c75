"""A lane: when each byte goes out, how much may be under way, and where it is cut."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from datafye_trio.testing import Conditions
from datafye_trio.testing.lanes import Lane
from datafye_trio.wire import MemoryStream, memory_transport


class Running:
    """A lane that runs, and the end where its bytes arrive."""

    def __init__(self, lane: Lane, far: MemoryStream) -> None:
        self.lane, self.far = lane, far
        self.flowing = True
        self.ended: bool | None = None
        self.passed: list[int] = []

    async def arrivals(self, count: int) -> list[tuple[float, bytes]]:
        """The next pieces, each with its time."""
        return [(await self.far.receive_some(100_000), trio.current_time())[::-1] for _ in range(count)]


@asynccontextmanager
async def running(conditions: Conditions | None = None, limit: int | None = None) -> AsyncIterator[Running]:
    near, far = memory_transport()
    it = Running(Lane(conditions or Conditions(), random.Random(1), limit), far)

    async def run() -> None:
        it.ended = await it.lane.run(near, lambda: it.flowing, it.passed.append)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield it
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("wrong", [{"latency": -1}, {"jitter": float("nan")}, {"bytes_per_second": 0}])
def test_conditions_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="from 0|above 0"):
        Conditions(**wrong)  # type: ignore[arg-type]


async def test_latency_does_not_cost_throughput(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(latency=2.0)) as it:
        for n in range(3):
            it.lane.put(b"%d" % n)
            await trio.sleep(0.5)
        assert await it.arrivals(3) == [(2.0, b"0"), (2.5, b"1"), (3.0, b"2")]


async def test_jitter_keeps_the_order_and_its_seed(autojump_clock: trio.testing.MockClock) -> None:
    async def times() -> list[tuple[float, bytes]]:
        start = trio.current_time()
        async with running(Conditions(latency=1.0, jitter=1.0)) as it:
            for n in range(20):
                it.lane.put(b"%02d" % n)
            found = b""
            seen = []
            while len(found) < 40:
                data = await it.far.receive_some(2)
                found += data
                seen.append((round(trio.current_time() - start, 6), data))
            assert found == b"".join(b"%02d" % n for n in range(20))
            assert 1.0 <= seen[0][0] < seen[-1][0] < 2.0
            return seen

    assert await times() == await times()


async def test_what_is_under_way_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(latency=60.0)) as it:
        put = 0
        with trio.move_on_after(1) as waited:
            while True:
                await it.lane.wait_room()
                it.lane.put(bytes(64 * 1024))
                put += 64 * 1024
        assert waited.cancelled_caught
        assert put == 1024 * 1024
        assert it.lane.inject(bytes(64 * 1024))
        assert not it.lane.inject(b"1")


async def test_a_rate_bounds_what_is_under_way(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(latency=2.0, bytes_per_second=1_000)) as it:
        put = 0
        with trio.move_on_after(1) as waited:
            while True:
                await it.lane.wait_room()
                it.lane.put(bytes(100))
                put += 100
        assert waited.cancelled_caught
        assert put == 2_000


async def test_without_latency_nothing_is_read_ahead(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(bytes_per_second=10)) as it:
        it.lane.put(b"0123456789")
        with trio.move_on_after(0.85) as waited:
            await it.lane.wait_room()
        assert waited.cancelled_caught


async def test_no_latency_any_more_lets_all_go(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(latency=60.0)) as it:
        it.lane.put(b"a")
        it.lane.put(b"b")
        await trio.sleep(1)
        it.lane.conditions = Conditions()
        await trio.testing.wait_all_tasks_blocked()
        assert await it.arrivals(1) == [(1.0, b"ab")]
        it.lane.conditions = Conditions(latency=5)
        it.lane.put(b"c")
        assert await it.arrivals(1) == [(6.0, b"c")]


async def test_the_end_comes_after_what_is_under_way(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(latency=3.0)) as it:
        it.lane.put(b"last")
        it.lane.end()
        it.lane.put(b"nothing more")
        await trio.sleep(2.9)
        assert it.ended is None
        assert await it.arrivals(1) == [(3.0, b"last")]
        await trio.testing.wait_all_tasks_blocked()
        assert it.ended is True


async def test_a_rate_spreads_the_bytes(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(bytes_per_second=100)) as it:
        it.lane.put(bytes(1_000))
        found = 0
        for _ in range(100):
            found += len(await it.far.receive_some())
        assert found == 1_000
        assert trio.current_time() == pytest.approx(9.9)


async def test_a_rate_that_ends_ends_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(bytes_per_second=0.01)) as it:
        it.lane.put(b"slow")
        assert await it.arrivals(1) == [(0.0, b"s")]
        await trio.sleep(1)
        it.lane.conditions = Conditions()
        assert await it.arrivals(1) == [(1.0, b"low")]


async def test_slices_write_each_byte_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(slices=True)) as it:
        it.lane.put(b"crumbs")
        await trio.testing.wait_all_tasks_blocked()
        assert it.passed == [1] * 6


async def test_held_nothing_passes(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(held=True)) as it:
        it.lane.put(b"late")
        it.lane.end()
        with trio.move_on_after(100) as waited:
            await it.lane.wait_open()
        assert waited.cancelled_caught
        assert it.ended is None
        it.lane.conditions = Conditions()
        await it.lane.wait_open()
        assert await it.arrivals(1) == [(100.0, b"late")]


@pytest.mark.parametrize("limit", [0, 1, 5, 6])
async def test_the_limit_cuts_within_a_piece(autojump_clock: trio.testing.MockClock, limit: int) -> None:
    async with running(limit=limit) as it:
        assert it.lane.room() == limit
        it.lane.put(b"abc")
        assert it.lane.room() == limit - 3
        it.lane.put(b"def")
        await trio.testing.wait_all_tasks_blocked()
        assert it.ended is False
        assert it.lane.sent == sum(it.passed) == limit


async def test_a_cut_can_be_taken_back(autojump_clock: trio.testing.MockClock) -> None:
    async with running(limit=10) as it:
        it.lane.cut_after(3, "a")
        it.lane.cut_after(5, "b")
        assert not it.lane.lift("a")
        it.lane.put(b"1234567")
        await trio.testing.wait_all_tasks_blocked()
        assert it.lane.sent == 5
        assert it.ended is False
        assert it.lane.lift("b")
        assert not it.lane.lift("b")
        assert it.lane.limit == 10


async def test_a_cut_counts_from_what_is_being_written(autojump_clock: trio.testing.MockClock) -> None:
    """The peer does not read: 64 KiB are in its buffer, and the write goes on."""
    async with running() as it:
        it.lane.put(bytes(65_536))
        await trio.testing.wait_all_tasks_blocked()
        it.lane.put(bytes(10))
        await trio.testing.wait_all_tasks_blocked()
        it.lane.cut_after(4, "order")
        it.lane.put(bytes(10))
        found = 0
        while it.ended is None:
            found += len(await it.far.receive_some())
            await trio.testing.wait_all_tasks_blocked()
        assert it.lane.sent == 65_536 + 10 + 4


async def test_a_cut_behind_lets_what_is_queued_pass(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Conditions(latency=1)) as it:
        it.lane.put(b"whole")
        it.lane.cut_behind(4, "order")
        it.lane.put(b"half a frame")
        await trio.sleep(2)
        assert await it.arrivals(1) == [(2.0, b"wholehalf")]
        assert it.ended is False


async def test_it_says_what_is_written_and_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as it:
        it.lane.put(bytes(70_000))
        await trio.testing.wait_all_tasks_blocked()
        assert it.lane.writing
        assert not it.lane.waiting
        it.lane.conditions = Conditions(latency=1.0)
        it.lane.put(b"later")
        assert it.lane.waiting
