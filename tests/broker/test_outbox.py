"""The outbox: its limits, its ends, what overtakes, and what a source at full speed sees of it."""

from __future__ import annotations

import pytest
import trio
from broker.outboxes import Probe, answer, data
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio.broker.chunks import Budget, Chunk, OutboxStatistics, Policy
from datafye_trio.broker.outbox import MAX_EXPRESS


async def test_chunks_come_out_in_order_and_are_counted(autojump_clock: MockClock) -> None:
    probe = Probe()
    chunks = [data(1, 3), answer(), data(4)]
    probe.put(*chunks)
    assert probe.outbox.pending()
    assert probe.outbox.statistics() == OutboxStatistics(messages=4, bytes=30, age=0, sent=0, dropped=0)
    assert probe.drain() == chunks
    assert probe.outbox.statistics() == OutboxStatistics(messages=0, bytes=0, age=0, sent=0, dropped=0)
    assert not probe.outbox.pending()
    assert probe.budget.used == 0
    assert probe.room == 3


@pytest.mark.parametrize(
    ("limits", "fitting", "over"),
    [
        ({"messages": 10}, [data(1, 9)], data(10, 11)),
        ({"messages": 3}, [answer(), answer(), answer()], answer()),
        ({"bytes": 30}, [data(1), data(2)], data(3, size=11)),
    ],
    ids=["messages", "chunks", "bytes"],
)
async def test_at_the_limit_is_fine_and_beyond_it_is_full(
    limits: dict[str, int], fitting: list[Chunk], over: Chunk
) -> None:
    probe = Probe(**limits)
    probe.put(*fitting)
    assert probe.full == 0
    probe.put(over)
    assert probe.full == 1


async def test_exactly_the_limit_fits() -> None:
    probe = Probe(messages=3, bytes=30)
    probe.put(data(1), data(2), data(3))
    assert (probe.full, probe.outbox.statistics().bytes) == (0, 30)


async def test_an_empty_outbox_takes_one_chunk_of_any_size() -> None:
    probe = Probe(messages=3, bytes=30)
    probe.put(data(1, 100, size=1_000))
    assert probe.full == 0
    probe.put(data(101))
    assert probe.full == 1


async def test_the_age_of_the_oldest_is_a_limit(autojump_clock: MockClock) -> None:
    probe = Probe(seconds=5.0)
    probe.put(data(1))
    await trio.sleep(5.0)
    probe.put(data(2))
    assert probe.full == 0
    await trio.sleep(0.1)
    assert probe.outbox.statistics().age == pytest.approx(5.1)
    probe.put(data(3))
    assert probe.full == 1


async def test_taking_the_oldest_makes_it_young_again(autojump_clock: MockClock) -> None:
    probe = Probe(seconds=5.0)
    probe.put(data(1))
    await trio.sleep(4)
    probe.put(data(2))
    probe.outbox.next_nowait()
    await trio.sleep(4)
    probe.put(data(3))
    assert probe.full == 0
    assert probe.outbox.statistics().age == 4


async def test_the_budget_is_shared_and_given_back() -> None:
    budget = Budget(100)
    greedy, modest = Probe(budget), Probe(budget)
    greedy.put(data(1, size=90))
    modest.put(data(1, size=10))
    assert (budget.used, modest.full) == (100, 0)
    greedy.put(data(2, size=1))
    assert greedy.full == 1
    assert budget.used == 10
    modest.outbox.close()
    assert (budget.used, budget.outboxes) == (0, set())


async def test_what_is_being_written_is_on_the_budget_and_closed_it_is_not() -> None:
    probe = Probe()
    probe.put(data(1), data(2))
    probe.outbox.next_nowait()
    assert (probe.outbox.statistics().bytes, probe.budget.used) == (10, 20)
    probe.outbox.written()
    assert probe.budget.used == 10
    probe.outbox.next_nowait()
    probe.outbox.close()
    assert probe.budget.used == 0
    probe.outbox.written()
    assert probe.budget.used == 0


async def test_over_the_budget_the_outbox_that_holds_most_is_full() -> None:
    """It was the one that grew: 190 clients that did not read had every client cut that did."""
    budget = Budget(100)
    greedy, other, empty = Probe(budget), Probe(budget), Probe(budget)
    greedy.put(data(1, size=60))
    other.put(data(1, size=40))
    empty.put(data(1, size=1))
    assert (greedy.full, other.full, empty.full, budget.used) == (1, 0, 0, 41)
    empty.put(data(2, size=60))  # itself, it would hold most
    assert (other.full, empty.full, budget.used) == (0, 1, 40)


async def test_disconnect_calls_once_forgets_what_waits_and_takes_nothing_more() -> None:
    probe = Probe(messages=2)
    probe.put(data(1), data(2), data(3), data(4), answer())
    assert probe.full == 1
    assert probe.drain() == []
    assert not probe.outbox.pending()
    probe.outbox.express(lambda: b"heartbeat")
    assert probe.outbox.take_express() == []
    assert probe.budget.used == 0
    assert probe.outbox.statistics() == OutboxStatistics(messages=0, bytes=0, age=0, sent=0, dropped=0)


# What overtakes, and the ends


async def test_express_overtakes_and_is_made_when_it_is_taken() -> None:
    probe = Probe()
    made = []
    probe.put(data(1))
    probe.outbox.express(lambda: made.append("beat") or b"beat")
    assert made == []
    assert probe.outbox.take_express() == [b"beat"]
    assert probe.outbox.take_express() == []


@pytest.mark.parametrize("policy", ["disconnect", "drop_oldest"])
async def test_express_wakes_a_writer_that_waits_and_is_no_message(policy: Policy) -> None:
    probe = Probe(policy=policy)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            chunk = await probe.outbox.next()
            assert (chunk.data, chunk.messages) == (b"", 0)
            assert probe.outbox.take_express() == [b"beat", b"pong"]

        await wait_all_tasks_blocked()
        probe.outbox.express(lambda: b"beat")
        probe.outbox.express(lambda: b"pong")
    assert not probe.outbox.pending()


async def test_too_many_pongs_that_are_not_read_are_full_too() -> None:
    probe = Probe()
    for _ in range(MAX_EXPRESS):
        probe.outbox.express(lambda: b"pong")
    assert probe.full == 0
    probe.outbox.express(lambda: b"pong")
    probe.outbox.express(lambda: b"pong")
    assert probe.full == 1
    assert not probe.outbox.pending()


async def test_sealed_it_takes_nothing_more_but_can_be_emptied() -> None:
    probe = Probe()
    first = data(1)
    probe.put(first)
    probe.outbox.seal()
    probe.put(data(2))
    probe.outbox.express(lambda: b"beat")
    assert probe.drain() == [first]
    assert not probe.outbox.pending()
    assert probe.full == 0


async def test_close_is_idempotent_and_makes_room() -> None:
    probe = Probe(messages=2, policy="drop_oldest")
    probe.put(answer(), data(1), data(2, 3))
    probe.outbox.express(lambda: b"beat")
    assert probe.outbox.pending()
    before = probe.room
    probe.outbox.close()
    probe.outbox.close()
    assert probe.room > before
    assert not probe.outbox.pending()
    assert (probe.drain(), probe.budget.used, probe.full) == ([], 0, 0)


async def test_next_waits_for_a_chunk() -> None:
    probe = Probe()
    chunk = data(1)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            assert await probe.outbox.next() is chunk

        await wait_all_tasks_blocked()
        probe.put(chunk)


async def test_next_is_a_checkpoint_also_when_something_waits() -> None:
    probe = Probe()
    probe.put(data(1))
    with assert_checkpoints():
        await probe.outbox.next()


async def test_next_cancelled_before_or_while_a_chunk_comes_has_taken_nothing() -> None:
    probe = Probe()
    first, second = data(1), data(2)
    with trio.CancelScope() as scope:
        scope.cancel()
        await probe.outbox.next()
    probe.put(first)
    with trio.CancelScope() as scope:
        scope.cancel()
        await probe.outbox.next()
    assert scope.cancelled_caught
    assert probe.outbox.next_nowait() is first

    taken = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            taken.append(await probe.outbox.next())

        await wait_all_tasks_blocked()
        probe.put(second)
        nursery.cancel_scope.cancel()
    # The chunk arrived and the cancellation too: one of the two happened, not both.
    assert taken + probe.drain() == [second]


# What a source at full speed sees


async def test_an_idle_outbox_does_not_hold_up_a_source(autojump_clock: MockClock) -> None:
    probe = Probe()
    assert probe.outbox.congested_until(trio.current_time()) is None
    await trio.sleep(100)
    assert probe.outbox.congested_until(trio.current_time()) is None


@pytest.mark.parametrize(
    ("limits", "half", "more"),
    [({"messages": 10}, data(1, 5), data(6)), ({"bytes": 100}, data(1, size=50), data(2, size=1))],
    ids=["messages", "bytes"],
)
async def test_over_half_full_holds_up_for_five_seconds_without_movement(
    limits: dict[str, int], half: Chunk, more: Chunk, autojump_clock: MockClock
) -> None:
    probe = Probe(seconds=1_000, **limits)
    probe.put(half)
    began = trio.current_time()
    assert probe.outbox.congested_until(began) is None
    probe.put(more)
    assert probe.outbox.congested_until(began) == began + 5
    await trio.sleep(4.9)
    assert probe.outbox.congested_until(trio.current_time()) == began + 5
    await trio.sleep(0.1)
    assert probe.outbox.congested_until(began + 5) is None


async def test_older_than_a_second_holds_up_and_moving_prolongs_it(autojump_clock: MockClock) -> None:
    probe = Probe(seconds=1_000)
    began = trio.current_time()
    probe.put(data(1), data(2), data(3))
    await trio.sleep(1)
    assert probe.outbox.congested_until(trio.current_time()) is None
    await trio.sleep(0.5)
    assert probe.outbox.congested_until(trio.current_time()) == began + 5
    probe.outbox.next_nowait()
    assert probe.outbox.congested_until(trio.current_time()) == began + 6.5
    probe.drain()
    assert probe.outbox.congested_until(trio.current_time()) is None


async def test_the_five_seconds_of_a_client_begin_with_its_first_chunk(autojump_clock: MockClock) -> None:
    probe = Probe(messages=10)
    await trio.sleep(1_000)
    probe.put(data(1, 6))
    assert probe.outbox.congested_until(trio.current_time()) == trio.current_time() + 5


async def test_dropping_is_not_reading(autojump_clock: MockClock) -> None:
    probe = Probe(messages=10, policy="drop_oldest")
    began = trio.current_time()
    probe.put(data(1, 6))
    await trio.sleep(4)
    probe.put(data(7, 12))
    assert probe.outbox.statistics().dropped == 6
    assert probe.outbox.congested_until(trio.current_time()) == began + 5
