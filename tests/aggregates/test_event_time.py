"""When the market knows an event."""

from __future__ import annotations

import pytest

from datafye_trio.aggregates import event_time
from datafye_trio.model import AssetClass, Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade

SECOND = 10**9
NOON = 1_760_011_200 * SECOND
"""2025-10-09 12:00 UTC, which is 08:00 in New York."""
MIDNIGHT_UTC, MIDNIGHT_NEW_YORK = NOON + 12 * 3_600 * SECOND, NOON + 16 * 3_600 * SECOND
LINE = Line(1, 1, 1.0)


@pytest.mark.parametrize(
    "event",
    [Quote("A", NOON, 1.0, 1, 2.0, 1), Trade("A", NOON, 1.0, 1), Halt("A", NOON, "LULD"), Resume("A", NOON, "LULD")],
)
def test_a_tick_is_known_when_it_happens(event: Event) -> None:
    assert event_time(event) == NOON


def bar(frequency: str, start: int = NOON, *, final: bool = True) -> Bar:
    return Bar("A", frequency, start, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0, final)


@pytest.mark.parametrize(("frequency", "seconds"), [("Second", 1), ("Minute", 60), ("Hour", 3_600)])
def test_a_bar_and_what_is_made_of_its_close_when_its_span_ends(frequency: str, seconds: int) -> None:
    sma = Sma("A", frequency, NOON, 1.0, LINE, LINE, 0.0, "NONE")
    ema = Ema("A", frequency, NOON, 1.0, LINE, LINE, 0.0, "NONE", LINE, "NONE", "NONE", "NONE", "NONE")
    for event in (bar(frequency), sma, ema):
        assert event_time(event) == NOON + seconds * SECOND


def test_a_day_ends_in_new_york_or_for_crypto_in_utc() -> None:
    assert event_time(bar("Day")) == MIDNIGHT_NEW_YORK
    assert event_time(bar("Day"), AssetClass.CRYPTO) == MIDNIGHT_UTC


def test_a_running_bar_is_known_from_its_beginning_on() -> None:
    assert event_time(bar("Hour", final=False)) == NOON


def test_a_frequency_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="Fortnight"):
        event_time(bar("Fortnight"))
