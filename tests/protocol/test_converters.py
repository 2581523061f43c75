"""The strict converter: wire names, and no coercion of any scalar."""

from __future__ import annotations

from typing import Any

import attrs
import cattrs
import pytest

from datafye_trio.errors import leaves_of
from datafye_trio.model import Bar, Ema, Quote, Sma, Trade
from datafye_trio.protocol.converters import fields_of, make_converter, wire_name
from datafye_trio.protocol.requests import Start, Unsubscribe


@attrs.frozen
class Inner:
    text: str


@attrs.frozen
class Everything:
    a_text: str
    a_flag: bool
    a_count: int
    a_number: float
    some_texts: tuple[str, ...]
    by_name: dict[str, int]
    id: str | int
    inner: Inner
    several: tuple[Inner, ...]
    maybe: int | None = None
    maybe_id: str | int | None = None
    on: bool = True


GOOD: dict[str, Any] = {
    "aText": "x", "aFlag": False, "aCount": 1, "aNumber": 1.5, "someTexts": ["a"], "byName": {"A": 0}, "id": 7,
    "inner": {"text": "y"}, "several": [{"text": "z"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "name", "wire"),
    [
        (Quote, "bid_exchange_id", "bidExchangeID"),
        (Quote, "ask_exchange_id", "askExchangeID"),
        (Quote, "exchange_id", "exchangeID"),
        (Quote, "exchange_timestamp", "exchangeTimestamp"),
        (Quote, "listing_exchange", "listingExchange"),
        (Trade, "trade_id", "tradeID"),
        (Trade, "trf_id", "trfID"),
        (Trade, "trf_timestamp", "trfTimestamp"),
        (Trade, "price", "tradePrice"),
        (Trade, "size", "tradeSize"),
        (Bar, "start", "datetime"),
        (Sma, "price", "price"),
        (Ema, "price", "price"),
        (Ema, "last_zero_line_crossover", "lastZeroLineCrossover"),
        (Start, "from_", "from"),
        (Unsubscribe, "except_", "except"),
    ],
)
def test_wire_names(cls: type[Any], name: str, wire: str) -> None:
    assert wire_name(cls, name) == wire
    assert fields_of(cls)[wire] == name


def test_good_values_are_taken_as_they_are() -> None:
    value = make_converter().structure(GOOD | {"maybe": None, "maybeId": "i", "extra": 1}, Everything)
    assert value == Everything("x", False, 1, 1.5, ("a",), {"A": 0}, 7, Inner("y"), (Inner("z"),), maybe_id="i")
    integer = make_converter().structure(GOOD | {"aNumber": 2}, Everything)
    assert type(integer.a_number) is int


def test_none_is_left_out_only_where_it_is_the_default() -> None:
    value = make_converter().structure(GOOD, Everything)
    assert make_converter().unstructure(value) == GOOD | {"on": True}


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("aText", 1, "must be a text"),
        ("aText", None, "must be a text"),
        ("aFlag", 1, "must be true or false"),
        ("aFlag", "true", "must be true or false"),
        ("aCount", "12", "must be an integer"),
        ("aCount", 1.0, "must be an integer"),
        ("aCount", True, "must be an integer"),
        ("aNumber", "1.5", "must be a number"),
        ("aNumber", True, "must be a number"),
        ("someTexts", "AAPL", "must be a list of texts"),
        ("someTexts", ["a", 1], "must be a list of texts"),
        ("someTexts", {"a": 1}, "must be a list of texts"),
        ("byName", ["a"], "must map symbols to counts from 0"),
        ("byName", {"a": -1}, "must map symbols to counts from 0"),
        ("byName", {"a": True}, "must map symbols to counts from 0"),
        ("id", True, "must be a text or an integer"),
        ("id", 1.5, "must be a text or an integer"),
        ("id", "x" * 257, "must be at most 256 characters"),
        ("maybeId", [], "must be a text or an integer"),
        ("inner", "text", "must be an object"),
        ("several", {"text": "y"}, "must be a list of objects"),
        ("maybe", "1", "must be an integer"),
    ],
)
def test_no_value_is_coerced(field: str, value: object, why: str) -> None:
    with pytest.raises(cattrs.ClassValidationError) as caught:
        make_converter().structure(GOOD | {field: value}, Everything)
    (fault,) = caught.value.exceptions
    assert str(fault).startswith(why)


def test_a_missing_field_is_named_as_on_the_wire() -> None:
    with pytest.raises(cattrs.ClassValidationError) as caught:
        make_converter().structure({name: value for name, value in GOOD.items() if name != "aText"}, Everything)
    assert [fault.args for fault in caught.value.exceptions] == [("aText",)]


def test_of_many_that_are_wrong_the_first_is_told() -> None:
    """All were: 20 KiB of them made an error of 130 MiB, and a server could fill its clients' memory with a message."""
    with pytest.raises(cattrs.ClassValidationError) as caught:
        make_converter().structure(GOOD | {"several": [{}] * 100}, Everything)
    assert len(list(leaves_of(caught.value))) == 1
    assert cattrs.transform_error(caught.value) == ["required field missing @ $.several[0].text"]
