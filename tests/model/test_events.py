"""Events: small, slotted, equal by value, and the same contract in every reader's hands."""

from __future__ import annotations

import copy
import pickle
import typing

import attrs
import msgspec
import pytest
from msgspec.structs import replace

from datafye_trio.model import Event, Halt, Line, Quote, Sma, Trade

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


def test_events_are_not_hashable() -> None:
    with pytest.raises(TypeError):
        hash(Halt("AAPL", 1, "LUDP"))


@pytest.mark.parametrize("cls", [*CLASSES, Line])
def test_attrs_knows_names_types_and_defaults(cls: type[msgspec.Struct]) -> None:
    known = attrs.fields(cls)  # type: ignore[type-var]  # no attrs class, and that it is taken for one is the test
    for field, told in zip(msgspec.structs.fields(cls), known, strict=True):
        default = attrs.NOTHING if field.default is msgspec.NODEFAULT else field.default
        assert (told.name, told.type, told.default) == (field.name, field.type, default)


def test_attrs_helpers_copy_and_unfold_events() -> None:
    sma = Sma("AAPL", "Minute", 1, 1.5, Line(50, 2, 10.5), Line(20, 1, 11.25), 0.75, "NONE")
    later: Sma = attrs.evolve(sma, timestamp=2)  # type: ignore[misc]  # as above
    assert later == replace(sma, timestamp=2) != sma
    unfolded = attrs.asdict(sma)  # type: ignore[arg-type]  # as above
    assert unfolded["slow_line"] == {"periods": 50, "count": 2, "ma": 10.5}
    assert list(unfolded) == [field.name for field in msgspec.structs.fields(Sma)]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_events_are_copied_whole(copied: typing.Callable[[Trade], Trade]) -> None:
    trade = Trade("AAPL", 1, 190.0, 100, conditions=("@", "I"))
    assert (other := copied(trade)) == trade
    assert other is not trade


def test_an_event_shows_its_fields() -> None:
    assert repr(Halt("AAPL", 1, "LUDP")) == "Halt(symbol='AAPL', timestamp=1, reason='LUDP')"
