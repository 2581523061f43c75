"""HTTP answers that are no 101: what they mean, and when to come back."""

from __future__ import annotations

import pytest

from datafye_trio.wire import answers
from datafye_trio.wire.answers import Answer, is_retryable, parse_answer, refusal

HEAD = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX-One: a\r\n\r\n"


@pytest.mark.parametrize("rest", [b"", b"a body"])
def test_a_head_is_parsed(rest: bytes) -> None:
    assert parse_answer(HEAD + rest) == Answer(503, {"retry-after": "7", "x-one": "a"})
    assert parse_answer(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n" + rest) == Answer(101, {"upgrade": "websocket"})


@pytest.mark.parametrize(
    "head", [b"", HEAD[:-2], b"220 mail.example.com ESMTP\r\n", b"\x15\x03\x03\0\2", b"x" * 70_000]
)
def test_what_is_no_head(head: bytes) -> None:
    assert parse_answer(head) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "9" * 5000}, 86_400.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "\u0662"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:10 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:10 GMT"}, 86_400.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:00 GMT"}, 40.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:00 GMT", "date": "today"}, 40.0),
        ({"retry-after": "Tue, 99 Nov 2023 22:14:00 GMT"}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers.time, "time", lambda: 1_700_000_000.0)
    assert Answer(503, headers).retry_after == seconds


def test_which_statuses_may_change() -> None:
    assert [status for status in range(100, 600) if is_retryable(status)] == [408, 425, 429, *range(500, 600)]


def test_a_refusal_says_why() -> None:
    error = refusal("host:1", Answer(429, {"retry-after": "3"}), b" \n too many, try later\nsecond line")
    assert str(error) == "host:1 answered HTTP 429: too many, try later"
    assert (error.kind, error.status, error.retry_after, error.retryable) == ("status", 429, 3.0, True)


def test_a_refusal_without_a_body() -> None:
    error = refusal("host:1", Answer(404, {"location": "ws://x"}))
    assert (str(error), error.retryable, error.retry_after) == ("host:1 answered HTTP 404", False, None)


def test_what_a_stranger_writes_is_one_short_line() -> None:
    text = str(refusal("h", Answer(500, {}), b"\x1b[31m\xff" + b"x" * 1000))
    assert text == "h answered HTTP 500: ?[31m\ufffd" + "x" * 194


def test_a_redirect_is_not_followed() -> None:
    error = refusal("h", Answer(301, {"location": "wss://other/"}), b"<html>")
    assert (str(error), error.retryable) == ("h answered HTTP 301: it has moved to wss://other/", False)
    assert str(refusal("h", Answer(300, {}), b"choose")) == "h answered HTTP 300: choose"
