"""The codec: what is encoded is read back equal, in both encodings; units of time; what is refused."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.errors import RequestError
from datafye_trio.model import AssetClass, Bar, Event, Halt, Quote, Trade
from datafye_trio.protocol import (
    NS_PER_UNIT,
    Codec,
    Data,
    Encoding,
    ErrorCode,
    Heartbeat,
    Message,
    Request,
    TimestampUnit,
    decode_message,
    parse_json,
    parse_msgpack,
    parse_request,
    request_to_dict,
)
from datafye_trio.protocol.messages import EVENT_TYPES, MESSAGE_TYPES
from datafye_trio.protocol.requests import ListSubscriptions, More, Ping, Pong, Start, Stop, Subscribe, Unsubscribe

ENCODINGS: tuple[Encoding, ...] = ("json", "msgpack")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
LEAVES: dict[object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: INTEGERS,
    float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    types.NoneType: st.none(),
}


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, as it is annotated: any that the wire can hold."""
    if attrs.has(kind):
        return of_class(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return st.lists(of_type(inner[0]), max_size=3).map(tuple)
    if kind == dict[str, int]:
        return st.dictionaries(TEXTS, st.integers(0, 2**64 - 1), max_size=3)
    if origin is dict:
        return st.dictionaries(of_type(inner[0]), of_type(inner[1]), max_size=3)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([of_type(part) for part in inner])
    return LEAVES[kind]


def of_class(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: of_type(hints[field.name]) for field in attrs.fields(cls)})


MESSAGES = st.one_of([of_class(cls) for cls in MESSAGE_TYPES.values()])
EVENTS = st.one_of([of_class(cls) for cls in EVENT_TYPES.values()])
LIVE_REQUESTS = st.one_of([of_class(cls) for cls in (Subscribe, Unsubscribe, ListSubscriptions, Ping, Pong)])
STORED_REQUESTS = st.one_of([of_class(cls) for cls in (Start, More, Stop, Ping, Pong)])


@settings(max_examples=75)
@given(message=MESSAGES, encoding=st.sampled_from(ENCODINGS))
def test_messages_round_trip(message: Message, encoding: Encoding) -> None:
    payload = Codec().encode(message, encoding)
    assert decode_message(payload, encoding) == message


@settings(max_examples=75)
@given(event=EVENTS, seq=st.integers(1, 2**63), encoding=st.sampled_from(ENCODINGS))
def test_events_round_trip(event: Event, seq: int, encoding: Encoding) -> None:
    codec = Codec()
    payload = codec.write(codec.data(event, "SIP", AssetClass.STOCKS, seq), encoding)
    assert decode_message(payload, encoding) == Data(event, "SIP", "stocks", seq)


@settings(max_examples=75)
@given(event=EVENTS, stream=st.integers(0, 2**63) | st.text(max_size=9), encoding=st.sampled_from(ENCODINGS))
def test_stored_events_round_trip(event: Event, stream: int | str, encoding: Encoding) -> None:
    codec = Codec()
    payload = codec.write(codec.stored(event, "SIP", AssetClass.STOCKS, stream), encoding)
    assert decode_message(payload, encoding) == Data(event, "SIP", "stocks", stream=stream)


@settings(max_examples=75)
@given(request=LIVE_REQUESTS.map(lambda item: (item, False)) | STORED_REQUESTS.map(lambda item: (item, True)))
def test_requests_round_trip(request: tuple[Request, bool]) -> None:
    wanted, history = request
    plain = request_to_dict(wanted)
    for fields in (parse_json(msgspec.json.encode(plain).decode()), parse_msgpack(msgspec.msgpack.encode(plain))):
        found = outcome(parse_request, fields, history=history)
        if isinstance(found, RequestError):  # it holds a value that is of the type, but out of its range
            assert found.field in {"symbols", "delivery", "maxRate", "rate", "window", "skip", "count"}
        else:
            assert found == (wanted, ())


@settings(max_examples=100)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_prices_read_back_as_the_same_double(number: float) -> None:
    codec = Codec()
    trade = Trade("A", 1, number, 1)
    back = decode_message(codec.write(codec.data(trade, "SIP", "stocks", 1), "json"))
    assert isinstance(back, Data)
    assert isinstance(back.event, Trade)
    assert (back.event.price, str(back.event.price)) == (number, str(number))  # str: -0.0 is not 0.0


def test_integers_stay_integers() -> None:
    codec = Codec()
    assert b'"tradeSize":100,' not in codec.write(codec.data(Trade("A", 1, 1.5, 100.0), "S", "stocks", 1), "json")
    text = codec.write(codec.data(Trade("A", 1, 1.5, 100), "S", "stocks", 1), "json")
    assert text.endswith(b'"tradePrice":1.5,"tradeSize":100}')


@pytest.mark.parametrize(("unit", "stamp"), [("ns", 1_234_567_890), ("us", 1_234_567), ("ms", 1_234)])
def test_times_of_events_are_sent_in_the_unit(unit: TimestampUnit, stamp: int) -> None:
    time_ns = 1_234_567_890
    codec = Codec(unit)
    assert codec.unit == unit
    assert codec.timestamp(time_ns) == stamp == time_ns // NS_PER_UNIT[unit]
    events: list[tuple[Event, tuple[str, ...]]] = [
        (Trade("A", time_ns, 1.0, 1, trf_timestamp=time_ns), ("exchangeTimestamp", "trfTimestamp")),
        (Quote("A", time_ns, 1.0, 1, 1.0, 1), ("exchangeTimestamp",)),
        (Bar("A", "Minute", time_ns, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0), ("datetime",)),
        (Halt("A", time_ns, "x"), ("timestamp",)),
    ]
    for event, names in events:
        plain = msgspec.to_builtins(codec.data(event, "SIP", "stocks", 1))
        assert [plain[name] for name in names] == [stamp] * len(names)


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
def test_times_of_messages_are_in_the_unit_already(unit: TimestampUnit) -> None:
    codec = Codec(unit)
    beat = Heartbeat(codec.timestamp(1_722_988_800_123_456_789), 0, 0)
    assert decode_message(codec.encode(beat)) == beat


def test_text_and_bytes_are_both_taken() -> None:
    codec = Codec()
    beat = Heartbeat(1, 2, 3)
    text = codec.encode(beat).decode()
    assert decode_message(text) == decode_message(text.encode()) == beat
    assert decode_message(codec.encode(beat, "msgpack"), "msgpack") == beat


def test_unknown_fields_are_ignored() -> None:
    assert decode_message('{"type":"heartbeat","timestamp":1,"lag":2,"sent":3,"new":{"a":[1]}}') == Heartbeat(1, 2, 3)
    text = '{"type":"halt","dataset":"S","assetClass":"stocks","seq":1,"symbol":"A","timestamp":1,"reason":"","new":1}'
    assert decode_message(text) == Data(Halt("A", 1, ""), "S", "stocks", 1)


HALT = '"symbol":"A","timestamp":1,"reason":"x"'
BAD: list[tuple[str | bytes, Encoding, ErrorCode, str]] = [
    ("{", "json", ErrorCode.MALFORMED_JSON, "no JSON"),
    (b'{"type":"pong\xff"}', "json", ErrorCode.MALFORMED_JSON, "surrogate"),
    ("\u20ac", "msgpack", ErrorCode.MALFORMED_JSON, "no MessagePack"),
    ("{}", "json", ErrorCode.INVALID_MESSAGE, "no known type"),
    ('{"type":["pong"]}', "json", ErrorCode.INVALID_MESSAGE, "no known type"),
    ('{"type":"pongo"}', "json", ErrorCode.INVALID_MESSAGE, "no known type"),
    ('{"type":"pong"}', "json", ErrorCode.INVALID_MESSAGE, "timestamp"),
    ('{"type":"pong","timestamp":"1"}', "json", ErrorCode.INVALID_MESSAGE, "expected int @ ..timestamp"),
    ('{"type":"pong","timestamp":true}', "json", ErrorCode.INVALID_MESSAGE, "expected int @ ..timestamp"),
    ('{"type":"subscriptions","subscriptions":7}', "json", ErrorCode.INVALID_MESSAGE, "subscriptions"),
    ('{"type":"subscriptions","subscriptions":["x"]}', "json", ErrorCode.INVALID_MESSAGE, "expected SubscriptionGroup"),
    (f'{{"type":"halt","assetClass":"stocks",{HALT}}}', "json", ErrorCode.INVALID_MESSAGE, "dataset is missing"),
    (f'{{"type":"halt","dataset":"S",{HALT}}}', "json", ErrorCode.INVALID_MESSAGE, "assetClass is missing"),
    ('{"type":"halt","dataset":"S","assetClass":"stocks"}', "json", ErrorCode.INVALID_MESSAGE, "symbol"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "encoding", "code", "why"), BAD)
def test_bad_messages_are_refused(payload: str | bytes, encoding: Encoding, code: ErrorCode, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        decode_message(payload, encoding)
    assert caught.value.code == code


@pytest.mark.parametrize("field", ['"seq":"1"', '"seq":true', '"stream":1.5', '"snapshot":1', '"conflated":"3"'])
def test_an_envelope_of_wrong_types_is_refused(field: str) -> None:
    with pytest.raises(RequestError, match="wrong type") as caught:
        decode_message(f'{{"type":"halt","dataset":"S","assetClass":"stocks",{field},{HALT}}}')
    assert caught.value.code == ErrorCode.INVALID_MESSAGE


@pytest.mark.unmeasured
@settings(max_examples=75)
@given(
    fields=st.dictionaries(st.sampled_from(["type", "dataset", "assetClass", "seq", "symbol", "id", "positions"]),
        st.sampled_from(sorted(MESSAGE_TYPES | EVENT_TYPES)) | INTEGERS | TEXTS | st.none() | st.lists(INTEGERS)
        | st.dictionaries(TEXTS, INTEGERS)),
    encoding=st.sampled_from(ENCODINGS),
)  # fmt: skip
def test_any_object_gives_a_message_or_a_request_error(fields: dict[str, Any], encoding: Encoding) -> None:
    payload = msgspec.json.encode(fields) if encoding == "json" else msgspec.msgpack.encode(fields)
    found = outcome(decode_message, payload, encoding)
    assert not isinstance(found, RequestError) or found.code == ErrorCode.INVALID_MESSAGE


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What it returns, or the refusal. Any other exception fails the test."""
    try:
        return function(*args, **kwargs)
    except RequestError as error:
        return error
