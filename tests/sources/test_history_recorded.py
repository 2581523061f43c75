"""The stored data of recordings: ticks of a range, bars folded or as they were recorded, complete and in order."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import count, islice

import pytest
from sources.stored import BARS, QUOTES, SECOND, START, STOCKS, TRADES, read

from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.errors import SourceError
from datafye_trio.model import Bar, Channel, Event, Frequency, Halt, Quote, Resume, Timed, Trade
from datafye_trio.recordings.base import Selection
from datafye_trio.sources import HistoryQuery, RecordedHistory

EVERYTHING = Selection()


class Tape:
    """A recording of a list; `fails` at its end if wanted."""

    name = "SIP"
    asset_class = STOCKS
    indexed = False

    def __init__(self, events: Iterable[Event], channels: tuple[Channel, ...], *, fails: bool = False) -> None:
        self.events = events
        self.channels = channels
        self.open = 0
        self.taken = 0
        self.selections: list[Selection] = []
        self._fails = fails

    def read(self, selection: Selection = EVERYTHING) -> Generator[Timed]:
        self.open += 1
        self.selections.append(selection)
        kinds = {TRADES: (Trade, Halt, Resume), QUOTES: (Quote, Halt, Resume), BARS: (Bar,)}
        try:
            for place, event in enumerate(self.events):
                self.taken += 1
                if any(isinstance(event, kinds[channel]) for channel in selection.channels or kinds):
                    yield place, event
            if self._fails:
                raise SourceError("the end is torn off")
        finally:
            self.open -= 1


def trade(time: float, symbol: str = "A", price: float = 10.0) -> Trade:
    """A trade so many seconds after the start."""
    return Trade(symbol, START + round(time * SECOND), price, 100)


def bar(start: int, symbol: str = "A", frequency: Frequency = Frequency.SECOND, **fields: object) -> Bar:
    return Bar(symbol, frequency.value, START + start * SECOND, 1.0, 2.0, 0.5, 1.5, 10, 1, 1.2, **fields)


def query(channel: Channel, start: float, end: float, symbols: tuple[str, ...] | None = None) -> HistoryQuery:
    frequency = Frequency.SECOND if channel is BARS else None
    return HistoryQuery(channel, frequency, symbols, START + round(start * SECOND), START + round(end * SECOND))


def test_ticks_are_chosen_by_when_they_happened_and_stay_in_order() -> None:
    quote = Quote("A", START + 2 * SECOND, 1.0, 1, 2.0, 1)
    halt = Halt("A", START + 3 * SECOND, "x")
    events = [trade(1), trade(5), quote, trade(2), halt, trade(3.999, "B"), trade(4), trade(0.5), trade(2)]
    history = RecordedHistory(Tape(events, (QUOTES, TRADES)), Aggregation(every_trade))
    assert read(history, query(TRADES, 1, 4)) == [trade(1), trade(2), halt, trade(3.999, "B"), trade(2)]
    assert read(history, query(TRADES, 1, 4, ("A",))) == [trade(1), trade(2), halt, trade(2)]
    assert read(history, query(QUOTES, 1, 4)) == [quote, halt]
    assert read(history, query(TRADES, 6, 9)) == []


@pytest.mark.parametrize(
    ("held", "offered"),
    [
        ((TRADES,), (TRADES, BARS)),
        ((QUOTES,), (QUOTES,)),
        ((QUOTES, TRADES, BARS), (QUOTES, TRADES, BARS)),
        ((BARS, Channel.SMA), (BARS,)),
    ],
)
def test_channels_of_a_recording(held: tuple[Channel, ...], offered: tuple[Channel, ...]) -> None:
    assert RecordedHistory(Tape([], held)).channels == offered


def test_bars_come_once_as_their_last_correction_left_them() -> None:
    late = [trade(0), trade(1), trade(2, "B"), trade(0.5, price=12.0), trade(4), trade(0.6, price=3.0), trade(100)]
    history = RecordedHistory(Tape(late, (TRADES,)), Aggregation(every_trade, lateness=10.0))
    bars = read(history, query(BARS, 0, 3))
    assert [(one.start - START, one.symbol) for one in bars] == [(0, "A"), (SECOND, "A"), (2 * SECOND, "B")]
    assert (bars[0].high, bars[0].low, bars[0].close, bars[0].count, bars[0].revision) == (12.0, 3.0, 3.0, 3, 2)


def test_bars_of_a_start_come_by_symbol() -> None:
    events = [trade(0, "C"), trade(0.1, "A"), trade(0.2, "B"), trade(1, "B"), trade(1.1, "A")]
    history = RecordedHistory(Tape(events, (TRADES,)), Aggregation(every_trade))
    assert [one.symbol for one in read(history, query(BARS, 0, 9))] == ["A", "B", "C", "A", "B"]
    assert [one.symbol for one in read(history, query(BARS, 0, 9, ("A", "C")))] == ["A", "C", "A"]


def test_what_is_late_is_told_by_the_whole_feed_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The bar of A is the same, whether or not B, whose trade moved the clock, is asked for."""
    events = [trade(0), trade(0, "B"), trade(30, "B"), trade(0.5), trade(31)]
    history = RecordedHistory(Tape(events, (TRADES,)), Aggregation(every_trade, lateness=10.0))
    alone, all_ = (read(history, query(BARS, 0, 1, symbols)) for symbols in (("A",), None))
    assert alone == [one for one in all_ if one.symbol == "A"]
    assert alone[0].count == 1
    assert "too late" in caplog.text


def test_a_single_time_far_ahead_costs_a_hundred_trades_and_does_not_stop_the_reading() -> None:
    times = [*(n / 10 for n in range(500)), 10**9, *(n / 10 for n in range(500, 2_000))]
    history = RecordedHistory(Tape(map(trade, times), (TRADES,)), Aggregation(every_trade, lateness=10.0))
    starts = [bar.start for bar in read(history, query(BARS, 100, 200))]
    assert starts == [trade(second).exchange_timestamp for second in range(110, 200)]


def test_reading_stops_where_nothing_can_follow() -> None:
    tape = Tape((trade(n / 10) for n in count()), (TRADES,))
    history = RecordedHistory(tape, Aggregation(every_trade, lateness=10.0))
    assert len(read(history, query(BARS, 100, 200))) == 100
    assert 2_100 < tape.taken < 3_200
    assert tape.open == 0


def test_closing_the_generator_closes_the_recording() -> None:
    for channels, channel in (((TRADES,), TRADES), ((TRADES,), BARS), ((BARS,), BARS)):
        tape = Tape((trade(n) if channels == (TRADES,) else bar(n) for n in count()), channels)
        reading = RecordedHistory(tape, Aggregation(every_trade)).read(query(channel, 0, 10**6))
        next(reading)
        assert tape.open == 1
        reading.close()
        assert tape.open == 0


def test_recorded_bars_where_there_are_no_trades() -> None:
    """By start and symbol, of the frequency asked for, corrections in place of what they correct, none running."""
    bars = [bar(0, "B"), bar(0), bar(0, frequency=Frequency.MINUTE), bar(2), bar(1, final=False), bar(3),
            bar(0, "B", revision=1), bar(90), bar(5)]  # fmt: skip
    history = RecordedHistory(Tape(bars, (BARS,)), Aggregation(every_trade))
    expected = [bar(0), bar(0, "B", revision=1), bar(2), bar(3)]
    assert read(history, query(BARS, 0, 4)) == expected
    minutes = HistoryQuery(BARS, Frequency.MINUTE, ("A",), START - 60 * SECOND, START + 60 * SECOND)
    assert read(history, minutes) == [bar(0, frequency=Frequency.MINUTE)]


@pytest.mark.parametrize(
    ("events", "channels", "channel", "expected"),
    [
        ([trade(n / 1_000) for n in range(1_500)], (TRADES,), TRADES, 1_500),
        ([trade(n) for n in range(1_500)], (TRADES,), BARS, 1_499),  # the last one is not finished
        ([bar(n) for n in range(1_500)], (BARS,), BARS, 1_500),
    ],
    ids=["ticks", "folded bars", "recorded bars"],
)
def test_all_before_a_failure_is_given(
    events: list[Event], channels: tuple[Channel, ...], channel: Channel, expected: int
) -> None:
    tape = Tape(events, channels, fails=True)
    found: list[Event] = []
    with pytest.raises(SourceError, match="torn off"):
        for batch in RecordedHistory(tape, Aggregation(every_trade)).read(query(channel, 0, 5_000)):
            found += batch
    assert len(found) == expected
    assert tape.open == 0


def test_what_is_not_of_the_channel_is_passed_over() -> None:
    class Careless(Tape):
        def read(self, selection: Selection = EVERYTHING) -> Generator[Timed]:
            return super().read()

    quote = Quote("A", START, 1.0, 1, 2.0, 1)
    history = RecordedHistory(Careless([trade(0), quote, bar(0)], (TRADES, QUOTES)), Aggregation(every_trade))
    assert read(history, query(TRADES, 0, 1)) == [trade(0)]
    assert read(history, query(QUOTES, 0, 1)) == [quote]
    assert [one.count for one in read(history, query(BARS, 0, 1))] == [1]


def test_empty_batches_come_between() -> None:
    tape = Tape((trade(n) for n in range(10_000)), (TRADES,))
    batches = list(islice(RecordedHistory(tape).read(query(TRADES, 9_999, 10_000)), 30))
    assert sum(map(len, batches)) == 1
    assert len(batches) > 15


def test_the_recording_is_told_what_range_it_may_limit_itself_to() -> None:
    """Not by its own time, and not by symbols."""
    for held, channel, happened in (
        (TRADES, TRADES, (START + SECOND // 2, START + 5 * SECOND)),
        (TRADES, BARS, (START + SECOND, 2**63)),
        (BARS, BARS, (START + SECOND // 2, START + 5 * SECOND)),
    ):
        tape = Tape([], (held,))
        assert read(RecordedHistory(tape), query(channel, 0.5, 5, ("A",))) == []
        assert tape.selections == [Selection(frozenset({held}), happened=happened)]


def test_symbols_that_a_dataset_offers_of_a_recording() -> None:
    history = RecordedHistory(Tape([trade(0), trade(0, "B")], (TRADES,)), symbols=("B",))
    assert read(history, query(TRADES, 0, 1)) == [trade(0, "B")]
