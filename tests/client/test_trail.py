"""A trail stays short, and what it can no longer say exactly it still says."""

from __future__ import annotations

from typing import Any

import pytest

from datafye_trio.client.trail import MAX_PARTS, Trail
from datafye_trio.model import AssetClass, Channel, TopicKey
from datafye_trio.model.gaps import Gap, Live

TOPIC = TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, "A")


def gap(first: int | None, last: int | None, reason: Any = "buffer_full", epoch: str = "e") -> Gap:
    return Gap(TOPIC, epoch, first, last, reason)


def filled(*items: Gap | Live) -> Trail:
    trail = Trail(TOPIC)
    for item in items:
        trail.add(item)
        assert len(trail) <= MAX_PARTS
    return trail


def contents(trail: Trail) -> list[Any]:
    found = []
    while trail:
        found.append(trail.pop())
    return found


def test_gaps_that_touch_are_one() -> None:
    assert contents(filled(gap(1, 2), gap(3, 5), gap(6, 6))) == [gap(1, 6)]


def test_gaps_that_do_not_touch_or_are_of_two_epochs_stay_apart() -> None:
    apart = [gap(1, 2), gap(4, 5), gap(6, 6, epoch="f")]
    assert contents(filled(*apart)) == apart


def test_a_number_that_comes_again_counts_once() -> None:
    assert contents(filled(gap(1, 4), gap(4, 4), gap(3, 6), gap(2, 3))) == [gap(1, 6)]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("expired", "expired", "expired"),
        ("expired", "slow_consumer", "buffer_full"),
        ("buffer_full", "expired", "buffer_full"),
    ],
)
def test_two_reasons_in_one_gap(one: str, other: str, both: str) -> None:
    assert contents(filled(gap(1, 1, one), gap(2, 2, other))) == [gap(1, 2, both)]


def test_two_unknown_gaps_are_one_of_the_newer_epoch() -> None:
    merged = filled(gap(None, None), gap(None, None, "epoch_changed", "f"))
    assert contents(merged) == [gap(None, None, "epoch_changed", "f")]


def test_of_two_marks_the_second_counts() -> None:
    assert contents(filled(Live(TOPIC, "e", 1), gap(2, 2), Live(TOPIC, "e", 2))) == [gap(2, 2), Live(TOPIC, "e", 2)]


def test_events_that_do_not_follow_one_another_are_gaps_of_their_own() -> None:
    trail = Trail(TOPIC)
    for epoch, seq in (("e", None), ("e", 1), ("e", 2), ("e", 4), ("f", 5)):
        trail.add_event(epoch, seq)
    assert contents(trail) == [gap(None, None), gap(1, 2), gap(4, 4), gap(5, 5, epoch="f")]


def test_of_snapshots_the_newest_stays_behind_what_was_lost_before_it() -> None:
    trail = filled(gap(1, 2))
    trail.add_snapshot("two")
    trail.add_snapshot("two again")
    trail.add(Live(TOPIC, "e", 2))
    assert contents(trail) == [gap(1, 2), "two again", Live(TOPIC, "e", 2)]


def test_a_snapshot_goes_when_what_follows_is_lost() -> None:
    trail = filled(gap(1, 2))
    trail.add_snapshot("two")
    trail.add(gap(3, 3))
    assert contents(trail) == [gap(1, 3)]


def test_the_snapshot_and_the_mark_survive_the_folding() -> None:
    mark = Live(TOPIC, "e", 5)
    trail = filled(gap(1, 1), gap(3, 3), gap(5, 5), mark)
    trail.add_snapshot("five")
    assert contents(trail) == [gap(None, None), mark, "five"]


def test_an_event_after_a_gap_of_another_reason_is_merged_too() -> None:
    trail = filled(gap(1, 2, "expired"))
    trail.add_event("e", 3)
    trail.add_event("e", 4)
    assert contents(trail) == [gap(1, 4)]


def test_too_many_spans_become_one_gap_of_unknown_size_before_the_newest() -> None:
    assert contents(filled(*(gap(n, n) for n in (1, 3, 5, 7, 9)))) == [gap(None, None), gap(9, 9)]


def test_a_new_epoch_is_never_folded_away() -> None:
    items = [gap(1, 1), gap(None, None, "epoch_changed", "f"), gap(1, 1, epoch="f"), gap(3, 3, epoch="f")]
    folded = contents(filled(*items, gap(5, 5, epoch="f")))
    assert folded == [gap(None, None, "epoch_changed", "f"), gap(5, 5, epoch="f")]


def test_an_unknown_gap_that_is_the_newest_is_folded_with_the_rest() -> None:
    folded = contents(filled(*(gap(n, n) for n in (1, 3, 5, 7)), gap(None, None, "epoch_changed", "f")))
    assert folded == [gap(None, None, "epoch_changed", "f")]


def test_a_mark_survives_the_folding() -> None:
    mark = Live(TOPIC, "e", 1)
    folded = contents(filled(gap(1, 1), mark, gap(3, 3), gap(5, 5), gap(7, 7)))
    assert folded == [gap(None, None), mark, gap(7, 7)]


def test_a_mark_that_is_the_newest_part_stays_the_newest() -> None:
    newest = Live(TOPIC, "e", 5)
    folded = contents(filled(*(gap(n, n) for n in (1, 3, 5, 7)), newest))
    assert folded == [gap(None, None), newest]


def test_one_trail_behind_another() -> None:
    trail = filled(gap(1, 2))
    trail.extend(filled(gap(3, 4), Live(TOPIC, "e", 4)))
    assert contents(trail) == [gap(1, 4), Live(TOPIC, "e", 4)]


def test_an_empty_trail_gives_nothing() -> None:
    with pytest.raises(IndexError):
        Trail(TOPIC).pop()


def test_a_new_epoch_after_a_mark_stays_after_it() -> None:
    mark = Live(TOPIC, "e", 5)
    changed = gap(None, None, "epoch_changed", "f")
    folded = contents(filled(gap(1, 1), gap(3, 3), gap(5, 5), mark, changed))
    assert folded == [gap(None, None), mark, changed]
