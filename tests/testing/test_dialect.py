"""The dialect by itself: what passes either way, what is refused, and what is left of each message."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import START_NS, quote, upgrade_head
from testing.spoken import BAR, BASE, CODEC, HISTORY, SAMPLES, check, live

from datafye_trio.model import Event, Halt, Resume
from datafye_trio.protocol import ErrorCode
from datafye_trio.protocol.messages import (
    MESSAGE_TYPES,
    Connected,
    DatasetOffer,
    ErrorReply,
    Gap,
    Heartbeat,
    Message,
    PongReply,
    StreamEnd,
    StreamError,
    StreamStart,
    Subscribed,
    SubscriptionList,
    Unsubscribed,
)
from datafye_trio.testing.dialect import Answer, Dialect

QUOTES, TICKS = f"{BASE}/live/quotes", f"{BASE}/live/ticks"


def left(payload: bytes, path: str = QUOTES) -> dict[str, Any] | None:
    """What is left of a message, as a dict."""
    passed = Dialect(path).from_server(payload)
    return None if passed is None else json.loads(passed)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/health", "/metrics", "/replay/pause", "/datafye-ws/v1", "/datafye-ws/v1/stream", f"{BASE}/live",
        f"{BASE}/live/trades", f"{BASE}/live/aggregates", f"{BASE}/live/ohlc", f"{BASE}/live/quotes/", f"{HISTORY}/",
        "/datafye-ws/v1/crypto/live/quotes", "/datafye-ws/v1/crypto/history", "/datafye-ws/v2/stocks/live/quotes",
    ],
)  # fmt: skip
def test_other_paths_are_404(path: str) -> None:
    refusal = Dialect.check_path(path)
    assert refusal is not None
    assert refusal.status == 404
    assert refusal.reason.startswith(f"Datafye documents nothing at {path}: its paths are {BASE}/live/quotes, ")
    assert "\n" not in refusal.reason


def test_a_query_is_400() -> None:
    assert Dialect.check_path(QUOTES) is None
    assert Dialect.check_path(QUOTES, "symbols=AAPL") == (
        400,
        "Datafye documents no query on this path: send a request once connected",
    )


def test_subprotocols_are_taken_out_of_the_head_and_nothing_else() -> None:
    plain = upgrade_head(QUOTES, "Origin: http://localhost", "X-Sec-WebSocket-Protocol: 1")
    assert Dialect.plain_head(plain) == plain
    offers = "Sec-WebSocket-Protocol: datafye.v1.msgpack, other", "sec-websocket-protocol:datafye.v1.json"
    head = upgrade_head(QUOTES, offers[0], "Origin: http://localhost", offers[1], "X-Sec-WebSocket-Protocol: 1")
    assert Dialect.plain_head(head) == plain


@pytest.mark.parametrize(("path", "text"), SAMPLES.items())
def test_the_samples_requests_pass_byte_for_byte(path: str, text: str) -> None:
    assert Dialect(path).from_client(text.encode()) == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        '{"action":"pong"}', '{"type":"pong"}', '{"op":"pong"}', '{"action":"pong","timestamp":12}',
        '{"type":"pong","anything":null}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [QUOTES, HISTORY])
def test_pongs_pass_as_the_server_takes_them(path: str, text: str) -> None:
    dialect = Dialect(path)
    dialect.from_client(SAMPLES[path].encode())
    assert dialect.from_client(text.encode()) == text.encode()


@pytest.mark.parametrize("payload", [b"pong", b"", b"[1]", b'{"action":', b'{"a":1,"a":2}', b"\xff", b'"pong"'])
def test_what_is_no_object_is_the_servers_to_refuse(payload: bytes) -> None:
    assert Dialect(QUOTES).from_client(payload) == payload


@pytest.mark.parametrize("text", ['{"action":"ping"}', '{"symbols":["AAPL"]}', "{}", '{"type":"subscribe"}'])
def test_what_is_not_documented_is_answered_with_an_error(text: str) -> None:
    answer = Dialect(QUOTES).from_client(text.encode())
    assert isinstance(answer, Answer)
    frame = json.loads(answer.payload)
    check(frame)
    assert frame["type"] == "error"
    assert "Datafye does not document that" in frame["message"]
    assert SAMPLES[QUOTES] in frame["message"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["action", "type", "op", "dataset", "symbols", "symbol", "frequency", "from", "to", "id"])
SOUND = st.sampled_from(["subscribe", "unsubscribe", "start", "pong", "SIP", "Crypto", ["AAPL"], ["*"], "AAPL", "Day"])
TEXTS = st.binary(max_size=40) | st.dictionaries(NAMES, SOUND | VALUES, max_size=6).map(
    lambda fields: json.dumps(fields).encode()
)


@given(path=st.sampled_from([*SAMPLES]), payloads=st.lists(TEXTS, max_size=5))
def test_whatever_a_client_sends_passes_whole_or_is_answered(path: str, payloads: list[bytes]) -> None:
    dialect = Dialect(path)
    for payload in payloads:
        passed = dialect.from_client(payload)
        if isinstance(passed, Answer):
            check(json.loads(passed.payload))
        else:
            assert passed == payload


SUBSCRIBED = CODEC.encode(Subscribed("SIP", "stocks", ("quotes",), ("AAPL",), "e", 1, id=3, positions={"quotes": {}}))
REFUSED = CODEC.encode(ErrorReply(ErrorCode.UNKNOWN_SYMBOL, "no such symbol", False, 3, "symbols", ("AAPL",)))
STARTED = CODEC.encode(StreamStart("s1", ("AAPL",)))


@pytest.mark.parametrize(("path", "answer"), [(QUOTES, SUBSCRIBED), (HISTORY, STARTED)])
def test_a_second_request_on_a_connection_is_refused(path: str, answer: bytes) -> None:
    dialect, text = Dialect(path), SAMPLES[path].encode()
    assert dialect.from_client(b'{"action":"no"}') != text  # refused here, it is none that was made
    assert dialect.from_client(text) == text
    for then in (answer, REFUSED):  # a request that was met in part stays the one
        refused = dialect.from_client(text)
        assert isinstance(refused, Answer)
        assert json.loads(refused.payload)["message"].startswith("a second request on a connection")
        dialect.from_server(then)
    assert isinstance(dialect.from_client(text), Answer)


def test_after_a_refusal_another_request_may_be_tried() -> None:
    dialect, text = Dialect(QUOTES), SAMPLES[QUOTES].encode()
    for _ in range(3):
        assert dialect.from_client(text) == text
        assert dialect.from_server(REFUSED) == b'{"type":"error","message":"no such symbol (AAPL)"}'
    assert dialect.from_client(text) == text


def test_to_unsubscribe_is_no_second_request() -> None:
    dialect, text = Dialect(QUOTES), SAMPLES[QUOTES].encode()
    leaving = text.replace(b"subscribe", b"unsubscribe")
    clean = leaving.replace(b"AAPL", b"*")
    for payload in (clean, text, leaving, leaving, clean):
        assert dialect.from_client(payload) == payload


GAP = Gap("SIP", "stocks", "quotes", "AAPL", "e", "slow_consumer", from_=1, to=3)
OFFER = DatasetOffer("SIP", "stocks", "e", ("quotes",), ())
MESSAGES: list[tuple[Message, dict[str, Any] | None]] = [
    (Connected("c1", 1, "ns", 10.0, 30.0, (OFFER,), {"topics": 1}, START_NS), {"type": "connected"}),
    (Subscribed("SIP", "stocks", ("quotes",), ("AAPL",), "e", 1, ignored=("x",)), {"type": "subscribed"}),
    (Unsubscribed("SIP", "stocks", ("quotes",), ("AAPL",), "e", 0, id=1), {"type": "unsubscribed"}),
    (SubscriptionList(()), None),
    (GAP, None),
    (Heartbeat(START_NS, 3, 12), {"type": "heartbeat"}),
    (PongReply(START_NS), None),
    (ErrorReply(ErrorCode.INTERNAL, "sorry", True, "a", "b", ("C",)), {"type": "error", "message": "sorry (C)"}),
    (ErrorReply(ErrorCode.NO_DATA, "nothing there", False), {"type": "stream_end"}),
    (StreamStart("s1", ("AAPL",)), None),
    (StreamEnd("s1", ("AAPL",), 12, "complete"), {"type": "stream_end"}),
    (StreamError("s1", ("AAPL",), "INTERNAL", "it broke"), {"type": "error", "message": "it broke (AAPL)"}),
]


@pytest.mark.parametrize(("message", "frame"), MESSAGES, ids=lambda value: type(value).__name__)
def test_what_is_left_of_each_message(message: Message, frame: dict[str, Any] | None) -> None:
    assert left(CODEC.encode(message)) == frame


def test_no_kind_of_message_is_forgotten() -> None:
    assert {type(message) for message, _ in MESSAGES} == {*MESSAGE_TYPES.values()}


def test_stored_bars_are_as_live_ones() -> None:
    stored = CODEC.write(CODEC.stored(BAR, "SIP", "stocks", "s1"), "json")
    assert left(stored, HISTORY) == left(live(BAR), f"{BASE}/live/aggs")
    assert left(stored, HISTORY) is not None


def test_snapshots_corrections_and_running_bars_are_dropped() -> None:
    aggs = f"{BASE}/live/aggs"
    assert left(live(quote(), snapshot=True)) is None
    assert left(live(attrs.evolve(BAR, revision=1)), aggs) is None
    assert left(live(attrs.evolve(BAR, final=False)), aggs) is None
    assert left(live(BAR), aggs) is not None


@pytest.mark.parametrize("event", [Halt("AAPL", 5, "news"), Resume("AAPL", 6, "over")])
def test_halts_come_on_quotes_of_stocks(event: Event) -> None:
    kind = "halt" if isinstance(event, Halt) else "resume"
    assert left(live(event, channel="quotes")) == {"type": kind, "symbol": "AAPL"}
    assert left(live(event, channel="trades"), TICKS) is None
    assert left(live(event, "crypto", channel="quotes")) is None


def test_an_error_names_the_first_symbols_that_it_is_about() -> None:
    symbols = tuple(f"S{n}" for n in range(12))
    frame = left(CODEC.encode(ErrorReply(ErrorCode.UNKNOWN_SYMBOL, "none such", False, symbols=symbols)))
    assert frame == {"type": "error", "message": "none such (S0, S1, S2, S3, S4, S5, S6, S7, S8, S9)"}
    assert left(CODEC.encode(ErrorReply(ErrorCode.INTERNAL, "sorry", True))) == {"type": "error", "message": "sorry"}
