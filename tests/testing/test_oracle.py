"""The oracle itself: it finds nothing wrong with a good run, and the flaw of each bad one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.model import AssetClass, Channel, FeedItem, Gap, Halt, Live, TopicKey
from datafye_trio.testing import Flaw, Oracle, Verdict, numbered

TRADES, QUOTES = Channel.TRADES, Channel.QUOTES
TOPIC = TRADES, "AAPL"
KEY = TopicKey("Numbered", AssetClass.STOCKS, TRADES, "AAPL")


def run(first: int, last: int, life: int = 0) -> list[FeedItem]:
    return [numbered(*TOPIC, number, life) for number in range(first, last + 1)]


def lost(first: int, last: int) -> Gap:
    return Gap(KEY, "epoch", first, last, "expired")


RESTART = Gap(KEY, "other", None, None, "epoch_changed")


def judge(items: Sequence[FeedItem], published: int, *, life: int = 0, begun: int | None = 0) -> Verdict:
    oracle = Oracle(positions=None if begun is None else {TOPIC: begun})
    for item in items:
        oracle.take(item)
    return oracle.verdict({TOPIC: published}, life=life)


def flaws(verdict: Verdict) -> dict[Flaw, int]:
    return {flaw: count for flaw, count in verdict.flaws.items() if count}


GOOD: list[tuple[list[FeedItem], int]] = [
    (run(1, 10), 10),
    ([], 0),
    ([*run(1, 3), lost(4, 6), *run(7, 10)], 10),
    ([lost(1, 2), *run(3, 5), lost(6, 6), lost(7, 8)], 8),
    ([*run(1, 3), Live(KEY, "epoch", 3), *run(4, 5)], 5),
]


@pytest.mark.parametrize(("items", "published"), GOOD)
def test_a_good_run_is_sound(items: list[FeedItem], published: int) -> None:
    verdict = judge(items, published)
    assert verdict.sound
    assert verdict.received + verdict.covered == published
    assert str(verdict).endswith("0 wrong gap")


def test_a_good_run_of_two_topics_from_where_each_began() -> None:
    oracle = Oracle(positions={TOPIC: 5, (QUOTES, "MSFT"): 2})
    for number in range(1, 4):
        oracle.take(numbered(*TOPIC, 5 + number))
        oracle.take(numbered(QUOTES, "MSFT", 2 + number))
        oracle.take(numbered(QUOTES, "AAPL", number))  # not named: from its beginning
    published = {TOPIC: 8, (QUOTES, "MSFT"): 5, (QUOTES, "AAPL"): 3}
    assert oracle.reached(published)
    assert oracle.verdict(published).sound


def test_it_knows_when_everything_has_come() -> None:
    oracle = Oracle()
    assert oracle.reached({})
    assert not oracle.reached({TOPIC: 0})  # nobody knows where it began
    oracle.take(numbered(*TOPIC, 4))
    assert oracle.reached({TOPIC: 4})
    assert not oracle.reached({TOPIC: 5})
    oracle.take(lost(5, 5))
    assert oracle.reached({TOPIC: 5})


def drop(items: list[FeedItem], at: int) -> None:
    del items[at]


def repeat(items: list[FeedItem], at: int) -> None:
    items.insert(at + 1, items[at])


def swap(items: list[FeedItem], at: int) -> None:
    items[at], items[at + 1] = items[at + 1], items[at]


def damage(items: list[FeedItem], at: int) -> None:
    items[at] = attrs.evolve(items[at], exchange_id="XNYS")


MUTATIONS: list[tuple[Callable[[list[FeedItem], int], None], Flaw]] = [
    (drop, Flaw.LOST),
    (repeat, Flaw.REPEATED),
    (swap, Flaw.DISORDERED),
    (damage, Flaw.DAMAGED),
]


@pytest.mark.parametrize(("mutate", "flaw"), MUTATIONS)
@given(at=st.integers(0, 28))
def test_each_mutation_of_a_good_run_is_found(
    mutate: Callable[[list[FeedItem], int], None], flaw: Flaw, at: int
) -> None:
    items = run(1, 30)
    mutate(items, at)
    found = flaws(judge(items, 30))
    damaged = {Flaw.LOST: 1} if flaw is Flaw.DAMAGED else {}  # the sound one is missing
    assert found == {flaw: 1} | damaged


def test_a_tail_that_is_missing_is_lost() -> None:
    assert flaws(judge(run(1, 7), 10)) == {Flaw.LOST: 3}
    assert flaws(judge([], 10)) == {Flaw.LOST: 10}


def test_one_that_comes_late_is_not_lost() -> None:
    items = [*run(1, 2), *run(4, 6), *run(3, 3), *run(7, 8)]
    verdict = judge(items, 8)
    assert flaws(verdict) == {Flaw.DISORDERED: 1}
    assert verdict.received == 8
    assert "3 came after 6" in verdict.account[-1]
    assert flaws(judge([*run(3, 5), *run(7, 9), *run(6, 6)], 9)) == {Flaw.LOST: 2, Flaw.DISORDERED: 1}
    assert flaws(judge([*run(1, 2), lost(3, 4), lost(5, 6), *run(6, 7)], 7)) == {Flaw.WRONG_GAP: 1}


WRONG_GAPS = [
    pytest.param([*run(1, 3), lost(4, 6), *run(8, 10)], {Flaw.WRONG_GAP: 1, Flaw.LOST: 1}, id="ends early"),
    pytest.param([*run(1, 3), lost(4, 7), *run(7, 10)], {Flaw.WRONG_GAP: 1}, id="ends late"),
    pytest.param([*run(1, 3), lost(3, 6), *run(7, 10)], {Flaw.WRONG_GAP: 1}, id="begins early"),
    pytest.param([*run(1, 3), lost(5, 6), *run(7, 10)], {Flaw.LOST: 1}, id="begins late"),
    pytest.param([lost(1, 3), lost(3, 6), *run(7, 10)], {Flaw.WRONG_GAP: 1}, id="overlaps another"),
    pytest.param([*run(1, 3), lost(6, 4), *run(4, 10)], {Flaw.WRONG_GAP: 1}, id="inside out"),
    pytest.param([*run(1, 9), lost(10, 11)], {Flaw.WRONG_GAP: 1}, id="beyond the end"),
    pytest.param([*run(1, 3), RESTART, *run(7, 10)], {Flaw.WRONG_GAP: 1}, id="no epoch changed"),
    pytest.param([*run(1, 3), RESTART, lost(4, 6), *run(7, 10)], {Flaw.WRONG_GAP: 1}, id="nor before a gap"),
    pytest.param([*run(1, 3), RESTART], {Flaw.WRONG_GAP: 1}, id="no epoch changed at the end"),
]


@pytest.mark.parametrize(("items", "expected"), WRONG_GAPS)
def test_a_gap_that_is_not_exactly_right_is_found(items: list[FeedItem], expected: dict[Flaw, int]) -> None:
    verdict = judge(items, 10)
    assert flaws(verdict) == expected
    assert not verdict.sound
    assert all(line.startswith("client: ") and "AAPL" in line for line in verdict.account)


def test_a_new_life_begins_anywhere_after_a_gap_of_unknown_size() -> None:
    verdict = judge([*run(1, 30), RESTART, *run(7, 9, life=1), lost(10, 12), *run(13, 14, life=1)], 14, life=1)
    assert verdict.sound
    assert (verdict.restarts, verdict.gaps, verdict.covered, verdict.received) == (1, 1, 3, 35)


def test_a_new_life_may_begin_with_a_gap_or_bring_nothing() -> None:
    assert judge([*run(1, 3), RESTART, lost(1, 4), *run(5, 6, life=2)], 6, life=2).sound
    assert judge([*run(1, 3), RESTART], 6, life=1).sound


def test_a_new_life_without_a_word_is_found() -> None:
    assert flaws(judge([*run(1, 3), *run(4, 6, life=1)], 6, life=1)) == {Flaw.LOST: 1}
    assert flaws(judge(run(1, 3), 6, life=1)) == {Flaw.LOST: 6}


def test_without_positions_it_begins_with_what_comes() -> None:
    assert judge(run(70, 80, life=3), 80, life=3, begun=None).sound
    assert flaws(judge(run(70, 80, life=3), 81, life=3, begun=None)) == {Flaw.LOST: 1}


def test_what_was_never_published_is_found() -> None:
    assert flaws(judge(run(1, 11), 10)) == {Flaw.DAMAGED: 1}
    assert flaws(judge([*run(1, 10), Halt("AAPL", 0, "T1")], 10)) == {Flaw.DAMAGED: 1}
    assert flaws(judge([numbered(*TOPIC, 0), *run(1, 10)], 10)) == {Flaw.DAMAGED: 1}


def test_verdicts_add_up_and_an_account_is_short() -> None:
    bad = judge(run(1, 1) * 100, 1)
    assert flaws(bad) == {Flaw.REPEATED: 99}
    assert len(bad.account) == 20
    both = Verdict.sum([bad, judge([*run(1, 3), lost(4, 6)], 6), bad])
    assert (both.received, both.gaps, both.covered) == (5, 1, 3)
    assert flaws(both) == {Flaw.REPEATED: 198}
    assert len(both.account) == 20
    assert "198 repeated" in str(both)
    assert Verdict.sum([]).sound


@given(st.data())
def test_any_loss_with_exact_gaps_is_sound_and_any_other_is_not(data: st.DataObject) -> None:
    """A run is cut into pieces that come and pieces that are gaps; then one gap is moved by one at one end."""
    ends = sorted(data.draw(st.sets(st.integers(1, 60), min_size=2, max_size=8)))
    pieces = [(first + 1, last) for first, last in zip([0, *ends], ends, strict=False)]
    items: list[FeedItem] = []
    gaps = []
    for number, (first, last) in enumerate(pieces):
        if number % 2:
            gaps.append(len(items))
            items.append(lost(first, last))
        else:
            items += run(first, last)
    assert judge(items, ends[-1]).sound
    at = data.draw(st.sampled_from(gaps))
    gap = items[at]
    assert isinstance(gap, Gap)
    assert gap.first is not None
    assert gap.last is not None
    by = data.draw(st.sampled_from([-1, 1]))
    moved = data.draw(st.sampled_from([lost(gap.first + by, gap.last), lost(gap.first, gap.last + by)]))
    items[at] = moved
    assert not judge(items, ends[-1]).sound
