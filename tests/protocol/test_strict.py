"""Strict reading: a table of what is refused, and the invariant that any input gives a dict or a RequestError."""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.errors import RequestError
from datafye_trio.protocol import ErrorCode, parse_json, parse_msgpack
from datafye_trio.protocol.strict import MAX_DEPTH

MALFORMED, INVALID = ErrorCode.MALFORMED_JSON, ErrorCode.INVALID_MESSAGE


def nested(depth: int, leaf: str = "") -> str:
    """An object that holds lists, `depth` containers deep."""
    return '{"a":' + "[" * (depth - 1) + leaf + "]" * (depth - 1) + "}"


BAD_JSON = [
    ("", MALFORMED, "no JSON at character 0"),
    ("   ", MALFORMED, "no JSON"),
    ("\ufeff{}", MALFORMED, "no JSON"),
    ("{", MALFORMED, "no JSON"),
    ('{"a":1', MALFORMED, "no JSON at character"),
    ('{"a":1}{', MALFORMED, "Extra data"),
    ('{"a":1,}', MALFORMED, "no JSON"),
    ("{'a':1}", MALFORMED, "no JSON"),
    ('{"a":01}', MALFORMED, "no JSON"),
    ('{"a":"\n"}', MALFORMED, "no JSON"),
    ('{"a":NaN}', MALFORMED, "NaN is no JSON"),
    ('{"a":Infinity}', MALFORMED, "Infinity is no JSON"),
    ('{"a":-Infinity}', MALFORMED, "-Infinity is no JSON"),
    ('{"a":1e999}', MALFORMED, "NaN or infinite"),
    ('{"a":[-1e999]}', MALFORMED, "NaN or infinite"),
    ('{"a":1,"a":1}', MALFORMED, "the key 'a' stands twice"),
    ('{"b":{"a":1,"\\u0061":2}}', MALFORMED, "the key 'a' stands twice"),
    (f'{{"a":{2**64}}}', MALFORMED, "64 bits"),
    (f'{{"a":{-(2**63) - 1}}}', MALFORMED, "64 bits"),
    ('{"a":' + "9" * 5_000 + "}", MALFORMED, "64 bits"),
    ('{"a":-' + "9" * 100_000 + "}", MALFORMED, "64 bits"),
    ('{"a":"\\ud800"}', MALFORMED, "surrogate"),
    ('{"a":"\\udc00x"}', MALFORMED, "surrogate"),
    ('{"\\ud800":1}', MALFORMED, "surrogate"),
    ('{"a":"\udfff"}', MALFORMED, "surrogate"),
    (nested(MAX_DEPTH + 1), MALFORMED, "deeper than 16"),
    (nested(MAX_DEPTH + 1, "1"), MALFORMED, "deeper than 16"),
    (nested(100_000), MALFORMED, "deeper than 16"),
    ('{"a":' * 100_000, MALFORMED, "deeper than 16"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), MALFORMED, "deeper than 16"),
    ("[]", INVALID, "send one object"),
    ("null", INVALID, "send one object"),
    ("1", INVALID, "send one object"),
    ('"text"', INVALID, "send one object"),
    ("true", INVALID, "send one object"),
]


@pytest.mark.parametrize(("text", "code", "why"), BAD_JSON, ids=lambda value: str(value)[:24])
def test_bad_json(text: str, code: ErrorCode, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        parse_json(text)
    assert caught.value.code == code
    assert len(caught.value.message) < 200


GOOD_JSON: list[tuple[str, dict[str, Any]]] = [
    ("{}", {}),
    (' \r\n\t{"a" : 1} ', {"a": 1}),
    (f'{{"a":{2**64 - 1},"b":{-(2**63)}}}', {"a": 2**64 - 1, "b": -(2**63)}),
    ('{"a":1e308,"b":-0.0,"c":true,"d":null}', {"a": 1e308, "b": -0.0, "c": True, "d": None}),
    ('{"a":"\\ud83d\\ude00\u00e9"}', {"a": "\U0001f600\u00e9"}),
    ('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}', {"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]}),
]


@pytest.mark.parametrize(("text", "value"), GOOD_JSON)
def test_good_json(text: str, value: dict[str, Any]) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize("leaf", ["", "1", '"x"'])
def test_the_greatest_depth_is_taken(leaf: str) -> None:
    text = nested(MAX_DEPTH, leaf)
    value = json.loads(text)
    assert parse_json(text) == parse_msgpack(msgpack.packb(value)) == value


def packed(value: object) -> bytes:
    return bytes(msgpack.packb(value, strict_types=False))


def pairs(*items: tuple[object, object]) -> bytes:
    """A map with these pairs, also where a dict could not hold them."""
    return bytes([0x80 | len(items)]) + b"".join(packed(key) + packed(value) for key, value in items)


def nested_pack(depth: int) -> bytes:
    return pairs(("a", 0))[:-1] + b"\x91" * (depth - 2) + b"\x90"


BAD_PACKED = [
    (b"", MALFORMED, "no MessagePack"),
    (b"\xc1", MALFORMED, "no MessagePack: FormatError"),
    (b"\x81\xa1a", MALFORMED, "no MessagePack"),
    (pairs(("a", 1)) + b"\x00", MALFORMED, "no MessagePack"),
    (b"\x81\xa1a\xa1\xff", MALFORMED, "no MessagePack"),
    (b"\x81\xa1\xff\x01", MALFORMED, "no MessagePack"),
    (b"\x81\xa1a\xa3\xed\xa0\x80", MALFORMED, "no MessagePack"),  # a surrogate
    (b"\xdf\xff\xff\xff\xff", MALFORMED, "no MessagePack"),  # claims 2^32 - 1 entries
    (b"\xc6\xff\xff\xff\xff", MALFORMED, "no MessagePack"),  # claims 4 GiB
    (pairs(("a", math.nan)), MALFORMED, "NaN or infinite"),
    (pairs(("a", math.inf)), MALFORMED, "NaN or infinite"),
    (b"\x81\xa1a\xca" + struct.pack("!f", -math.inf), MALFORMED, "NaN or infinite"),
    (pairs(("a", 1), ("a", 2)), MALFORMED, "the key 'a' stands twice"),
    (pairs(("a", b"raw")), MALFORMED, "type bytes"),
    (pairs((b"a", 1)), MALFORMED, "type bytes"),
    (pairs(("a", msgpack.ExtType(5, b"x"))), MALFORMED, "type ExtType"),
    (pairs(("a", msgpack.Timestamp(1, 2))), MALFORMED, "type Timestamp"),
    (pairs((1, 1)), MALFORMED, "no MessagePack"),
    (pairs((None, 1)), MALFORMED, "no MessagePack"),
    (pairs(([1], 1)), MALFORMED, "no MessagePack"),
    (nested_pack(MAX_DEPTH + 1), MALFORMED, "deeper than 16"),
    (nested_pack(100_000), MALFORMED, "deeper than 16"),
    (b"\x81\xa1a" * 100_000, MALFORMED, "deeper than 16"),
    (packed([1]), INVALID, "send one object"),
    (packed("text"), INVALID, "send one object"),
    (packed(None), INVALID, "send one object"),
]


@pytest.mark.parametrize(("data", "code", "why"), BAD_PACKED, ids=lambda value: str(value)[:24])
def test_bad_msgpack(data: bytes, code: ErrorCode, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        parse_msgpack(data)
    assert caught.value.code == code
    assert len(caught.value.message) < 200


def test_good_msgpack() -> None:
    value = {"a": 2**64 - 1, "b": -(2**63), "c": [1.5, None, True, "\U0001f600"], "d": {"a": {}}}
    assert parse_msgpack(packed(value)) == value


def test_the_text_of_an_error_is_bounded() -> None:
    with pytest.raises(RequestError) as caught:
        parse_json('{"' + "k" * 5_000 + '":1,"' + "k" * 5_000 + '":1}')
    assert len(caught.value.message) < 200


def test_a_key_that_stands_twice_among_many_is_found_at_once() -> None:
    """Each key was looked for among all: a request of 110 KiB held up the server for five seconds."""
    keys = [f"{n:x}" for n in range(13_000)]
    began = time.process_time()
    with pytest.raises(RequestError, match="the key '32c7' stands twice"):
        parse_json("{" + ",".join(f'"{key}":1' for key in [*keys, keys[-1]]) + "}")
    assert time.process_time() - began < 1


@settings(max_examples=150)
@given(st.text() | st.text('{}[]",:\\u0123456789deaE+-. NaInfityrls'))
def test_any_text_gives_an_object_or_a_request_error(text: str) -> None:
    code, value = outcome(parse_json, text)
    assert code in (MALFORMED, INVALID) or value == json.loads(text)


@settings(max_examples=150)
@given(st.binary() | st.binary().map(lambda data: b"\x82\xa1a" + data))
def test_any_bytes_give_an_object_or_a_request_error(data: bytes) -> None:
    code, value = outcome(parse_msgpack, data)
    assert code in (MALFORMED, INVALID) or value == msgpack.unpackb(data)


def outcome(parse: Callable[[Any], dict[str, Any]], message: str | bytes) -> tuple[str | None, dict[str, Any]]:
    """The code of the refusal, or the object. Any other exception fails the test."""
    try:
        return None, parse(message)
    except RequestError as error:
        return error.code, {}
