"""The targets of single messages and addresses: requests in JSON and MessagePack, data messages, URLs and queries."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Final

import msgspec

from datafye_trio.client.board import BoardKey
from datafye_trio.client.plain_decoding import PlainDecoder
from datafye_trio.client.urls import endpoint_of, normal_url, with_path
from datafye_trio.errors import ConfigurationError, RequestError
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import (
    Codec,
    ErrorCode,
    TimestampUnit,
    decode_message,
    find_endpoint,
    find_id,
    parse_json,
    parse_msgpack,
    parse_query,
    parse_request,
    request_to_dict,
)
from datafye_trio.protocol.data_decoder import DataDecoder
from datafye_trio.wire.dialing import parse_target
from fuzzing.checking import Target, check, gist, where

__all__ = ["DATA_WORDS", "PLAIN_WORDS", "TARGETS"]

_FIELDS: Final = (
    b"action", b"type", b"op", b"symbols", b"symbol", b"channels", b"channel", b"id", b"dataset", b"assetClass",
    b"frequency", b"running", b"snapshot", b"delivery", b"maxRate", b"resume", b"epoch", b"positions", b"except",
    b"from", b"to", b"rate", b"window", b"skip", b"count", b"timestamp",
)  # fmt: skip
_VALUES: Final = (
    b"subscribe", b"unsubscribe", b"subscriptions", b"ping", b"pong", b"start", b"more", b"stop", b"AAPL", b"*",
    b"latest", b"all", b"Second", b"Tick", b"quotes", b"2025-01-02T15:30:00Z",
)  # fmt: skip
_JSON: Final = (
    *(b'"%s":' % name for name in _FIELDS), *(b'"%s"' % value for value in _VALUES), b"null", b"true", b"NaN",
    b"-Infinity", b"{", b"}", b"[", b"]", b",", b"\\ud800", b"\\u0000", b'"', b"[" * 17, b"]" * 17, b"[" * 2_000,
    b"1" * 21, b"1e308", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"-0", b"1.5",
)  # fmt: skip
_MSGPACK: Final = (
    *(bytes((0xA0 | len(text),)) + text for text in (*_FIELDS, *_VALUES)), b"\xc0", b"\xc3", b"\xca\x7f\xc0\0\0",
    b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\x81", b"\x91", b"\x91" * 20, b"\xc1",
    b"\xc4\x01x", b"\xd4\xff\0", b"\xd6\xff\0\0\0\0", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xa1\xff",
    b"\xdb\xff\xff\xff\xff", b"\xd9\x01a", b"\x91" * 1_500,
)  # fmt: skip
DATA_WORDS: Final = (
    *(b'"%s":' % name for name in (
        b"type", b"symbol", b"exchangeTimestamp", b"price", b"size", b"seq", b"stream", b"snapshot", b"conflated",
        b"running", b"channel", b"bidPrice", b"conditions", b"start", b"shortTermLine", b"dataset", b"assetClass",
    )), *(b'"%s"' % kind for kind in (b"quote", b"trade", b"ohlc", b"sma", b"ema", b"halt", b"resume", b"gap")),
    b"status", b"null", b"true", b"1.5", b"9223372036854775807", b"-9223372036854775808", b"18446744073709551615",
    b"1e400", b"NaN",
    b"[" * 20, b"]" * 20, b"{}", b"[]", b"\\ud800", b'"', b",", b"0", b"-1", b"\xff",
)  # fmt: skip
PLAIN_WORDS: Final = (
    *(b'"%s":' % name for name in (
        b"type", b"symbol", b"exchangeTimestamp", b"tradePrice", b"tradeSize", b"tradeID", b"exchangeID", b"bidPrice",
        b"bidSize", b"askPrice", b"askSize", b"datetime", b"open", b"high", b"low", b"close", b"volume", b"count",
        b"timestamp", b"slowLine", b"fastLine", b"signalLine", b"periods", b"ma", b"macd", b"crossover", b"trfID",
    )), b'"halt"', b'"resume"', b"null", b"true", b"1e400", b"1e308", b"NaN", b"-1", b"0", b"9223372036854775807",
    b"1.5", b"18446744073709551616", b"1735830000", b"1735830000000", b"{}", b"[]", b'"', b"\\ud800", b"[" * 2_000,
    b"\xff",
)  # fmt: skip
_URL: Final = (
    b"ws://", b"wss://", b"http://", b"localhost", b":8080", b"[::1]", b"/datafye-ws/v1", b"/stocks/live/quotes",
    b"/crypto/history", b"?symbols=AAPL,MSFT", b"&channels=quotes", b"#x", b"%20", b"%", b"@", b"//", b"/..", b"[",
    b"]", b":99999", b":-1", b"\xc3\xa9", b"\xff", b" ", b"\n", b"&", b"=", b";", b"+", b"frequency=Minute", b"%ff",
    b"xn--a", b"\xef\xbc\x8f", b"\xe2\x84\x80", b"\xd9\xa3",
)  # fmt: skip
_UNITS: Final[tuple[TimestampUnit, ...]] = ("ns", "ms")


def _requested(fields: dict[str, Any]) -> Hashable:
    """What a plain object asks for, on both kinds of paths: a request that is the same when it is sent again."""
    found: list[Hashable] = []
    before = repr(fields)
    find_id(fields)
    for history in (False, True):
        try:
            request, _ = parse_request(fields, history=history)
        except RequestError as error:
            check(str(error).isprintable(), "why a request is refused is one line of text")
            found.append((error.code, error.field))
            continue
        again, ignored = parse_request(request_to_dict(request), history=history)
        check(again == request and not ignored, "a request that was read means the same when it is sent again")
        found.append(type(request).__name__)
    check(repr(fields) == before, "a request is read without being changed")
    return tuple(found)


def _refusal(error: RequestError) -> Hashable:
    check(error.code in (ErrorCode.MALFORMED_JSON, ErrorCode.INVALID_MESSAGE), "what cannot be read is refused as such")
    return error.code, gist(error)


def run_json(data: bytes) -> Hashable:
    """A request in JSON: a request or a RequestError; and the same in MessagePack."""
    try:
        fields = parse_json(data.decode("utf-8", "surrogateescape"))
    except RequestError as error:
        return _refusal(error)
    check(parse_msgpack(msgspec.msgpack.encode(fields)) == fields, "JSON and MessagePack mean the same")
    return _requested(fields)


def run_msgpack(data: bytes) -> Hashable:
    """A request in MessagePack: a request or a RequestError; and the same in JSON."""
    try:
        fields = parse_msgpack(data)
    except RequestError as error:
        return _refusal(error)
    check(parse_json(msgspec.json.encode(fields).decode()) == fields, "JSON and MessagePack mean the same")
    return _requested(fields)


def run_messages(data: bytes) -> Hashable:
    """A message of a server: what the fast decoder takes for data is what the slow one finds; and no exceptions."""
    found = DataDecoder().decode(data)
    for unit in _UNITS:
        DataDecoder(unit).decode(data)
    text = data.decode("utf-8", "surrogateescape")
    check(text.encode("utf-8", "surrogateescape") == data, "every byte has its place")
    if "\\" not in text and text.isascii():
        check(DataDecoder().decode(text) == found, "text and bytes mean the same")
    kind: Hashable = None
    try:
        told = decode_message(data)
    except RequestError as error:
        # The fast one is not there to judge the text: doubled keys, depth, what stands in fields that nobody knows.
        check(found is None or error.code is ErrorCode.MALFORMED_JSON, "what is no sound data message is not taken")
        kind = error.code, gist(error)
    else:
        check(found is None or found == told, "the fast decoder finds what the slow one does")
        kind = type(told).__name__
    with suppress(RequestError):
        decode_message(data, "msgpack")
    return kind, found is not None


def run_plain(data: bytes) -> Hashable:
    """A frame of a server that speaks Datafye's own language: an event, or a ValueError; on every channel."""
    outcomes: list[Hashable] = []
    for channel in Channel:
        frequency = Frequency.MINUTE if channel.has_frequency else None
        decoder = PlainDecoder(BoardKey("SIP", channel, frequency), AssetClass.STOCKS, lambda: 1)
        try:
            fields = decoder.fields(data)
            symbol = decoder.symbol(fields) or "AAPL"
            halted = fields.get("type") in ("halt", "resume")
            event = decoder.halt(fields, symbol) if halted else decoder.event(fields, symbol)
        except ValueError as error:
            outcomes.append(where(error))
            continue
        codec = Codec()
        sent = codec.write(codec.data(event, "SIP", "stocks", 1), "json")
        check(decode_message(sent).event == event, "an event of a server's own language is one of ours")  # type: ignore[union-attr]  # it is data
        outcomes.append(channel)
    return tuple(outcomes)


def run_url(data: bytes) -> Hashable:
    """An address and a query as a user writes them: what they ask for, or the error that says why not."""
    text = data.decode("utf-8", "surrogateescape")
    return _url(text), _query(text.partition("?")[2] or text)


def _url(text: str) -> Hashable:
    try:
        parse_target(text)
    except ConfigurationError as error:
        check(str(error).isprintable(), "what is wrong with a URL is told in one line")
    try:
        url = normal_url(text)
    except ConfigurationError as error:
        check(str(error).isprintable(), "what is wrong with a URL is told in one line")
        return where(error)
    check(normal_url(url) == url, "a URL in normal form is in normal form")
    try:
        check(parse_target(url).secure == url.startswith("wss:"), "a URL in normal form can be dialled")
    except ConfigurationError as error:
        check("idna" in str(error), "only the length of a label is left to whoever dials")
    check(endpoint_of(with_path(url, "stocks/live/quotes")).channel == "quotes", "a URL's path can be changed")
    return endpoint_of(url)


def _query(text: str) -> Hashable:
    find_endpoint(text)
    try:
        fields = parse_query(text)
    except ValueError as error:
        check(bool(str(error)), "it is told what is wrong with a query")
        return where(error)
    return _requested({**fields, "action": "subscribe"})


TARGETS: Final = (
    Target("json", "a request in JSON: a request or a RequestError, the same in MessagePack", run_json, _JSON),
    Target("msgpack", "a request in MessagePack: a request or a RequestError, the same in JSON", run_msgpack, _MSGPACK),
    Target(
        "messages", "a message of a server: the fast decoder takes what the slow one finds", run_messages, DATA_WORDS
    ),
    Target("plain", "a frame in Datafye's own documented language: an event or a ValueError", run_plain, PLAIN_WORDS),
    Target("url", "a URL and its query: what they ask for, or why not", run_url, _URL, 500),
)
