"""Strands merged: order, ties, what is read at all, and halts that came on two channels."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import attrs
import pytest
from recordings.kit import NOON, QUOTES, STOCKS, TRADES, read, record, trade, trades

from datafye_trio.model import Channel, Event, Halt, Quote, Resume, Timed
from datafye_trio.recordings.base import Selection
from datafye_trio.recordings.merging import MergedRecording, limited

QUOTE = Quote("A", NOON, 1.0, 1, 2.0, 1)
HALT, OTHER = Halt("A", NOON, "news"), Halt("B", NOON, "news")


@attrs.frozen
class Listed:
    """A strand of given rows that notes when it is opened and closed."""

    channel: Channel
    rows: list[Timed]
    has_halts: bool = True
    indexed: bool = False
    log: list[str] = attrs.Factory(list)

    def read(self, _: Selection) -> Generator[Timed]:
        self.log.append("open")
        try:
            yield from self.rows
        finally:
            self.log.append("close")


def merged(*strands: Listed) -> MergedRecording:
    return MergedRecording("X", STOCKS, strands)


def test_ties_go_trades_first_then_in_the_order_given() -> None:
    quotes = Listed(QUOTES, [(1, QUOTE), (2, QUOTE)])
    first, second = (Listed(TRADES, [(1, trade(n)), (2, trade(n + 1))]) for n in (10, 20))
    found = [getattr(event, "size", "quote") for _, event in merged(quotes, first, second).read()]
    assert found == [10, 20, "quote", 11, 21, "quote"]


def test_channels_are_those_of_the_strands_in_their_order() -> None:
    recording = merged(Listed(TRADES, []), Listed(TRADES, []), Listed(QUOTES, []))
    assert recording.channels == (QUOTES, TRADES)
    assert list(recording.read()) == []
    assert not recording.indexed


def test_strands_of_other_channels_are_not_opened() -> None:
    quotes, ticks = Listed(QUOTES, [(1, QUOTE)]), Listed(TRADES, [(1, trade())])
    assert list(merged(quotes, ticks).read(Selection(channels=frozenset({TRADES})))) == [(1, trade())]
    assert (quotes.log, ticks.log) == ([], ["open", "close"])
    assert list(merged(quotes).read(Selection(channels=frozenset({TRADES})))) == []


def test_closed_it_closes_its_strands() -> None:
    strands = [Listed(channel, [(1, trade()), (2, trade())]) for channel in (TRADES, QUOTES)]
    reader = merged(*strands).read()
    next(reader)
    reader.close()
    assert [strand.log for strand in strands] == [["open", "close"]] * 2


def halts(quotes: list[Event], ticks: list[Event], **more: bool) -> list[Event]:
    """What is read of two channels whose events alternate in time."""
    first = Listed(QUOTES, [(2 * n, event) for n, event in enumerate(quotes)], **more)
    second = Listed(TRADES, [(2 * n + 1, event) for n, event in enumerate(ticks)], **more)
    return [event for _, event in merged(first, second).read()]


@pytest.mark.parametrize(
    ("quotes", "ticks", "expected"),
    [
        ([HALT], [HALT], [HALT]),
        ([HALT, HALT], [HALT, HALT], [HALT, HALT]),
        ([HALT, HALT], [], [HALT, HALT]),
        ([], [HALT, HALT], [HALT, HALT]),
        ([HALT, OTHER], [OTHER, HALT], [HALT, OTHER]),
        ([HALT], [Resume("A", NOON, "news")], [HALT, Resume("A", NOON, "news")]),
        ([HALT, HALT], [HALT], [HALT, HALT]),
    ],
)
def test_a_halt_on_both_channels_comes_once(quotes: list[Event], ticks: list[Event], expected: list[Event]) -> None:
    assert sorted(map(str, halts(quotes, ticks))) == sorted(map(str, expected))


def test_strands_without_halts_are_not_looked_at() -> None:
    assert halts([HALT], [HALT], has_halts=False) == [HALT, HALT]


def test_halts_that_wait_for_their_like_are_bounded() -> None:
    many: list[Event] = [Halt("A", n, "x") for n in range(3_000)]
    assert len(halts(many, [])) == 3_000
    assert len(halts(many, [many[0]] + [trade()] * 3_000)) == 6_001 - 1


def test_recorded_halts_come_once_where_both_channels_are_read(tmp_path: Path) -> None:
    record(tmp_path, [(TRADES, NOON, HALT), (QUOTES, NOON + 1, HALT), (QUOTES, NOON + 2, QUOTE), *trades(1)])
    assert [event for _, event in read(tmp_path)] == [HALT, trade(0), QUOTE]
    for channel in (TRADES, QUOTES):
        assert read(tmp_path, Selection(channels=frozenset({channel})))[0][1] == HALT


@pytest.mark.parametrize(
    ("selection", "times"),
    [
        (Selection(), [1, 2, 3, 4]),
        (Selection(start=2), [2, 3, 4]),
        (Selection(end=3), [1, 2]),
        (Selection(start=2, end=2), []),
        (Selection(symbols=frozenset({"B"})), [2, 4]),
        (Selection(symbols=frozenset({"B"}), start=3), [4]),
    ],
)
def test_a_stream_is_limited_to_a_selection(selection: Selection, times: list[int]) -> None:
    strand = Listed(TRADES, [(n, trade(symbol="AB"[n % 2 == 0])) for n in range(1, 5)])
    assert [time for time, _ in limited(strand.read(selection), selection)] == times
    assert strand.log == ["open", "close"]
