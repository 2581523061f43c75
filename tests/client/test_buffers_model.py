"""Buffers against a plain model: what was put is popped in order, or stands in exactly one gap; nothing else."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.client.buffers import Buffer, Policy, make_buffer
from datafye_trio.client.trail import MAX_PARTS
from datafye_trio.model import AssetClass, Channel, TopicKey
from datafye_trio.model.gaps import Gap, Live


def key(symbol: str) -> TopicKey:
    return TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, symbol)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("ABC")),
        st.tuples(st.just("gap"), st.sampled_from("ABC")),
        st.tuples(st.just("mark"), st.sampled_from("ABC")),
        st.tuples(st.just("pop"), st.just("")),
    ),
    max_size=80,
)


class Run:
    """Drives a buffer with numbered events, and tells what came out of each topic."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.heads: defaultdict[str, int] = defaultdict(int)
        self.told: defaultdict[str, list[int]] = defaultdict(list)
        """Gaps of the server, as the numbers in them."""
        self.out: defaultdict[str, list[Any]] = defaultdict(list)

    def step(self, what: str, symbol: str) -> None:
        head = self.heads[symbol]
        if what == "put" and self.buffer.put(key(symbol), "e", head + 1, (symbol, head + 1)):
            self.heads[symbol] += 1
        elif what == "gap" and self.buffer.put_gap(Gap(key(symbol), "e", head + 1, head + 2, "slow_consumer")):
            self.heads[symbol] += 2
            self.told[symbol] += [head + 1, head + 2]
        elif what == "mark":
            self.buffer.put_mark(Live(key(symbol), "e", head))
        elif what == "pop" and self.buffer:
            self.pop()

    def pop(self) -> None:
        length = len(self.buffer)
        item = self.buffer.pop()
        assert len(self.buffer) == length - 1
        symbol = item.topic.symbol if isinstance(item, Gap | Live) else item[0]
        self.out[symbol].append(item)

    def drain(self) -> None:
        while self.buffer:
            self.pop()


def numbers(item: Any) -> list[int]:
    """The numbers that an item stands for."""
    if isinstance(item, Gap):
        assert item.first is not None
        assert item.last is not None
        return list(range(item.first, item.last + 1))
    return [] if isinstance(item, Live) else [item[1]]


def without_marks(run: Run) -> None:
    for symbol, head in run.heads.items():
        covered = [number for item in run.out[symbol] for number in numbers(item)]
        assert covered == list(range(1, head + 1)), f"{symbol}: in order, each once, none missing"


@pytest.mark.unmeasured
@given(STEPS, st.integers(1, 5), st.sampled_from(["wait", "error", "drop_oldest"]))
@settings(max_examples=150)
def test_every_number_is_an_event_or_in_one_gap_in_order(
    steps: list[tuple[str, str]], capacity: int, policy: Policy
) -> None:
    run = Run(make_buffer(policy, capacity))
    for what, symbol in steps:
        if what != "mark":
            run.step(what, symbol)
            assert len(run.buffer) <= capacity + MAX_PARTS * 3
    run.drain()
    without_marks(run)
    lost = [n for items in run.out.values() for item in items if isinstance(item, Gap) for n in numbers(item)]
    assert run.buffer.dropped == len(lost) - sum(map(len, run.told.values()))
    if policy != "drop_oldest":
        assert run.buffer.dropped == 0


@pytest.mark.unmeasured
@given(STEPS, st.integers(1, 5))
@settings(max_examples=150)
def test_with_marks_nothing_is_said_that_is_not_so(steps: list[tuple[str, str]], capacity: int) -> None:
    run = Run(make_buffer("drop_oldest", capacity))
    marked: dict[str, int] = {}
    for what, symbol in steps:
        if what == "mark":
            marked[symbol] = run.heads[symbol]
        run.step(what, symbol)
        assert len(run.buffer) <= capacity + MAX_PARTS * 3
    run.drain()
    for symbol, items in run.out.items():
        seen = 0
        for item in items:
            if isinstance(item, Gap) and item.first is None:
                seen = -1  # too many parts: an unknown number, and what comes next begins anew
                continue
            for number in numbers(item):
                assert number > seen if seen < 0 else number == seen + 1
                seen = number
            if isinstance(item, Live) and seen >= 0:
                assert item.seq == seen
        assert seen in (run.heads[symbol], -1)
        last = [item.seq for item in items if isinstance(item, Live)]
        assert last[-1:] == ([marked[symbol]] if symbol in marked else []), "the newest mark always comes"


@pytest.mark.unmeasured
@given(STEPS)
@settings(max_examples=150)
def test_latest_ends_with_the_newest_and_every_other_number_was_skipped(steps: list[tuple[str, str]]) -> None:
    run = Run(make_buffer("latest", 3))
    for what, symbol in steps:
        run.step(what, symbol)
        assert len(run.buffer) <= 3 * (2 * MAX_PARTS + 1)
    run.drain()
    events = 0
    for symbol, items in run.out.items():
        got = [n for item in items if not (isinstance(item, Gap) and item.first is None) for n in numbers(item)]
        assert got == sorted(set(got))
        popped = [item[1] for item in items if not isinstance(item, Gap | Live)]
        events += len(popped)
        puts = [n for n in range(1, run.heads[symbol] + 1) if n not in run.told[symbol]]
        assert popped[-1:] == puts[-1:]
        if not any(isinstance(item, Gap) and item.first is None for item in items):
            assert [n for item in items if isinstance(item, Gap) for n in numbers(item)] == run.told[symbol]
    assert run.buffer.conflated == sum(run.heads.values()) - sum(map(len, run.told.values())) - events
