"""The fast decoder agrees with the one that explains: same events, and never an event where that one refuses."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.errors import RequestError
from datafye_trio.model import Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.protocol import Codec, TimestampUnit, decode_message
from datafye_trio.protocol.data_decoder import DataDecoder

TIME = 1_700_000_000_123_000_000
LINES = (Line(50, 2, 10.5), Line(20, 1, 11.25))
EVENTS: list[Event] = [
    Quote("AAPL", TIME, 1.5, 100, None, 0, "XNAS", "ARCX", listing_exchange="XNAS"),
    Quote("BTCUSD", TIME, 64_000.12345678, 0.00000001, 64_001, 2.5, exchange_id="Coinbase"),
    Trade("AAPL", TIME, 1.25, 10, "XNAS", "7", trf_id="FINN", trf_timestamp=TIME + 1, conditions=("@", "I")),
    Trade("AAPL", TIME, 1.25, 10),
    Bar("AAPL", "Minute", TIME, 1.0, 2.0, 0.5, 1.5, 300, 4, 1.25, revision=1),
    Bar("AAPL", "Day", TIME, None, None, None, None, 0.5, 1, None, final=False),
    Sma("AAPL", "Minute", TIME, 1.5, *LINES, 0.75, "NONE"),
    Ema("AAPL", "Minute", TIME, 1.5, *LINES, 0.75, "NONE", Line(9, 1, 0.5), "NONE", "BULLISH", "NONE", "BEARISH"),
    Halt("AAPL", TIME, "news"),
    Resume("AAPL", TIME, "over"),
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=5),
    st.lists(st.text(max_size=2), max_size=2),
)  # fmt: skip


def fields_of(event: Event, unit: TimestampUnit = "ns") -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(Codec(unit).data(event, "SIP", "stocks", 12))
    return plain


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_what_the_codec_says(event: Event) -> None:
    payload = json.dumps({**fields_of(event), "news": {"a": [1]}})
    data = DataDecoder().decode(payload)
    assert data == decode_message(payload)
    assert data is not None
    assert (data.event, data.dataset, data.asset_class, data.seq) == (event, "SIP", "stocks", 12)
    for value, sent in zip(attrs.astuple(data.event), attrs.astuple(event), strict=True):
        assert type(value) is type(sent)  # an integer size stays one
    assert DataDecoder().decode(payload.encode()) == data


@pytest.mark.parametrize("unit", ["us", "ms"])
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_times_are_nanoseconds_whatever_the_unit(event: Event, unit: TimestampUnit) -> None:
    data = DataDecoder(unit).decode(json.dumps(fields_of(event, unit)))
    assert data is not None
    if isinstance(event, Trade) and event.trf_timestamp is not None:
        event = attrs.evolve(event, trf_timestamp=TIME)  # cut on the way out
    assert data.event == event


def test_a_time_that_nanoseconds_cannot_hold_is_none() -> None:
    fields = {**fields_of(EVENTS[3]), "exchangeTimestamp": 2**62}
    assert DataDecoder().decode(json.dumps(fields)) is not None
    assert DataDecoder("ms").decode(json.dumps(fields)) is None


def test_marks_of_the_envelope() -> None:
    fields = {**fields_of(EVENTS[0]), "snapshot": True, "conflated": 3, "stream": "s"}
    data = DataDecoder().decode(json.dumps(fields))
    assert data is not None
    assert (data.snapshot, data.conflated, data.stream) == (True, 3, "s")


@pytest.mark.parametrize(
    "payload",
    [
        "", "{", "[]", "null", '{"type":"heartbeat","timestamp":1,"lag":0,"sent":0}', '{"type":"news"}', '{"type":5}',
        '{"type":"trade"}', "\ud800", b"\xff", '{"type":"trade","x":' + "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_data_is_none(payload: str | bytes) -> None:
    assert DataDecoder().decode(payload) is None


@given(st.sampled_from(EVENTS), st.data())
def test_what_it_takes_the_codec_takes_alike(event: Event, data: st.DataObject) -> None:
    fields = fields_of(event)
    name = data.draw(st.sampled_from([*fields, "snapshot", "conflated", "stream"]))
    fields[name] = data.draw(SCALARS)
    payload = json.dumps(fields)
    found = DataDecoder().decode(payload)
    try:
        expected = decode_message(payload)
    except RequestError:
        expected = None
    assert found is None or found == expected


@given(st.text())
def test_any_text_is_data_or_nothing(text: str) -> None:
    assert DataDecoder().decode(text) is None
