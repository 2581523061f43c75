"""Arguments out of queries and JSON bodies: what is taken, and in which words the rest is refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from datafye_trio.testing.calling import arguments
from datafye_trio.wire import HttpError


def bake(
    seconds: float, count: int | None = None, reason: str = "", *, clean: bool = True, share: float | None = 0.5
) -> None:
    """What is called in these tests: it has every kind of parameter that a fault has."""


def nothing() -> None:
    """It takes nothing."""


def parsed(query: str = "", body: bytes = b"") -> dict[str, Any]:
    return arguments(bake, "bake", query, body)


GOOD = [
    ({"seconds": "3"}, {"seconds": 3}, {"seconds": 3.0}),
    ({"seconds": "-1.5e2"}, {"seconds": -150.0}, {"seconds": -150.0}),
    (
        {"seconds": "1", "count": "7", "reason": "12", "clean": "false", "share": "1"},
        {"seconds": 1, "count": 7, "reason": "12", "clean": False, "share": 1},
        {"seconds": 1.0, "count": 7, "reason": "12", "clean": False, "share": 1.0},
    ),
    (
        {"seconds": "0", "count": "null", "share": "null", "clean": "true", "reason": "null"},
        {"seconds": 0, "count": None, "share": None, "clean": True, "reason": "null"},
        {"seconds": 0.0, "count": None, "share": None, "clean": True, "reason": "null"},
    ),
    ({"seconds": "0", "reason": ""}, {"seconds": 0, "reason": ""}, {"seconds": 0.0, "reason": ""}),
]


@pytest.mark.parametrize(("query", "body", "found"), GOOD)
def test_query_and_body_say_the_same(query: dict[str, str], body: dict[str, Any], found: dict[str, Any]) -> None:
    for got in (parsed(urlencode(query)), parsed(body=json.dumps(body).encode())):
        assert got == found
        assert {name: type(value) for name, value in got.items()} == {n: type(value) for n, value in found.items()}


def test_both_may_be_used_at_once() -> None:
    assert parsed("reason=a+b%26c", b' {"seconds": 2} ') == {"seconds": 2.0, "reason": "a b&c"}


def test_what_takes_nothing_is_called_without() -> None:
    for body in (b"", b"  \n", b"{}"):
        assert arguments(nothing, "nothing", "", body) == {}


WRONG = {
    "missing": ("", b"", "bake needs seconds: a number"),
    "unknown": ("seconds=1&secs=2", b"", "bake has no parameter 'secs': it takes seconds, count, reason, clean, share"),
    "twice": ("seconds=1&seconds=2", b"", "a parameter stands twice in the query"),
    "in both": ("seconds=1", b'{"seconds": 1}', "'seconds' stands in the query and in the body"),
    "twice in the body": ("", b'{"seconds": 1, "seconds": 1}', "the body must be one JSON object"),
    "malformed": ("seconds", b"", "malformed query"),
    "no UTF-8": ("seconds=1&reason=%FF", b"", "malformed query"),
    "a body that is none": ("", b"seconds=1", 'must be one JSON object, such as {"after": 1000}: '),
    "a list": ("", b"[1]", "must be one JSON object"),
    "latin": ("", b"\xff", "the body is not UTF-8"),
    "a word": ("seconds=soon", b"", "seconds must be a number, not 'soon'"),
    "a text": ("", b'{"seconds": "1"}', "seconds must be a number, not '1'"),
    "a truth": ("", b'{"seconds": true}', "seconds must be a number, not 'True'"),
    "a fraction": ("seconds=1&count=1.5", b"", "count must be an integer or null, not '1.5'"),
    "a truth for a count": ("", b'{"seconds": 1, "count": false}', "count must be an integer or null, not 'False'"),
    "a number for a truth": ("seconds=1&clean=1", b"", "clean must be true or false, not '1'"),
    "a number for a text": ("", b'{"seconds": 1, "reason": 5}', "reason must be a text, not '5'"),
    "null": ("", b'{"seconds": null}', "seconds must be a number, not 'None'"),
    "a list for a number": ("", b'{"seconds": [1]}', "seconds must be a number, not '[1]'"),
    "NaN": ("seconds=nan", b"", "seconds must be a number, not 'nan'"),
    "infinity": ("seconds=1&share=inf", b"", "share must be a number or null, not 'inf'"),
    "beyond all doubles": ("seconds=1e999", b"", "seconds must be a number, not 'inf'"),
    "foreign digits": ("seconds=1&count=%D9%A3", b"", "count must be an integer or null, not '٣'"),
    "a huge integer": ("seconds=1&count=" + "9" * 30, b"", "count must be an integer or null"),
}


@pytest.mark.parametrize(("query", "body", "why"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_400(query: str, body: bytes, why: str) -> None:
    with pytest.raises(HttpError) as caught:
        parsed(query, body)
    assert caught.value.status == 400
    assert why in caught.value.reason
    assert "\n" not in caught.value.reason


def test_what_takes_nothing_says_so() -> None:
    with pytest.raises(HttpError, match="nothing has no parameter 'x': it takes none"):
        arguments(nothing, "nothing", "x=1", b"")
