"""Rings: what is kept, what is forgotten first, and exactly what comes after a position."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.broker.ring import Ring, RingLimits, RingStore

EVERYTHING = RingLimits(seconds=1e9, messages=10**9, bytes=10**9)


def frames(first: int, count: int, size: int = 4) -> list[bytes]:
    return [str(seq).encode().rjust(size, b"0") for seq in range(first, first + count)]


def fill(ring: Ring, times: list[float], each: int = 1, size: int = 4) -> None:
    seq = 1
    for time in times:
        ring.append(time, seq, frames(seq, each, size))
        seq += each


def test_an_empty_ring_has_nothing_after_zero_and_knows_no_past() -> None:
    ring = Ring(RingStore(EVERYTHING, 0.0))
    assert ring.after(0) == []
    assert ring.after(-1) is None
    assert len(ring) == 0


def test_messages_younger_than_the_limit_are_kept_however_many() -> None:
    ring = Ring(RingStore(RingLimits(seconds=60, messages=10), 0.0))
    fill(ring, [second / 100 for second in range(6_001)])  # the last at 60.00 s
    assert len(ring) == 6_001
    assert ring.after(0) == frames(1, 6_001)


def test_older_ones_are_kept_up_to_the_least_number_and_no_further() -> None:
    ring = Ring(RingStore(RingLimits(seconds=60, messages=1_000), 0.0))
    fill(ring, [100.0 * n for n in range(1_500)])
    assert len(ring) == 1_000
    assert ring.after(499) is None
    assert ring.after(500) == frames(501, 1_000)


def test_a_segment_goes_only_as_a_whole_so_that_the_least_number_holds() -> None:
    ring = Ring(RingStore(RingLimits(seconds=60, messages=10), 0.0))
    fill(ring, [0.0, 100.0, 200.0], each=7)
    assert len(ring) == 14
    assert ring.after(6) is None
    assert ring.after(7) == frames(8, 14)


def test_the_byte_budget_forgets_the_oldest_segment_of_all_topics_first() -> None:
    probe = RingStore(EVERYTHING, 0.0)
    fill(Ring(probe), [0.0])
    store = RingStore(RingLimits(bytes=3 * probe.bytes), 0.0)
    first, second = Ring(store), Ring(store)
    first.append(1.0, 1, frames(1, 1))
    second.append(2.0, 1, frames(1, 1))
    first.append(3.0, 2, frames(2, 1))
    assert store.bytes == store.limits.bytes
    second.append(4.0, 2, frames(2, 1))
    assert (first.after(0), first.after(1)) == (None, frames(2, 1))
    assert second.after(0) == frames(1, 2)
    first.append(5.0, 3, frames(3, 1))
    assert second.after(0) is None
    assert first.after(1) == frames(2, 2)
    assert store.bytes == store.limits.bytes


def test_a_segment_that_alone_exceeds_the_budget_is_not_kept_but_its_position_is() -> None:
    store = RingStore(RingLimits(bytes=1_000), 0.0)
    ring = Ring(store)
    ring.append(1.0, 1, frames(1, 3, size=1_000))
    assert (len(ring), store.bytes) == (0, 0)
    assert ring.after(2) is None
    assert ring.after(3) == []


def test_what_came_in_one_pass_goes_as_one_but_for_what_is_gone_already() -> None:
    store = RingStore(RingLimits(seconds=1e9, messages=10**9, bytes=2_000), 0.0)
    first, second = Ring(store), Ring(store)
    for now in (1, 2):
        begun = store.begin(now)
        first.take(begun, now, frames(now, 1)[0])
        second.take(begun, 2 * now - 1, frames(2 * now - 1, 2))
        store.end()
    assert (first.after(0), first.after(1), second.after(0)) == (frames(1, 2), frames(2, 1), frames(1, 4))
    first.restart(7)
    second.append(3.0, 5, frames(5, 1, size=900))
    assert (second.after(1), second.after(2)) == (None, [*frames(3, 2), *frames(5, 1, size=900)])
    assert store.reach(10.0) == 9.0
    store.clear(22.0)
    assert (store.bytes, len(first), len(second), second.after(5)) == (0, 0, 0, [])


def test_where_numbers_are_left_out_nobody_is_led_across_in_silence() -> None:
    store = RingStore(EVERYTHING, 0.0)
    ring = Ring(store)
    ring.append(1.0, 1, frames(1, 3))
    ring.append(2.0, 4, frames(4, 3))
    ring.append(3.0, 10, frames(10, 2))
    assert (ring.after(3), ring.after(6), ring.after(8), ring.after(9)) == (None, None, None, frames(10, 2))
    ring.append(4.0, 1, frames(1, 1))  # a new life
    assert (ring.after(0), len(ring)) == (frames(1, 1), 1)
    fresh = RingStore(EVERYTHING, 0.0)
    Ring(fresh).append(4.0, 1, frames(1, 1))
    assert store.bytes == fresh.bytes


def test_bounds_cut_what_comes_after_a_position_but_never_to_nothing() -> None:
    ring = Ring(RingStore(EVERYTHING, 0.0))
    fill(ring, [0.0, 1.0, 2.0], each=4)
    assert ring.after(2, messages=3) == frames(3, 3)
    assert ring.after(2, size=20) == frames(3, 5)
    assert ring.after(2, size=19) == frames(3, 4)
    assert ring.after(2, 1, 1) == frames(3, 1)
    assert ring.after(12, 1, 1) == []
    assert ring.after(99, 1, 1) == []


def test_the_budget_counts_what_the_frames_take() -> None:
    small, large = RingStore(EVERYTHING, 0.0), RingStore(EVERYTHING, 0.0)
    fill(Ring(small), [0.0], size=10)
    fill(Ring(large), [0.0], size=1_010)
    assert large.bytes - small.bytes == 1_000


def test_reach_grows_to_the_limit_and_shrinks_to_what_the_budget_leaves() -> None:
    probe = RingStore(EVERYTHING, 0.0)
    fill(Ring(probe), [0.0])
    store = RingStore(RingLimits(seconds=60, bytes=2 * probe.bytes), 100.0)
    assert store.reach(100.0) == 0
    assert store.reach(130.0) == 30
    assert store.reach(1_000.0) == 60
    fill(Ring(store), [1_000.0, 1_010.0])
    assert store.reach(1_015.0) == 60
    fill(Ring(store), [1_020.0])
    assert store.reach(1_025.0) == 25


def test_what_goes_by_age_does_not_shorten_the_reach() -> None:
    store = RingStore(RingLimits(seconds=60, messages=1), 0.0)
    fill(Ring(store), [0.0, 100.0, 200.0])
    assert store.reach(200.0) == 60


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(
    appends=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 5), st.integers(0, 40)), max_size=60),
    budget=st.integers(0, 12_000),
    messages=st.integers(1, 20),
)
def test_after_is_exact_for_every_position_whatever_the_order(
    appends: list[tuple[str, int, int]], budget: int, messages: int
) -> None:
    store = RingStore(RingLimits(seconds=100, messages=messages, bytes=budget), 0.0)
    rings = {name: Ring(store) for name in "ABC"}
    published: dict[str, list[bytes]] = {name: [] for name in "ABC"}
    now = 0.0
    for name, count, pause in appends:
        now += pause
        seq = len(published[name]) + 1
        new = [b"%s%d" % (name.encode(), seq + n) for n in range(count)]
        rings[name].append(now, seq, new)
        published[name] += new
        for topic, ring in rings.items():
            all_frames = published[topic]
            for position in range(len(all_frames) + 1):
                kept = position >= len(all_frames) - len(ring)
                assert ring.after(position) == (all_frames[position:] if kept else None)
                assert ring.after(position, 3) == (all_frames[position : position + 3] if kept else None)
    assert store.bytes <= budget


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 40)), max_size=60), st.integers(1, 20))
def test_without_a_budget_the_limits_hold_exactly(appends: list[tuple[int, int]], messages: int) -> None:
    ring = Ring(RingStore(RingLimits(seconds=100, messages=messages, bytes=10**9), 0.0))
    times: list[float] = []
    now = 0.0
    for count, pause in appends:
        now += pause
        ring.append(now, len(times) + 1, frames(len(times) + 1, count))
        times += [now] * count
        young = sum(time >= now - 100 for time in times)
        assert len(ring) >= min(len(times), max(young, messages))
        # And no more than that, but for the rest of one segment.
        assert len(ring) < max(young, messages) + 5
