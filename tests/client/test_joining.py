"""Where stored events end and live ones begin: the cases that a server hardly ever brings about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio import AssetClass, Channel, Frequency, Gap, Halt, Live, TopicKey
from datafye_trio.client import joining
from datafye_trio.client.buffers import make_buffer
from datafye_trio.client.catching import Catcher
from datafye_trio.client.joining import Join, Past, Reader, make_past
from datafye_trio.model import Bar, Trade

SECOND = 10**9
START = 1_700_000_000 * SECOND
TRADES = TopicKey("Market", AssetClass.STOCKS, Channel.TRADES, "A")
BARS = TopicKey("Market", AssetClass.STOCKS, Channel.AGGREGATES, "A", Frequency.SECOND)


def tick(n: int, seconds: float | None = None) -> Trade:
    return Trade("A", START + round((n if seconds is None else seconds) * SECOND), 10.0, 1, "XNAS", str(n))


def bar(n: int, revision: int | None = None) -> Bar:
    return Bar("A", "Second", START + n * SECOND, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0, revision=revision)


def past_of(window: list[Any], key: TopicKey = TRADES, position: int = 100) -> Past:
    return make_past([Join(key, "e", position, window)], START, Reader(), key.frequency, START + 1_000 * SECOND)


def read(past: Past, stored: list[Any]) -> list[Any]:
    """All that is delivered before what is live."""
    found: list[Any] = []
    for item in stored:
        if past.done:
            break
        found += past.take(item)
    return found + past.end()


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(0, 20), st.integers(1, 16))
def test_ticks_that_are_alike(numbers: list[int], more: int, size: int) -> None:
    """Only the last ones may be mistaken: where a whole window repeats itself at once."""
    events = [tick(n, 0) for n in numbers] + [tick(n, n) for n in range(1, 6)]
    window = events[-size:]
    assert read(past_of(window, position=len(events)), [*events, *[tick(9, 9)] * more])[:-1] == events


def test_ticks_beyond_the_window_are_given_up_at_some_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_HELD", 10)
    past = past_of([tick(5)])
    found = read(past, [tick(1), *(tick(n, 10 + n) for n in range(50))])
    assert past.done
    assert found == [tick(1), Gap(TRADES, "e", None, None, "not_stored"), Live(TRADES, "e", 99), tick(5)]


def test_a_late_report_at_the_end_of_the_window() -> None:
    late = tick(7, 0.5)
    stored = [tick(1), tick(2), tick(3), late, tick(4)]
    assert read(past_of([late]), stored) == [*stored[:4], Live(TRADES, "e", 100)]


def test_stored_data_that_begins_within_the_window() -> None:
    window = [tick(n) for n in range(5)]
    assert read(past_of(window), [tick(3), tick(4), tick(5)]) == [tick(3), tick(4), Live(TRADES, "e", 100)]
    assert read(past_of(window), [tick(3)]) == [tick(3), Live(TRADES, "e", 99), tick(4)]


def test_a_halt_has_its_time_too() -> None:
    halt = Halt("A", START + SECOND, "news")
    assert read(past_of([tick(0), halt]), [tick(0), halt, tick(2)]) == [tick(0), halt, Live(TRADES, "e", 100)]


def test_live_ticks_that_were_stored() -> None:
    past = past_of([], position=0)
    stored = [tick(n, n / 10) for n in range(2_000)]
    assert read(past, stored) == [*stored, Live(TRADES, "e", 0)]
    assert past.overlaps
    assert past.repeats(stored[0])  # long ago: all that is stored was delivered
    assert past.repeats(stored[-5])
    assert not past.repeats(tick(5_000, 199.85))  # late, and not stored
    assert past.overlaps
    assert not past.repeats(tick(5_001, 300))
    assert not past.overlaps
    assert not past.repeats(stored[0])


def test_stored_ticks_are_taken_up_to_the_clock_only() -> None:
    past = past_of([], position=0)
    assert past.take(tick(999)) == [tick(999)]
    assert past.take(tick(1_000)) == []
    assert past.done


def test_where_nothing_was_stored_nothing_is_a_repeat() -> None:
    for key, item in ((TRADES, tick(1)), (BARS, bar(1))):
        past = past_of([], key, position=0)
        assert past.end() == [Live(key, "e", 0)]
        assert not past.repeats(item)
        assert not past.overlaps


def test_bars_and_corrections() -> None:
    window = [bar(5), bar(6), bar(4, 1), bar(7), bar(6, 2)]
    past = past_of(window, BARS)
    assert past.stop == START + 7 * SECOND + 1
    whole = [bar(n) for n in range(8)]
    assert read(past, [*whole, bar(8)]) == [*whole, Live(BARS, "e", 100)]
    assert read(past_of(window, BARS), whole[:7]) == [*whole[:7], Live(BARS, "e", 98), bar(7), bar(6, 2)]
    assert read(past_of(window, BARS), whole[:4]) == [
        *whole[:4], Gap(BARS, "e", None, None, "not_stored"), Live(BARS, "e", 95), *window
    ]  # fmt: skip
    corrections = [bar(3, 1)]
    assert isinstance(read(past_of(corrections, BARS), [])[0], Gap)


def test_live_bars_that_were_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_RECENT", 3)
    past = past_of([], BARS, position=0)
    stored = [bar(0), bar(1), bar(2, 2), bar(3), bar(4)]
    assert read(past, stored) == [*stored, Live(BARS, "e", 0)]
    assert past.repeats(bar(0))
    assert past.repeats(bar(0, 1))  # no longer known; stored ones have what corrected them
    assert past.repeats(bar(2))
    assert past.repeats(bar(2, 1))
    assert past.repeats(bar(2, 2))
    assert not past.repeats(bar(2, 3))
    assert not past.repeats(bar(5))
    assert not past.overlaps


def test_events_of_others_are_passed_over() -> None:
    other = Trade("B", START, 1.0, 1)
    past = past_of([tick(1)])
    assert past.take(other) == []
    assert not past.repeats(other)
    assert past.take(tick(1)) == [tick(1)]
    assert past.take(tick(2)) == []


def test_what_is_caught() -> None:
    calls: list[int] = []
    buffer = make_buffer("wait", 2)
    catcher = Catcher(buffer, lambda: calls.append(1))
    catcher.begin([Join(TRADES, "e", 3), Join(BARS, "e", 0)])
    assert not catcher.complete
    assert catcher.put(TRADES, "e", 2, "m2")
    assert catcher.put(BARS, "e", 1, "b1")
    assert catcher.put(TRADES, "e", 3, "m3")
    assert calls
    assert catcher.complete
    assert catcher.put(TRADES, "e", 4, "m4")
    assert not catcher.put(TRADES, "e", 5, "m5")
    assert not catcher.put_gap(Gap(TRADES, "e", 5, 6, "expired"))
    assert catcher.joins[TRADES].window == ["m2", "m3"]
    assert (len(catcher), catcher.capacity, catcher.drained) == (2, 2, False)
    assert (catcher.dropped, catcher.conflated) == (0, 0)
    assert [catcher.pop(), catcher.pop()] == ["b1", "m4"]
    catcher.put_mark(Live(TRADES, "e", 4))
    assert catcher.put_gap(Gap(TRADES, "e", 5, 6, "expired"))
    assert len(catcher) == 2


def test_a_gap_in_place_of_a_window() -> None:
    catcher = Catcher(make_buffer("wait", 5), lambda: None)
    catcher.begin([Join(TRADES, "e", 30), Join(BARS, "e", 3)])
    catcher.put(TRADES, "e", 15, "m15")
    catcher.put_gap(Gap(TRADES, "e", 16, 40, "expired"))
    catcher.put_gap(Gap(BARS, "f", None, None, "epoch_changed"))
    assert catcher.complete
    trades, bars = catcher.joins[TRADES], catcher.joins[BARS]
    assert (trades.window, trades.epoch, trades.position) == ([], "e", 15)
    assert (bars.window, bars.epoch, bars.position) == ([], "f", 0)
