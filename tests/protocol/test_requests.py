"""Requests: aliases, ignored fields, and the field that a refusal names."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.errors import RequestError
from datafye_trio.protocol import (
    ErrorCode,
    ListSubscriptions,
    More,
    Ping,
    Pong,
    Request,
    ResumeFrom,
    Start,
    Stop,
    Subscribe,
    Unsubscribe,
    find_id,
    parse_json,
    parse_msgpack,
    parse_request,
)

SUBSCRIBE = {"action": "subscribe", "symbols": ["AAPL"]}
START = {"action": "start", "symbols": ["A"], "from": "2024-01-02", "to": "2024-01-03", "frequency": "Minute"}
STARTED = Start("2024-01-02", "2024-01-03", "Minute", ("A",))

TAKEN: list[tuple[dict[str, Any], bool, Request, tuple[str, ...]]] = [
    (SUBSCRIBE, False, Subscribe(("AAPL",)), ()),
    ({"type": "subscribe", "symbols": ["A"]}, False, Subscribe(("A",)), ()),
    ({"op": "subscribe", "symbols": ["A"]}, False, Subscribe(("A",)), ()),
    ({"op": "ping", "type": "pong", "action": "subscribe", "symbols": ["A"]}, False, Subscribe(("A",)), ()),
    ({"op": "ping", "type": "pong"}, False, Pong(), ()),
    ({"action": None, "type": "ping"}, False, Ping(), ()),
    ({"action": "subscribe", "symbol": "A"}, False, Subscribe(("A",)), ()),
    ({"action": "subscribe", "symbol": "*", "channel": "quotes"}, False, Subscribe(("*",), ("quotes",)), ()),
    ({"action": "subscribe", "symbol": "A", "symbols": ["B"]}, False, Subscribe(("B",)), ()),
    ({"action": "subscribe", "symbol": "A", "symbols": None}, False, Subscribe(("A",)), ()),
    (SUBSCRIBE | {"symbol": None, "channel": None}, False, Subscribe(("AAPL",)), ()),
    ({"action": "subscribe", "symbols": "*"}, False, Subscribe(("*",)), ()),
    (SUBSCRIBE | {"id": None, "maxRate": None, "odd": None}, False, Subscribe(("AAPL",)), ()),
    (SUBSCRIBE | {"zeta": 1, "Alpha": {}, "max_rate": 2}, False, Subscribe(("AAPL",)), ("Alpha", "max_rate", "zeta")),
    (SUBSCRIBE | {"k" * 99: 1}, False, Subscribe(("AAPL",)), ("k" * 40,)),
    (SUBSCRIBE | {"except": ["A"]}, False, Subscribe(("AAPL",)), ("except",)),
    (
        SUBSCRIBE | {"resume": {"epoch": "e", "positions": {"AAPL": 3}, "more": 1}},
        False,
        Subscribe(("AAPL",), resume=ResumeFrom("e", {"AAPL": 3})),
        (),
    ),
    (SUBSCRIBE | {"delivery": "all"}, False, Subscribe(("AAPL",), delivery="all"), ()),
    (
        SUBSCRIBE | {"delivery": "latest", "maxRate": 1},
        False,
        Subscribe(("AAPL",), delivery="latest", max_rate=1),
        (),
    ),
    (
        {"action": "unsubscribe", "symbols": "*", "except": ["A"], "snapshot": True},
        False,
        Unsubscribe(("*",), except_=("A",)),
        ("snapshot",),
    ),
    ({"action": "subscriptions", "symbols": ["A"]}, False, ListSubscriptions(), ("symbols",)),
    ({"action": "ping", "id": "i", "symbol": 5}, False, Ping("i"), ("symbol",)),
    ({"action": "pong", "timestamp": 12}, False, Pong(12), ()),
    ({"action": "ping"}, True, Ping(), ()),
    ({"action": "pong"}, True, Pong(), ()),
    (START, True, STARTED, ()),
    ({"action": "start", "symbol": "A", "from": "2024-01-02", "to": "2024-01-03", "frequency": "Minute"}, True,
     STARTED, ()),
    ({"action": "start", "symbol": "*", "from": "2024-01-02", "to": "2024-01-03", "frequency": "Minute"}, True,
     Start("2024-01-02", "2024-01-03", "Minute", ("*",)), ()),
    ({"action": "start", "from": "a", "to": "b", "frequency": "Tick", "channel": "trades", "rate": 0.5, "window": 1,
      "speed": 2}, True, Start("a", "b", "Tick", None, "trades", rate=0.5, window=1), ("speed",)),
    ({"action": "more", "id": 4, "count": 10}, True, More(4, 10), ()),
    ({"action": "stop", "id": "s"}, True, Stop("s"), ()),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "history", "request_", "ignored"), TAKEN)
def test_requests(fields: dict[str, Any], history: bool, request_: Request, ignored: tuple[str, ...]) -> None:
    before = dict(fields)
    assert parse_request(fields, history=history) == (request_, ignored)
    assert fields == before


WRONG: list[tuple[dict[str, Any], bool, str]] = [
    ({}, False, "action"),
    ({"action": None}, False, "action"),
    ({"action": 5}, False, "action"),
    ({"action": ["subscribe"]}, False, "action"),
    ({"action": "subscribe"}, False, "symbols"),
    ({"action": "subscribe", "symbols": []}, False, "symbols"),
    ({"action": "subscribe", "symbols": "AAPL"}, False, "symbols"),
    ({"action": "subscribe", "symbols": {"AAPL": 1}}, False, "symbols"),
    ({"action": "subscribe", "symbols": ["AAPL", None]}, False, "symbols"),
    ({"action": "subscribe", "symbol": 5}, False, "symbol"),
    ({"action": "subscribe", "symbol": ["AAPL"]}, False, "symbol"),
    ({"action": "unsubscribe", "symbols": []}, False, "symbols"),
    ({"action": "unsubscribe", "symbols": ["*"], "except": "A"}, False, "except"),
    (SUBSCRIBE | {"channels": "quotes"}, False, "channels"),
    (SUBSCRIBE | {"channel": ["quotes"]}, False, "channel"),
    (SUBSCRIBE | {"id": 1.5}, False, "id"),
    (SUBSCRIBE | {"id": True}, False, "id"),
    (SUBSCRIBE | {"id": "x" * 257}, False, "id"),
    (SUBSCRIBE | {"dataset": 1}, False, "dataset"),
    (SUBSCRIBE | {"assetClass": 1}, False, "assetClass"),
    (SUBSCRIBE | {"frequency": []}, False, "frequency"),
    (SUBSCRIBE | {"running": "yes"}, False, "running"),
    (SUBSCRIBE | {"snapshot": 1}, False, "snapshot"),
    (SUBSCRIBE | {"delivery": True}, False, "delivery"),
    (SUBSCRIBE | {"delivery": "newest"}, False, "delivery"),
    (SUBSCRIBE | {"maxRate": "2"}, False, "maxRate"),
    (SUBSCRIBE | {"maxRate": 2}, False, "maxRate"),
    (SUBSCRIBE | {"maxRate": 2, "delivery": "all"}, False, "maxRate"),
    (SUBSCRIBE | {"maxRate": 0, "delivery": "latest"}, False, "maxRate"),
    (SUBSCRIBE | {"maxRate": -1.5, "delivery": "latest"}, False, "maxRate"),
    (SUBSCRIBE | {"resume": "e"}, False, "resume"),
    (SUBSCRIBE | {"resume": {}}, False, "resume.epoch"),
    (SUBSCRIBE | {"resume": {"epoch": 1, "positions": {}}}, False, "resume.epoch"),
    (SUBSCRIBE | {"resume": {"epoch": "e"}}, False, "resume.positions"),
    (SUBSCRIBE | {"resume": {"epoch": "e", "positions": {"A": "1"}}}, False, "resume.positions"),
    ({"action": "pong", "timestamp": "now"}, False, "timestamp"),
    ({"action": "ping", "id": []}, False, "id"),
    ({"action": "start"}, True, "from"),
    (START | {"from": 5}, True, "from"),
    (START | {"to": None}, True, "to"),
    (START | {"rate": "fast"}, True, "rate"),
    (START | {"rate": 0}, True, "rate"),
    (START | {"rate": -2.5}, True, "rate"),
    (START | {"rate": float("nan")}, True, "rate"),
    (START | {"rate": float("inf")}, True, "rate"),
    (START | {"window": 1.5}, True, "window"),
    (START | {"window": 0}, True, "window"),
    (START | {"skip": 0}, True, "skip"),
    (START | {"skip": 1.5}, True, "skip"),
    (START | {"symbols": []}, True, "symbols"),
    (START | {"channel": 1}, True, "channel"),
    ({"action": "more", "count": 1}, True, "id"),
    ({"action": "more", "id": 1}, True, "count"),
    ({"action": "more", "id": 1, "count": 0}, True, "count"),
    ({"action": "more", "id": 1, "count": -7}, True, "count"),
    ({"action": "stop", "id": False}, True, "id"),
]


@pytest.mark.parametrize(("fields", "history", "field"), WRONG)
def test_a_wrong_field_is_named(fields: dict[str, Any], history: bool, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(fields, history=history)
    assert (caught.value.code, caught.value.field) == (ErrorCode.INVALID_MESSAGE, field)
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("action", "history", "why"),
    [
        ("", False, "unknown action '': use one of ping, pong, subscribe, subscriptions, unsubscribe"),
        ("Subscribe", False, "unknown action 'Subscribe': use one of"),
        ("start", False, "unknown action 'start' on a live path: use one of ping, pong, subscribe"),
        ("subscribe", True, "unknown action 'subscribe' on the history path: use one of more, ping, pong, start, stop"),
        ("x" * 99, False, f"unknown action '{'x' * 40}': "),
    ],
)
def test_unknown_actions(action: str, history: bool, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        parse_request({"action": action}, history=history)
    assert (caught.value.code, caught.value.field) == (ErrorCode.UNKNOWN_ACTION, "action")


@pytest.mark.parametrize(
    ("value", "found"),
    [(7, 7), ("q", "q"), (0, 0), ("x" * 257, None), (True, None), (1.5, None), ([], None), (None, None)],
)
def test_find_id(value: object, found: str | int | None) -> None:
    assert find_id({"id": value, "symbols": 5}) == found


def test_find_id_without_one() -> None:
    assert find_id({}) is None


NAMES = st.sampled_from(
    ["action", "type", "op", "id", "symbols", "symbol", "channels", "channel", "dataset", "assetClass", "frequency",
     "running", "snapshot", "delivery", "maxRate", "resume", "except", "timestamp", "from", "to", "window", "skip",
     "count", "epoch", "positions"],
) | st.text(max_size=3)  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(["subscribe", "start", "AAPL", "*", "latest"]) | st.text(max_size=3) | st.integers() | st.floats()
    | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
VALID = st.sampled_from([(fields, history) for fields, history, _, _ in TAKEN])


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, Any], bool]:
    """A valid request with keys and values changed, dropped or added at the top, or one level below."""
    fields, history = draw(VALID)
    changed: dict[str, Any] = {
        name: value for name, value in fields.items() if draw(st.integers(0, 7)) > 0
    } | draw(st.dictionaries(NAMES, VALUES, max_size=2))  # fmt: skip
    if isinstance(changed.get("resume"), dict):
        changed["resume"] = changed["resume"] | draw(st.dictionaries(NAMES, VALUES, max_size=1))
    return changed, history != (draw(st.integers(0, 9)) == 0)


def check_whole_way(message: str | bytes, history: bool) -> None:
    """The invariant: a message gives a request or a RequestError, never another exception."""
    refusal = None
    try:
        fields = parse_json(message) if isinstance(message, str) else parse_msgpack(message)
        find_id(fields)
        request, ignored = parse_request(fields, history=history)
    except RequestError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code in {ErrorCode.MALFORMED_JSON, ErrorCode.INVALID_MESSAGE, ErrorCode.UNKNOWN_ACTION}
    else:
        assert type(request).__module__ == "datafye_trio.protocol.requests"
        assert not set(ignored) & {"action", "type", "op"}


@pytest.mark.unmeasured
@settings(max_examples=125)
@given(mutated())
def test_mutated_requests(case: tuple[dict[str, Any], bool]) -> None:
    fields, history = case
    check_whole_way(as_json(fields), history)
    try:
        packed = msgspec.msgpack.encode(fields)
    except OverflowError:  # an integer that MessagePack cannot hold
        return
    check_whole_way(packed, history)


@pytest.mark.unmeasured
@settings(max_examples=125)
@given(VALID, st.data())
def test_requests_cut_and_spliced(case: tuple[dict[str, Any], bool], data: st.DataObject) -> None:
    """Duplicates, broken nesting and stray bytes: a slice of the message is repeated or replaced."""
    text = as_json(case[0])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    filling = data.draw(st.text(max_size=4) | st.just(text[start:end] * 2) | st.sampled_from(["{", "]", '"', ","]))
    spliced = text[:start] + filling + text[end:]
    check_whole_way(spliced, case[1])
    packed = bytearray(msgspec.msgpack.encode(case[0]))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    check_whole_way(bytes(packed), case[1])


def as_json(fields: dict[str, Any]) -> str:
    """As a careless client writes it: NaN, big integers and lone surrogates included."""
    return json.dumps(fields)
