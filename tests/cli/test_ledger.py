"""Holes in sequences: each is found once, whether it is told, seen, or shown by a reconnection."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import quote, trade

from datafye_trio.cli.ledger import Hole, Ledger
from datafye_trio.model import Bar, Event, Halt, Resume
from datafye_trio.protocol import Data, Gap, Subscribed

TICKS = ("quotes", "trades")


def subscribed(
    positions: dict[str, dict[str, int]] | None,
    channels: tuple[str, ...] = TICKS,
    epoch: str = "e1",
    frequency: str | None = None,
) -> Subscribed:
    return Subscribed("SIP", "stocks", channels, ("*",), epoch, 1, frequency=frequency, positions=positions)


def data(event: Event, seq: int | None) -> Data:
    return Data(event, "SIP", "stocks", seq)


def gap(first: int | None = None, last: int | None = None, epoch: str = "e1", symbol: str = "AAPL") -> Gap:
    return Gap("SIP", "stocks", "quotes", symbol, epoch, "slow_consumer", from_=first, to=last)


def bar(frequency: str) -> Bar:
    return Bar("AAPL", frequency, 0, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0)


def holes(ledger: Ledger, *numbers: int) -> list[Hole]:
    found = [ledger.place(data(quote("AAPL"), number))[2] for number in numbers]
    return [hole for hole in found if hole is not None]


def ledger_of(positions: dict[str, dict[str, int]] | None) -> Ledger:
    ledger = Ledger()
    assert ledger.subscribed(subscribed(positions)) == []
    return ledger


def test_what_was_sent_before_the_first_subscription_is_not_missing() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}, "trades": {}})
    assert ledger.place(data(quote("AAPL"), 8)) == ("quotes", "e1", None)
    assert ledger.place(data(trade("MSFT"), 1)) == ("trades", "e1", None)


def test_a_number_that_is_skipped_is_a_hole_and_found_once() -> None:
    (hole,) = holes(ledger_of({"quotes": {"AAPL": 7}}), 8, 11, 12)
    assert (hole.first, hole.last, hole.size) == (9, 10, 2)
    assert str(hole) == "gap on quotes of AAPL: 9 to 10 lost (unexplained)"


def test_a_symbol_that_appears_later_begins_with_1() -> None:
    (hole,) = holes(ledger_of({"quotes": {}}), 3)
    assert (hole.first, hole.last) == (1, 2)


@pytest.mark.parametrize("numbers", [(5, 5), (5, 4), (5, 1)])
def test_a_number_that_does_not_rise_is_a_hole_of_unknown_size(numbers: tuple[int, int]) -> None:
    (hole,) = holes(ledger_of({"quotes": {"AAPL": 4}}), *numbers, numbers[1] + 1)
    assert hole.size == 0
    assert str(hole) == f"gap on quotes of AAPL: some messages lost (seq went back from 5 to {numbers[1]})"


def test_without_positions_the_first_number_is_taken_as_it_is() -> None:
    ledger = ledger_of(None)
    assert holes(ledger, 41, 42) == []
    assert [hole.first for hole in holes(ledger, 45)] == [43]


def test_data_of_what_was_never_asked_for_is_placed_all_the_same() -> None:
    assert Ledger().place(data(quote("AAPL"), 9)) == ("quotes", "", None)
    assert Ledger().place(data(Halt("AAPL", 1, "news"), 9)) == ("quotes", "", None)


def test_data_without_a_number_says_nothing() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}})
    assert ledger.place(data(quote("AAPL"), None)) == ("quotes", "e1", None)
    assert holes(ledger, 8) == []


def test_a_gap_that_the_server_tells_is_no_second_hole() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}})
    (hole,) = ledger.gap(gap(8, 10))
    assert (hole.size, hole.why) == (3, "slow_consumer")
    assert holes(ledger, 11, 12) == []


def test_what_lies_before_a_told_gap_is_a_hole_of_its_own() -> None:
    found = ledger_of({"quotes": {"AAPL": 7}}).gap(gap(10, 11))
    assert [(hole.first, hole.last, hole.why) for hole in found] == [(8, 9, "unexplained"), (10, 11, "slow_consumer")]


def test_a_gap_of_a_symbol_never_seen() -> None:
    ledger = ledger_of(None)
    assert [hole.size for hole in ledger.gap(gap(3, 4, symbol="MSFT"))] == [2]
    assert ledger.place(data(quote("MSFT"), 5)) == ("quotes", "e1", None)


def test_an_epoch_that_changes_while_connected() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}})
    (hole,) = ledger.gap(gap(epoch="e2"))
    assert (hole.size, hole.first) == (0, None)
    assert ledger.place(data(quote("AAPL"), 1)) == ("quotes", "e2", None)
    assert ledger.place(data(quote("MSFT"), 1)) == ("quotes", "e2", None)


def test_a_gap_of_unknown_size_in_the_same_epoch() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}})
    ledger.gap(gap())
    assert holes(ledger, 30, 31) == []
    Ledger().gap(gap())  # of a channel never asked for: nothing to do, and no crash


def test_what_was_missed_while_disconnected() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7, "MSFT": 2}, "trades": {}})
    holes(ledger, 8, 9)
    found = ledger.subscribed(subscribed({"quotes": {"AAPL": 12, "MSFT": 2, "NVDA": 4}, "trades": {}}))
    assert [(hole.symbol, hole.first, hole.last) for hole in found] == [("AAPL", 10, 12), ("NVDA", 1, 4)]
    assert {hole.why for hole in found} == {"disconnected"}
    assert holes(ledger, 13) == []


def test_a_position_that_went_back_in_one_epoch_is_a_hole() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}})
    (hole,) = ledger.subscribed(subscribed({"quotes": {"AAPL": 3}}))
    assert "went back from 7 to 3" in str(hole)


def test_a_restarted_server_has_another_epoch() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7, "MSFT": 1}, "trades": {"AAPL": 3}})
    found = ledger.subscribed(subscribed({"quotes": {"AAPL": 2}, "trades": {}}, epoch="e2"))
    assert [(hole.channel, hole.symbol, hole.size) for hole in found] == [
        ("quotes", "*", 0), ("quotes", "AAPL", 2), ("trades", "*", 0),
    ]  # fmt: skip
    assert str(found[0]) == "gap on quotes of *: some messages lost (epoch_changed)"
    assert holes(ledger, 3) == []
    assert ledger.place(data(quote("MSFT"), 1)) == ("quotes", "e2", None)
    assert ledger.place(data(trade("AAPL"), 1)) == ("trades", "e2", None)


def test_another_epoch_without_positions() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 7}})
    ledger.subscribed(subscribed(None, epoch="e2"))
    assert ledger.place(data(quote("AAPL"), 50)) == ("quotes", "e2", None)


def test_each_frequency_counts_for_itself() -> None:
    ledger = Ledger()
    for frequency in ("Second", "Minute"):
        ledger.subscribed(subscribed({"aggregates": {"AAPL": 3}}, ("aggregates",), frequency=frequency))
    assert ledger.place(data(bar("Second"), 4)) == ("aggregates", "e1", None)
    assert ledger.place(data(bar("Minute"), 4)) == ("aggregates", "e1", None)
    again = [
        ledger.subscribed(subscribed({"aggregates": {}}, ("aggregates",), "e2", frequency))
        for frequency in ("Second", "Minute")
    ]
    assert [len(found) for found in again] == [1, 1]
    assert ledger.place(data(bar("Second"), 1)) == ("aggregates", "e2", None)


@given(st.lists(st.sampled_from(["quote", "trade", "halt", "resume"]), max_size=40), st.integers(0, 3))
def test_halts_are_placed_on_both_channels_one_after_the_other(kinds: Sequence[str], start: int) -> None:
    """A halt does not say which channel it is on, but a server keeps the order in which it was published."""
    events = {"quote": quote(), "trade": trade(), "halt": Halt("AAPL", 1, "news"), "resume": Resume("AAPL", 2, "over")}
    ledger = ledger_of({"quotes": {"AAPL": start}, "trades": {}})
    last = {"quotes": start, "trades": 0}
    placed = dict(last)
    for kind in kinds:
        for channel in TICKS if kind in ("halt", "resume") else [f"{kind}s"]:
            last[channel] += 1
            found, _, hole = ledger.place(data(events[kind], last[channel]))
            placed[found] += 1
            assert hole is None
    assert placed == last


def test_a_halt_with_one_channel_is_on_that_one() -> None:
    ledger = Ledger()
    ledger.subscribed(subscribed({"trades": {"AAPL": 3}}, ("trades",)))
    assert ledger.place(data(Halt("AAPL", 1, "news"), 4)) == ("trades", "e1", None)


def test_a_halt_after_a_hole_is_on_the_channel_that_saw_less() -> None:
    ledger = ledger_of({"quotes": {"AAPL": 9}, "trades": {"AAPL": 3}})
    channel, _, hole = ledger.place(data(Halt("AAPL", 1, "news"), 7))
    assert channel == "trades"
    assert hole is not None
    assert (hole.first, hole.last) == (4, 6)
