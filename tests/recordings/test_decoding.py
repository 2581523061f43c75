"""Events through Arrow and back: every class, every field, bit for bit. Also what schema.py says of the columns."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings.kit import BARS, CRYPTO, EVENTS, NOON, QUOTES, STOCKS, TRADES, exact, trade

from datafye_trio.model import AssetClass, Bar, Channel, Event, Halt, Quote, Trade
from datafye_trio.protocol.messages import EVENT_TYPES
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.decoding import decode
from datafye_trio.recordings.schema import COLUMNS, COMMON_COLUMNS, KINDS, batch_of, make_schema

pa = load_arrow()
SIZES: dict[type[Any], tuple[str, ...]] = {Trade: ("size",), Quote: ("bid_size", "ask_size"), Bar: ("volume",)}


def as_read(batch: Any, channel: Channel) -> Any:
    """The batch with the columns as dictionaries that are read as such."""
    for at, column in enumerate(COLUMNS[channel]):
        array = batch.column(at)
        if column.kind == "texts":
            array = pa.ListArray.from_arrays(
                array.offsets, array.values.dictionary_encode(), mask=None if not array.null_count else array.is_null()
            )
        elif column.name in COMMON_COLUMNS[channel]:
            array = array.dictionary_encode()
        batch = batch.set_column(at, column.name, array)
    return batch


def through(events: list[Event], channel: Channel, asset_class: AssetClass) -> list[Event]:
    schema = make_schema("X", asset_class, channel)
    batch = batch_of([(NOON, event, None, None) for event in events], channel, schema)
    return list(decode(as_read(batch, channel), channel, asset_class))


def normal(event: Event, asset_class: AssetClass) -> Event:
    """With sizes as they come back: integers for stocks where whole, else floats; prices always floats."""
    sizes = {}
    for name in SIZES.get(type(event), ()):
        size = float(getattr(event, name))
        whole = asset_class is STOCKS and size.is_integer() and size < 2**53
        sizes[name] = int(size) if whole else size
    return attrs.evolve(event, **sizes) if sizes else event


@pytest.mark.unmeasured
@settings(max_examples=150)
@given(st.data(), st.sampled_from(list(Channel)), st.sampled_from(list(AssetClass)))
def test_events_come_back_to_the_last_bit(data: st.DataObject, channel: Channel, asset_class: AssetClass) -> None:
    events = data.draw(st.lists(EVENTS[channel], min_size=1, max_size=6))
    expected = [exact(normal(event, asset_class)) for event in events]
    assert [exact(event) for event in through(events, channel, asset_class)] == expected


def test_kinds_are_named_as_on_the_wire() -> None:
    assert {kind.name: kind.cls for kinds in KINDS.values() for kind in kinds} == EVENT_TYPES


@pytest.mark.parametrize("channel", list(Channel))
def test_every_field_has_a_column(channel: Channel) -> None:
    names = [column.name for column in COLUMNS[channel]]
    assert names[:5] == ["time", "type", "symbol", "epoch", "seq"]
    assert len(set(names)) == len(names)
    for kind in KINDS[channel]:
        back = {attribute: column for column, attribute in kind.attributes.items()}
        for field in attrs.fields(kind.cls):
            assert back.get(field.name, field.name) in names or f"{field.name}_ma" in names


def test_columns_are_plain_numbers_and_texts() -> None:
    schema = make_schema("X", STOCKS, TRADES)
    assert {field.name: str(field.type) for field in schema if field.name in ("time", "price", "size")} == {
        "time": "int64",
        "price": "double",
        "size": "double",
    }
    assert str(schema.field("conditions").type).startswith("list<")
    assert schema.metadata == {
        b"datafye.format": b"1",
        b"datafye.dataset": b"X",
        b"datafye.asset_class": b"stocks",
        b"datafye.channel": b"trades",
    }


@pytest.mark.parametrize(
    "event",
    [
        Trade("A", 1, "1", 1),  # type: ignore[arg-type]
        Trade("A", 1, 1.0, 2**53 + 1),
        Trade("A", 2**63, 1.0, 1),
        Trade("A", None, 1.0, 1),  # type: ignore[arg-type]
        Trade(None, 1, 1.0, 1),  # type: ignore[arg-type]
        Trade("\ud800", 1, 1.0, 1),
    ],
)
def test_what_no_column_takes_is_refused(event: Trade) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        through([event], TRADES, STOCKS)


@pytest.mark.parametrize(("column", "event"), [("size", trade()), ("ask_size", Quote("A", 1, 1.0, 1, 1.0, 1))])
def test_a_row_that_lacks_what_its_kind_has_is_named(column: str, event: Event) -> None:
    channel = TRADES if column == "size" else QUOTES
    schema = make_schema("X", STOCKS, channel)
    batch = as_read(batch_of([(NOON, event, None, None)], channel, schema), channel)
    batch = batch.set_column(schema.get_field_index(column), column, pa.nulls(1, pa.float64()))
    with pytest.raises(ValueError, match=f"lacks its {column}"):
        decode(batch, channel, STOCKS)


def test_a_row_of_a_foreign_kind_is_named() -> None:
    schema = make_schema("X", STOCKS, TRADES)
    batch = as_read(batch_of([(NOON, trade(), None, None)], TRADES, schema), TRADES)
    batch = batch.set_column(1, "type", pa.array(["auction"]).dictionary_encode())
    with pytest.raises(ValueError, match="a row of type 'auction' is among the trades"):
        decode(batch, TRADES, STOCKS)


def test_texts_that_are_equal_are_one_object() -> None:
    first, second = through([trade(symbol="LONGER"), trade(symbol="".join(["LONG", "ER"]))], TRADES, STOCKS)
    assert first.symbol is second.symbol


def test_kinds_that_are_mixed_keep_their_order() -> None:
    events: list[Event] = [Halt("A", 1, "x"), trade(1), trade(2), Halt("B", 2, "y"), trade(0.5)]
    assert through(events, TRADES, STOCKS) == events


def test_bars_of_stocks_keep_fractions_of_a_share() -> None:
    bars: list[Event] = [Bar("A", "Minute", 1, 1.0, 1.0, 1.0, 1.0, size, 1, 1.0) for size in (3, 2.5)]
    assert [exact(bar) for bar in through(bars, BARS, STOCKS)] == [exact(bar) for bar in bars]
    coins = through([Bar("A", "Minute", 1, None, None, None, None, 3.0, 1, None)], BARS, CRYPTO)
    assert type(coins[0].volume) is float  # type: ignore[union-attr]


def test_conditions_that_every_row_has() -> None:
    events: list[Event] = [Trade("A", 1, 1.0, 1, conditions=texts) for texts in (("@",), (), ("F", "T"))]
    assert through(events, TRADES, STOCKS) == events
