"""The policy drop_oldest: exact gaps in place, and no answer lost."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import trio
from broker.kit import make_topic
from broker.outboxes import TOPIC, Probe, answer, data
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.broker.chunks import Budget, Chunk, OutboxStatistics
from datafye_trio.broker.latest import LatestBatch


async def test_dropping_leaves_one_merged_gap_a_topic_in_place() -> None:
    other = make_topic("MSFT")
    probe = Probe(messages=4, policy="drop_oldest")
    mixed = Chunk(b"m" * 10, 3, lambda: [(TOPIC, 3, 3), (other, 7, 8)])
    last = data(4, 5)
    probe.put(data(1), data(2), mixed, last)
    assert probe.drain() == [{TOPIC: (1, 3), other: (7, 8)}, last]
    assert probe.full == 0
    assert probe.outbox.statistics().dropped == 5


async def test_only_as_much_is_dropped_as_the_new_chunk_needs() -> None:
    probe = Probe(messages=4, policy="drop_oldest")
    chunks = [data(seq) for seq in range(1, 6)]
    probe.put(*chunks)
    assert probe.drain() == [{TOPIC: (1, 1)}, *chunks[1:]]


async def test_answers_are_kept_in_their_places_and_part_the_gaps() -> None:
    probe = Probe(messages=3, policy="drop_oldest")
    asked = [answer(), answer()]
    last = data(4, 6)
    probe.put(data(1), asked[0], data(2), asked[1], data(3), last)
    assert probe.drain() == [{TOPIC: (1, 1)}, asked[0], {TOPIC: (2, 2)}, asked[1], {TOPIC: (3, 3)}, last]
    assert probe.budget.used == 0


async def test_markers_of_conflated_topics_are_kept_wake_ups_are_not() -> None:
    probe = Probe(messages=2, policy="drop_oldest")
    marker = Chunk(b"", latest=LatestBatch())
    probe.outbox.express(lambda: b"beat")
    probe.put(marker, data(1), data(2, 3))
    found = probe.drain()
    assert found[:2] == [marker, {TOPIC: (1, 1)}]
    assert len(found) == 3


async def test_gaps_that_were_taken_are_not_merged_with_later_ones() -> None:
    probe = Probe(messages=2, policy="drop_oldest")
    probe.put(data(1), data(2), data(3))
    assert probe.outbox.take_held() == [{TOPIC: (1, 1)}]
    probe.put(data(4))
    assert probe.outbox.take_held() == [{TOPIC: (2, 2)}]


async def test_too_old_is_dropped_too(autojump_clock: MockClock) -> None:
    probe = Probe(seconds=5.0, policy="drop_oldest")
    probe.put(data(1))
    await trio.sleep(3)
    probe.put(data(2))
    await trio.sleep(3)
    last = data(3)
    probe.put(last)
    assert probe.outbox.take_held() == [{TOPIC: (1, 1)}]
    assert probe.outbox.statistics().age == 3


async def test_over_the_budget_an_outbox_drops_its_own_and_still_takes_one() -> None:
    budget = Budget(100)
    greedy, other = Probe(budget), Probe(budget, policy="drop_oldest")
    for n in range(10):
        greedy.put(data(n, size=9))
    last = data(3)
    other.put(data(1), data(2, size=90), last)
    assert other.drain() == [{TOPIC: (1, 2)}, last]
    assert (other.full, greedy.full) == (0, 0)  # with the second, it would have held most itself


async def test_over_the_budget_the_outbox_that_holds_most_drops_what_another_needs() -> None:
    budget = Budget(100)
    greedy, other = Probe(budget, policy="drop_oldest"), Probe(budget)
    chunks = [data(n, size=24) for n in range(4)]
    greedy.put(*chunks)
    other.put(data(1), data(2))
    assert greedy.drain() == [{TOPIC: (0, 0)}, *chunks[1:]]
    greedy.put(answer(99))
    other.outbox.next_nowait()
    other.put(data(3), data(4))
    assert (greedy.full, other.full) == (0, 1)  # answers are not dropped


async def test_a_chunk_for_a_writer_that_waits_can_still_be_dropped_and_its_gap_comes_first() -> None:
    # A trio channel hands a chunk straight to the waiting task: then dropping found nothing, and raised WouldBlock.
    probe = Probe(messages=2, policy="drop_oldest")
    chunks = [data(1), data(2), data(3)]
    found: list[object] = []

    async def write() -> None:
        chunk = await probe.outbox.next()
        found.extend([*probe.outbox.take_held(), chunk])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        probe.put(*chunks)
    assert [*found, *probe.drain()] == [{TOPIC: (1, 1)}, *chunks[1:]]


async def test_answers_alone_fill_an_outbox_that_is_not_read() -> None:
    # They cannot be dropped; without a bound a client that asks without reading would fill the memory.
    probe = Probe(bytes=100, policy="drop_oldest")
    probe.put(*[answer(30)] * 3)
    assert (probe.full, probe.budget.used) == (0, 90)
    probe.put(data(1))
    assert (probe.full, probe.outbox.statistics().bytes) == (0, 100)
    probe.put(data(2))
    assert (probe.full, probe.outbox.statistics().bytes) == (0, 100)
    probe.put(answer(30))
    assert (probe.full, probe.budget.used) == (1, 0)
    assert probe.drain() == []


async def test_held_answers_count_until_they_are_taken_and_written(autojump_clock: MockClock) -> None:
    probe = Probe(bytes=100, policy="drop_oldest")
    asked = [answer(40), answer(40)]
    probe.put(*asked, data(1), data(2, size=20))
    assert probe.outbox.statistics() == OutboxStatistics(messages=1, bytes=100, age=0, sent=0, dropped=1)
    assert probe.outbox.take_held() == [*asked, {TOPIC: (1, 1)}]
    assert (probe.outbox.statistics().bytes, probe.budget.used) == (20, 100)
    probe.outbox.written()
    assert (probe.outbox.statistics().bytes, probe.budget.used) == (20, 20)


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(
    ops=st.lists(
        st.one_of(
            st.tuples(st.just("data"), st.sampled_from("ABC"), st.integers(1, 4)),
            st.just(("answer",)),
            st.tuples(st.just("take"), st.integers(1, 4)),
        ),
        max_size=60,
    ),
    limit=st.integers(4, 12),
)
def test_what_is_taken_and_the_gaps_together_are_exactly_what_was_put(ops: list[tuple], limit: int) -> None:
    async def main() -> None:
        probe = Probe(messages=limit, policy="drop_oldest")
        topics = {name: make_topic(name) for name in "ABC"}
        put: list[object] = []
        taken: list[object] = []
        for op in ops:
            if op[0] == "data":
                topic = topics[op[1]]
                first, topic.seq = topic.seq + 1, topic.seq + op[2]
                probe.put(data(first, topic.seq, topic=topic))
                put += [(topic, seq) for seq in range(first, topic.seq + 1)]
            elif op[0] == "answer":
                put.append(chunk := answer(1))
                probe.put(chunk)
            else:
                taken += _expand(probe.outbox.take_held())
                for _ in range(op[1]):
                    if chunk := probe.outbox.next_nowait():
                        taken += _expand([chunk])
        taken += _expand(probe.drain())
        assert probe.full == 0
        assert _parts(taken) == _parts(put)

    trio.run(main)


def _expand(items: Iterable[object]) -> list[object]:
    found: list[object] = []
    for item in items:
        if isinstance(item, dict):
            found += [(topic, seq) for topic, (first, last) in item.items() for seq in range(first, last + 1)]
        elif item.messages:
            found += [(topic, seq) for topic, first, last in item.spans() for seq in range(first, last + 1)]
        else:
            found.append(item)
    return found


def _parts(items: Iterable[object]) -> list[object]:
    """Between two answers each topic's messages in order; gaps are merged, so topics need not alternate as before."""
    parts: list[object] = [{}]
    for item in items:
        if isinstance(item, Chunk):
            parts += [item, {}]
        else:
            topic, seq = item
            parts[-1].setdefault(topic, []).append(seq)
    return parts
