"""Room for stored data: what is put only after waiting for it never fills an outbox."""

from __future__ import annotations

from math import inf

import pytest
import trio
from broker.outboxes import Probe, answer, data
from trio.testing import MockClock, assert_checkpoints

from datafye_trio.broker.chunks import Budget
from datafye_trio.broker.outbox import STREAM_BYTES, STREAM_MESSAGES


async def test_room_for_stored_data_is_far_below_the_limits(autojump_clock: MockClock) -> None:
    probe = Probe(seconds=inf)
    outbox = probe.outbox
    with assert_checkpoints():
        await outbox.wait_room()
    put = 0
    with trio.move_on_after(1):
        while True:
            await outbox.wait_room()
            outbox.put(data(1, 100, size=outbox.stream_bytes))
            put += 1
    assert (put, outbox.statistics().bytes) == (4, STREAM_BYTES)
    outbox.put(answer())
    assert probe.full == 0


@pytest.mark.parametrize("limits", [{"bytes": 4_000}, {"messages": 2_048}, {"bytes": 3}], ids=str)
async def test_room_leaves_half_of_a_small_outbox_to_answers(autojump_clock: MockClock, limits: dict[str, int]) -> None:
    probe = Probe(**limits)
    with trio.move_on_after(1):
        while True:
            await probe.outbox.wait_room()
            probe.put(data(1, STREAM_MESSAGES, size=probe.outbox.stream_bytes))
    found = probe.outbox.statistics()
    assert found.messages > 0
    assert found.messages <= probe.outbox.limits.messages // 2
    assert found.bytes <= probe.outbox.limits.bytes // 2


@pytest.mark.parametrize("free", ["take", "close", "seal"])
async def test_those_who_wait_for_room_are_woken(autojump_clock: MockClock, free: str) -> None:
    probe = Probe(bytes=4_000)
    probe.put(data(1, size=2_000))
    woken: list[float] = []

    async def wait() -> None:
        await probe.outbox.wait_room()
        woken.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.sleep(2)
        assert not woken
        {"take": probe.outbox.next_nowait, "close": probe.outbox.close, "seal": probe.outbox.seal}[free]()
    assert len(woken) == 3
    with assert_checkpoints():
        await probe.outbox.wait_room()


async def test_room_is_also_room_in_the_budget_that_others_hold(autojump_clock: MockClock) -> None:
    budget = Budget(100_000)
    other, probe = Probe(budget), Probe(budget)
    other.put(data(1, size=50_000))
    with trio.move_on_after(1) as scope:
        await probe.outbox.wait_room()
    assert scope.cancelled_caught
    other.drain()
    with trio.fail_after(1):
        await probe.outbox.wait_room()


async def test_room_for_less_than_the_mark(autojump_clock: MockClock) -> None:
    probe = Probe()
    size = probe.outbox.stream_bytes
    assert probe.outbox.has_room(1)  # alone, whatever its size
    probe.put(data(1, size=1_000))
    assert not probe.outbox.has_room(size + 999)
    assert probe.outbox.has_room(size + 1_000)
    with trio.move_on_after(1) as scope:
        await probe.outbox.wait_room(size + 999)
    assert scope.cancelled_caught
    probe.outbox.next_nowait()
    with trio.fail_after(1):
        await probe.outbox.wait_room(1)


async def test_there_is_no_room_behind_what_is_too_old(autojump_clock: MockClock) -> None:
    probe = Probe(seconds=5.0)
    probe.put(data(1), data(2))
    await trio.sleep(5)
    assert probe.outbox.has_room()
    await trio.sleep(0.1)
    assert not probe.outbox.has_room()
    probe.put(data(3))
    assert probe.full == 1  # what has_room spares whoever asks first
