"""Events: small, slotted, equal by value, and the same contract in every reader's hands."""

from __future__ import annotations

import typing

import attrs
import pytest

from datafye_trio.model import Event, Halt, Line, Quote, Trade

CLASSES = typing.get_args(Event)


@pytest.mark.parametrize("cls", [*CLASSES, Line])
def test_events_are_slotted(cls: type) -> None:
    assert "__slots__" in cls.__dict__
    assert not any("__dict__" in base.__dict__.get("__slots__", ()) for base in cls.__mro__)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_event_names_its_symbol_first(cls: type) -> None:
    assert attrs.fields(cls)[0].name == "symbol"


def test_a_misspelled_field_is_refused() -> None:
    halt = Halt("AAPL", 1, "LUDP")
    with pytest.raises(AttributeError):
        halt.simbol = "MSFT"  # type: ignore[attr-defined]  # that it fails is the test


def test_events_are_equal_by_value() -> None:
    assert Trade("AAPL", 1, 190.0, 100) == Trade("AAPL", 1, 190.0, 100)
    assert Trade("AAPL", 1, 190.0, 100) != Trade("AAPL", 2, 190.0, 100)


def test_what_is_not_known_is_none() -> None:
    trade = Trade("AAPL", 1, 190.0, 100)
    assert (trade.exchange_id, trade.trade_id, trade.conditions, trade.trf_timestamp) == (None, None, None, None)
    quote = Quote("AAPL", 1, None, 0, None, 0)
    assert (quote.bid_exchange_id, quote.ask_exchange_id, quote.exchange_id) == (None, None, None)
