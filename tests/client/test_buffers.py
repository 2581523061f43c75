"""Buffers, policy by policy: what comes out, what is dropped, and what is said of it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from datafye_trio.client.buffers import DEFAULT_CAPACITY, Buffer, Policy, make_buffer
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, TopicKey
from datafye_trio.model.gaps import Gap, Live

REFUSING: list[Policy] = ["wait", "error"]


def key(symbol: str) -> TopicKey:
    return TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, symbol)


A, B, C = key("A"), key("B"), key("C")


def put(buffer: Buffer, topic: TopicKey, *seqs: int | None, epoch: str = "e") -> list[bool]:
    return [buffer.put(topic, epoch, seq, (topic.symbol, epoch, seq)) for seq in seqs]


def pop_all(buffer: Buffer) -> list[Any]:
    """Everything; each pop makes `len` one less."""
    found = []
    while left := len(buffer):
        found.append(buffer.pop())
        assert len(buffer) == left - 1
    with pytest.raises(IndexError):
        buffer.pop()
    return found


def gap(topic: TopicKey, first: int | None, last: int | None, reason: Any = "buffer_full", epoch: str = "e") -> Gap:
    return Gap(topic, epoch, first, last, reason)


@pytest.mark.parametrize("policy", get_args(Policy))
def test_every_policy_begins_empty_and_drained(policy: Policy) -> None:
    buffer = make_buffer(policy)
    assert (len(buffer), buffer.drained, buffer.dropped, buffer.conflated) == (0, True, 0, 0)
    assert buffer.capacity == DEFAULT_CAPACITY
    with pytest.raises(IndexError):
        buffer.pop()


@pytest.mark.parametrize("policy", get_args(Policy))
def test_what_fits_comes_out_as_it_went_in(policy: Policy) -> None:
    buffer = make_buffer(policy, 8)
    put(buffer, A, 1)
    assert buffer.put_gap(gap(B, 1, 2, "slow_consumer"))
    buffer.put_mark(Live(C, "e", 7))
    assert pop_all(buffer) == [("A", "e", 1), gap(B, 1, 2, "slow_consumer"), Live(C, "e", 7)]


@pytest.mark.parametrize("capacity", [0, -1, 1.5, True, None])
def test_a_capacity_is_a_whole_number_from_one(capacity: Any) -> None:
    with pytest.raises(ConfigurationError, match="buffer capacity: a whole number of at least 1"):
        make_buffer("wait", capacity)


def test_an_unknown_policy_is_told_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="'block' is none of wait, drop_oldest, latest, error"):
        make_buffer("block", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", REFUSING)
def test_full_refuses_and_leaves_what_it_holds(policy: Policy) -> None:
    buffer = make_buffer(policy, 2)
    assert put(buffer, A, 1, 2, 3) == [True, True, False]
    assert not buffer.put_gap(gap(A, 3, 3))
    buffer.put_mark(Live(A, "e", 2))
    assert pop_all(buffer) == [("A", "e", 1), ("A", "e", 2), Live(A, "e", 2)]
    assert put(buffer, A, 3) == [True]


@pytest.mark.parametrize("policy", ["wait", "error", "drop_oldest"])
def test_drained_is_at_most_half_full(policy: Policy) -> None:
    buffer = make_buffer(policy, 5)
    seen = []
    for seq in range(1, 6):
        put(buffer, A, seq)
        seen.append(buffer.drained)
    assert seen == [True, True, False, False, False]
    while not buffer.drained:
        buffer.pop()
    assert len(buffer) == 2


def test_drop_oldest_puts_one_gap_for_each_topic_before_what_remains() -> None:
    buffer = make_buffer("drop_oldest", 2)
    for seq in (1, 2, 3):
        put(buffer, A, seq)
        put(buffer, B, seq)
    assert len(buffer) == 4
    assert buffer.dropped == 4
    assert pop_all(buffer) == [gap(A, 1, 2), gap(B, 1, 2), ("A", "e", 3), ("B", "e", 3)]


def test_a_gap_once_read_is_not_told_again() -> None:
    buffer = make_buffer("drop_oldest", 1)
    put(buffer, A, 1, 2, 3)
    assert buffer.pop() == gap(A, 1, 2)
    put(buffer, A, 4)
    assert pop_all(buffer) == [gap(A, 3, 3), ("A", "e", 4)]


def test_a_dropped_gap_that_touches_is_merged_and_one_alone_keeps_its_reason() -> None:
    buffer = make_buffer("drop_oldest", 1)
    put(buffer, A, 1)
    buffer.put_gap(gap(A, 2, 5, "slow_consumer"))
    buffer.put_gap(gap(B, 2, 5, "slow_consumer"))
    buffer.put_gap(gap(B, 6, 8, "slow_consumer"))
    put(buffer, C, 1)
    assert pop_all(buffer) == [gap(A, 1, 5), gap(B, 2, 8, "slow_consumer"), ("C", "e", 1)]
    assert buffer.dropped == 1, "gaps are no events"


def test_a_snapshot_is_kept_until_something_after_it_is_lost() -> None:
    buffer = make_buffer("drop_oldest", 1)
    buffer.put_gap(gap(A, 3, 5, "expired"))
    put(buffer, A, 0)
    put(buffer, B, 1)
    assert len(buffer) == 3
    assert (buffer.pop(), buffer.pop()) == (gap(A, 3, 5, "expired"), ("A", "e", 0))
    put(buffer, A, 0, 6, 7)
    assert pop_all(buffer) == [gap(B, 1, 1), gap(A, 6, 6), ("A", "e", 7)]
    assert buffer.dropped == 2


def test_a_new_epoch_stands_between_what_was_lost_before_and_after_it() -> None:
    buffer = make_buffer("drop_oldest", 1)
    put(buffer, A, 8, 9)
    buffer.put_gap(gap(A, None, None, "epoch_changed", "f"))
    put(buffer, A, 1, 2, 3, epoch="f")
    between = gap(A, None, None, "epoch_changed", "f")
    assert pop_all(buffer) == [gap(A, 8, 9), between, gap(A, 1, 2, epoch="f"), ("A", "f", 3)]


def test_a_mark_keeps_its_place_between_what_was_lost() -> None:
    buffer = make_buffer("drop_oldest", 1)
    put(buffer, A, 1, 2)
    buffer.put_mark(Live(A, "e", 2))
    put(buffer, A, 3, 4)
    assert pop_all(buffer) == [gap(A, 1, 2), Live(A, "e", 2), gap(A, 3, 3), ("A", "e", 4)]


def test_events_without_a_number_are_a_gap_of_unknown_size() -> None:
    buffer = make_buffer("drop_oldest", 1)
    put(buffer, A, None, None, None)
    assert pop_all(buffer) == [gap(A, None, None), ("A", "e", None)]
    assert buffer.dropped == 2


def test_latest_keeps_the_newest_of_each_topic_in_the_order_of_the_first() -> None:
    buffer = make_buffer("latest", 2)
    put(buffer, A, 1)
    put(buffer, B, 1)
    put(buffer, A, 2, 3)
    assert len(buffer) == 2
    assert buffer.conflated == 2
    assert pop_all(buffer) == [("A", "e", 3), ("B", "e", 1)]


def test_latest_keeps_gaps_and_marks_in_front_of_the_event_that_follows_them() -> None:
    buffer = make_buffer("latest", 2)
    buffer.put_gap(gap(A, 1, 2, "slow_consumer"))
    put(buffer, A, 3)
    buffer.put_gap(gap(A, 4, 5, "slow_consumer"))
    buffer.put_mark(Live(A, "e", 5))
    assert len(buffer) == 4
    put(buffer, A, 6)
    assert len(buffer) == 4
    parts = [gap(A, 1, 2, "slow_consumer"), gap(A, 4, 5, "slow_consumer"), Live(A, "e", 5)]
    assert pop_all(buffer) == [*parts, ("A", "e", 6)]


def test_latest_gives_an_event_before_the_gap_that_came_after_it() -> None:
    buffer = make_buffer("latest", 1)
    put(buffer, A, 1)
    buffer.put_gap(gap(A, 2, 3, "slow_consumer"))
    buffer.put_gap(gap(A, 4, 5, "slow_consumer"))
    assert buffer.pop() == ("A", "e", 1)
    put(buffer, A, 6)
    assert pop_all(buffer) == [gap(A, 2, 5, "slow_consumer"), ("A", "e", 6)]


def test_latest_refuses_more_topics_than_its_capacity() -> None:
    buffer = make_buffer("latest", 2)
    assert put(buffer, A, 1, 2) == [True, True]
    assert buffer.drained
    assert put(buffer, B, 1) == [True]
    assert not buffer.drained
    assert put(buffer, C, 1) == [False]
    assert put(buffer, A, 3) == [True]
    assert not buffer.put_gap(gap(C, 1, 1))
    assert buffer.put_gap(gap(B, 2, 2))
    buffer.put_mark(Live(C, "e", 2))
    assert pop_all(buffer) == [("A", "e", 3), ("B", "e", 1), gap(B, 2, 2), Live(C, "e", 2)]


@pytest.mark.parametrize("most", [1, 2, 3, 9])
@pytest.mark.parametrize("policy", get_args(Policy))
def test_many_come_out_as_one_by_one(policy: Policy, most: int) -> None:
    buffer, other = make_buffer(policy, 4), make_buffer(policy, 4)
    for one in (buffer, other):
        put(one, A, 1, 2)
        put(one, B, 1)
        one.put_gap(gap(C, 1, 2, "expired"))
        put(one, A, 3)
    taken: list[Any] = []
    while len(buffer):
        taken += (part := buffer.pop_many(most))
        assert 1 <= len(part) <= most
    assert taken == pop_all(other)
    assert buffer.pop_many(most) == []


@pytest.mark.parametrize("policy", REFUSING)
def test_what_is_appended_takes_room(policy: Policy) -> None:
    buffer = make_buffer(policy, 3)
    put(buffer, A, 1)
    assert buffer.queue is not None
    assert buffer.queue.room == 2
    buffer.queue.append("x")
    put(buffer, A, 2)
    buffer.put_mark(Live(A, "e", 2))
    buffer.put_mark(Live(B, "e", 2))
    assert buffer.queue.room == -2
    assert put(buffer, A, 3) == [False]
    assert pop_all(buffer)[1] == "x"


@pytest.mark.parametrize("policy", ["drop_oldest", "latest"])
def test_who_looks_at_topics_has_no_queue(policy: Policy) -> None:
    assert make_buffer(policy, 3).queue is None
