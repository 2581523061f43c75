"""Golden frames of every kind of request: what a client of version 1 sends, now and later."""

from __future__ import annotations

import json

import msgspec
import pytest

from datafye_trio.protocol import (
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
    parse_json,
    parse_msgpack,
    parse_request,
    request_to_dict,
)  # fmt: skip

T = 1_722_988_800_123_456_789
REQUESTS: list[tuple[Request, bool, str]] = [
    (Subscribe(("AAPL",)), False, '{"action":"subscribe","symbols":["AAPL"]}'),
    (
        Subscribe(
            ("AAPL", "MSFT"), ("quotes",), "q", "SIP", "stocks", "Minute", False, True, "latest", 2.5,
            ResumeFrom("e1", {"AAPL": 12}),
        ),
        False,
        ('{"action":"subscribe","symbols":["AAPL","MSFT"],"channels":["quotes"],"id":"q","dataset":"SIP",'
        '"assetClass":"stocks","frequency":"Minute","running":false,"snapshot":true,"delivery":"latest",'
        '"maxRate":2.5,"resume":{"epoch":"e1","positions":{"AAPL":12}}}'),
    ),
    (
        Unsubscribe(("*",), ("trades",), 3, "SIP", "stocks", "Hour", True, ("AAPL",)),
        False,
        ('{"action":"unsubscribe","symbols":["*"],"channels":["trades"],"id":3,"dataset":"SIP",'
        '"assetClass":"stocks","frequency":"Hour","running":true,"except":["AAPL"]}'),
    ),
    (ListSubscriptions(1), False, '{"action":"subscriptions","id":1}'),
    (Ping("x"), False, '{"action":"ping","id":"x"}'),
    (Pong(), False, '{"action":"pong"}'),
    (Pong(T), False, '{"action":"pong","timestamp":1722988800123456789}'),
    (
        Start("2024-08-07T09:30", "2024-08-07T16:00Z", "Tick", ("AAPL",), "trades", 1, "SIP", 100.0, 500, 7),
        True,
        ('{"action":"start","from":"2024-08-07T09:30","to":"2024-08-07T16:00Z","frequency":"Tick",'
        '"symbols":["AAPL"],"channel":"trades","id":1,"dataset":"SIP","rate":100.0,"window":500,"skip":7}'),
    ),
    (More("s", 10), True, '{"action":"more","id":"s","count":10}'),
    (Stop(), True, '{"action":"stop"}'),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "history", "text"), REQUESTS)
def test_request(request_: Request, history: bool, text: str) -> None:
    plain = request_to_dict(request_)
    assert msgspec.json.encode(plain).decode() == text
    packed = msgspec.msgpack.encode(plain)
    assert json.dumps(msgspec.msgpack.decode(packed)) == json.dumps(json.loads(text))  # keys in the same order
    for fields in (parse_json(text), parse_msgpack(packed)):
        assert parse_request(fields, history=history) == (request_, ())


def test_every_request_has_a_golden_frame() -> None:
    actions = {text.split('"')[3] for _, _, text in REQUESTS}
    assert actions == {"subscribe", "unsubscribe", "subscriptions", "ping", "pong", "start", "more", "stop"}
