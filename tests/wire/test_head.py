"""The request head: a table of good and bad ones, fed whole and byte by byte with the same outcome."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.wire import Head, HeadParser, HttpError, WebSocketOffer, check_upgrade
from datafye_trio.wire.head import MAX_HEAD_BYTES, MAX_HEADERS

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {
    "Host": "localhost:8080",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def request(line: str = "GET /x HTTP/1.1", *lines: str, host: str | None = "localhost") -> bytes:
    first = [line] if host is None else [line, f"Host: {host}"]
    return "\r\n".join([*first, *lines, "", ""]).encode("latin-1")


def feed_whole(data: bytes) -> Head | HttpError | None:
    try:
        return HeadParser().feed(data)
    except HttpError as error:
        return error


def feed_bytes(data: bytes) -> tuple[Head | HttpError | None, int]:
    """The outcome of feeding one byte at a time, and how many bytes it took."""
    parser = HeadParser()
    for index in range(len(data)):
        try:
            head = parser.feed(data[index : index + 1])
        except HttpError as error:
            return error, index + 1
        if head is not None:
            return head, index + 1
    return None, len(data)


def comparable(outcome: Head | HttpError | None) -> object:
    return outcome.status if isinstance(outcome, HttpError) else outcome


def sized(size: int) -> bytes:
    """A good request of exactly so many bytes."""
    padding = size - len(request("GET /x HTTP/1.1", "A: "))
    return request("GET /x HTTP/1.1", "A: " + "x" * padding)


GOOD: list[tuple[bytes, Head]] = [
    (request(), Head("/x", "", {"host": "localhost"})),
    (request("GET /x?a=1&b=?2 HTTP/1.1"), Head("/x", "a=1&b=?2", {"host": "localhost"})),
    (request("GET /x? HTTP/1.1"), Head("/x", "", {"host": "localhost"})),
    (request("GET / HTTP/1.1", host="127.0.0.1:8080"), Head("/", "", {"host": "127.0.0.1:8080"})),
    (request("GET / HTTP/1.1", host="[::1]:8080"), Head("/", "", {"host": "[::1]:8080"})),
    (request("GET / HTTP/1.1", host="xn--bcher-kva.example"), Head("/", "", {"host": "xn--bcher-kva.example"})),
    (
        request("GET / HTTP/1.1", "X-A: 1", "x-a:  2 ", "Content-Length: 0"),
        Head("/", "", {"host": "localhost", "x-a": "1,2", "content-length": "0"}),
    ),
    (b"GET / HTTP/1.1\nHost: a\n\n", Head("/", "", {"host": "a"})),
]


@pytest.mark.parametrize(("data", "head"), GOOD)
def test_good_heads(data: bytes, head: Head) -> None:
    assert feed_whole(data) == head
    assert feed_bytes(data) == (head, len(data))


BAD: list[tuple[str, bytes, int, str]] = [
    ("other method", request("POST / HTTP/1.1"), 405, "only GET"),
    ("lower case method", request("get / HTTP/1.1"), 405, "only GET"),
    ("head method", request("HEAD / HTTP/1.1"), 405, "only GET"),
    ("old version", request("GET / HTTP/1.0"), 400, "only HTTP/1.1"),
    ("old version without host", request("GET / HTTP/1.0", host=None), 400, "only HTTP/1.1"),
    ("no version", request("GET /"), 400, "malformed HTTP"),
    ("unknown version", request("GET / HTTP/3"), 400, "malformed HTTP"),
    ("no request line", b"\r\n\r\n", 400, "malformed HTTP"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, ""),
    ("no host", request(host=None), 400, "malformed HTTP"),
    ("empty host", request(host=""), 400, "header Host"),
    ("host with user", request(host="me@localhost"), 400, "header Host"),
    ("host with path", request(host="localhost/x"), 400, "header Host"),
    ("host with a port that is none", request(host="localhost:http"), 400, "header Host"),
    ("host beyond ascii", request(host="b\u00fccher.example"), 400, "ASCII"),
    ("two hosts", request("GET / HTTP/1.1", "Host: b"), 400, ""),
    ("two origins", request("GET / HTTP/1.1", "Origin: a", "Origin: b"), 400, "origin stands twice"),
    ("two keys", request("GET / HTTP/1.1", "Sec-WebSocket-Key: a", "sec-websocket-key: a"), 400, "stands twice"),
    ("two versions", request("GET / HTTP/1.1", *["Sec-WebSocket-Version: 13"] * 2), 400, "stands twice"),
    ("two upgrades", request("GET / HTTP/1.1", *["Upgrade: websocket"] * 2), 400, "stands twice"),
    ("a body", request("GET / HTTP/1.1", "Content-Length: 5"), 400, "no body"),
    ("a malformed length", request("GET / HTTP/1.1", "Content-Length: x"), 400, "malformed HTTP"),
    ("a chunked body", request("GET / HTTP/1.1", "Transfer-Encoding: chunked"), 400, "no body"),
    ("another coding", request("GET / HTTP/1.1", "Transfer-Encoding: gzip"), 400, "malformed HTTP"),
    ("absolute target", request("GET http://localhost/x HTTP/1.1"), 400, "must be a path"),
    ("asterisk target", request("GET * HTTP/1.1"), 400, "must be a path"),
    ("space in the target", request("GET /a b HTTP/1.1"), 400, "malformed HTTP"),
    ("header without colon", request("GET / HTTP/1.1", "Upgrade"), 400, "malformed HTTP"),
    ("space before the colon", request("GET / HTTP/1.1", "Upgrade : websocket"), 400, "malformed HTTP"),
    ("nul in a value", request("GET / HTTP/1.1", "X: a\x00b"), 400, "malformed HTTP"),
    ("value beyond ascii", request("GET / HTTP/1.1", "X: \u00e9"), 400, "ASCII"),
    ("too many headers", request("GET / HTTP/1.1", *["X: 1"] * MAX_HEADERS), 431, "more than 64 header lines"),
    ("too large", sized(MAX_HEAD_BYTES + 1), 431, "over 8192 bytes"),
    ("too large and malformed", sized(MAX_HEAD_BYTES + 1).replace(b"A: ", b"A  "), 431, "over 8192 bytes"),
    ("too large without an end", b"GET /" + b"x" * 10_000, 431, "over 8192 bytes"),
]


@pytest.mark.parametrize(("data", "status", "why"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_heads(data: bytes, status: int, why: str) -> None:
    whole, (slow, _) = feed_whole(data), feed_bytes(data)
    for outcome in (whole, slow):
        assert isinstance(outcome, HttpError)
        assert (outcome.status, str(outcome)) == (status, f"{status} {outcome.reason}")
        assert why in outcome.reason
        assert "\n" not in outcome.reason


def test_the_limits_themselves_are_allowed() -> None:
    assert isinstance(feed_whole(sized(MAX_HEAD_BYTES)), Head)
    assert isinstance(feed_bytes(sized(MAX_HEAD_BYTES))[0], Head)
    assert isinstance(feed_whole(request("GET / HTTP/1.1", *["X: 1"] * (MAX_HEADERS - 1))), Head)


def test_an_answer_of_405_names_what_is_allowed() -> None:
    outcome = feed_whole(request("POST / HTTP/1.1"))
    assert isinstance(outcome, HttpError)
    assert outcome.headers == (("Allow", "GET"),)


def posted(line: str, *lines: str) -> Head | HttpError | None:
    try:
        return HeadParser(("/do/",)).feed(request(line, *lines))
    except HttpError as error:
        return error


def test_paths_below_a_prefix_are_for_post_alone() -> None:
    assert posted("POST /do/it?n=1 HTTP/1.1") == Head("/do/it", "n=1", {"host": "localhost"}, "POST")
    assert posted("GET /x HTTP/1.1") == Head("/x", "", {"host": "localhost"})
    for line, allow in (("GET /do/it", "POST"), ("PUT /do/it", "POST"), ("POST /do", "GET"), ("DELETE /x", "GET")):
        outcome = posted(f"{line} HTTP/1.1")
        assert isinstance(outcome, HttpError)
        assert (outcome.status, outcome.headers) == (405, (("Allow", allow),))


def test_a_post_has_no_body_either() -> None:
    assert isinstance(posted("POST /do/it HTTP/1.1", "Content-Length: 0"), Head)
    for line, status in (("Content-Length: 3", 413), ("Transfer-Encoding: chunked", 400)):
        outcome = posted("POST /do/it HTTP/1.1", line)
        assert isinstance(outcome, HttpError)
        assert outcome.status == status


@pytest.mark.parametrize("early", [b"x", b"\x81\x80mask", request(), b"a" * 20_000])
def test_nothing_may_follow_the_head_in_one_read(early: bytes) -> None:
    outcome = feed_whole(request() + early)
    assert isinstance(outcome, HttpError)
    assert outcome.status == 400


def test_an_incomplete_head_waits() -> None:
    parser = HeadParser()
    data = request()
    for index in range(len(data) - 1):
        assert parser.feed(data[index : index + 1]) is None
    assert isinstance(parser.feed(data[-1:]), Head)


def test_the_limit_holds_for_reads_that_end_on_it() -> None:
    parser, data = HeadParser(), sized(MAX_HEAD_BYTES + 1)
    assert parser.feed(data[:4_096]) is None
    assert parser.feed(data[4_096:MAX_HEAD_BYTES]) is None
    with pytest.raises(HttpError, match="431 the request head is over 8192 bytes"):
        parser.feed(data[MAX_HEAD_BYTES:])


def test_a_parser_is_for_one_request() -> None:
    parser = HeadParser()
    assert isinstance(parser.feed(request()), Head)
    with pytest.raises(HttpError, match="400 malformed HTTP"):
        parser.feed(request())


@st.composite
def mutated_heads(draw: st.DrawFn) -> bytes:
    """A good head with bytes replaced, dropped, doubled or put in."""
    data = draw(st.sampled_from([data for data, _ in GOOD] + [upgrade_request()]))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 6)))
        filling = draw(
            st.binary(max_size=4)
            | st.sampled_from([b"\r\n", b"\n", b" ", b":", b"\x00", b"\xff", data[start:end] * 2, b"x" * 9_000])
        )
        data = data[:start] + filling + data[end:]
    return data


@pytest.mark.unmeasured
@settings(max_examples=125)
@given(mutated_heads() | st.binary())
def test_any_bytes_give_a_head_or_an_answer_however_they_are_cut(data: bytes) -> None:
    slow, used = feed_bytes(data)
    if used:
        assert comparable(feed_whole(data[:used])) == comparable(slow)
    if slow is not None and used < len(data):
        assert isinstance(feed_whole(data), HttpError)
    if isinstance(slow, HttpError):
        assert slow.status in (400, 405, 431)
    if isinstance(slow, Head):
        check_any_upgrade(slow)


def check_any_upgrade(head: Head) -> None:
    try:
        offer = check_upgrade(head)
    except HttpError:
        return
    assert len(offer.key) == 24


def upgrade_request(**changes: str | None) -> bytes:
    """The upgrade request with headers changed, or left out where None; `_` stands for `-` in their names."""
    headers: dict[str, str | None] = {**UPGRADE}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return request("GET /x HTTP/1.1", *lines, host=None)


def upgrade(**changes: str | None) -> Head:
    head = feed_whole(upgrade_request(**changes))
    assert isinstance(head, Head)
    return head


@pytest.mark.parametrize(
    ("changes", "subprotocols"),
    [
        ({}, ()),
        ({"Connection": "keep-alive, Upgrade"}, ()),
        ({"Connection": "UPGRADE", "Upgrade": "WebSocket"}, ()),
        ({"Upgrade": "h2c, websocket"}, ()),
        ({"Sec_WebSocket_Protocol": "datafye.v1.msgpack, ,datafye.v1.json"}, ("datafye.v1.msgpack", "datafye.v1.json")),
        ({"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits=99"}, ()),
    ],
)
def test_good_upgrades(changes: dict[str, str | None], subprotocols: tuple[str, ...]) -> None:
    head = upgrade(**changes)
    assert head.wants_upgrade
    assert check_upgrade(head) == WebSocketOffer(KEY, subprotocols)


def test_two_connection_headers_are_one_list() -> None:
    data = upgrade_request().replace(b"Connection: Upgrade", b"Connection: Upgrade\r\nConnection: keep-alive")
    head = feed_whole(data)
    assert isinstance(head, Head)
    assert check_upgrade(head).key == KEY


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({"Connection": None}, 400, "Connection: Upgrade"),
        ({"Connection": "keep-alive"}, 400, "Connection: Upgrade"),
        ({"Sec_WebSocket_Version": None}, 426, "version 13"),
        ({"Sec_WebSocket_Version": "8"}, 426, "version 13"),
        ({"Sec_WebSocket_Version": "13, 8"}, 426, "version 13"),
        ({"Sec_WebSocket_Key": None}, 400, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": ""}, 400, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": "short"}, 400, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": KEY[:-4] + "===="}, 400, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": "!" * 24}, 400, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": "A" * 24}, 400, "16 bytes in base64"),
    ],
)
def test_bad_upgrades(changes: dict[str, str | None], status: int, why: str) -> None:
    with pytest.raises(HttpError, match=why) as caught:
        check_upgrade(upgrade(**changes))
    assert caught.value.status == status
    expected = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")) if status == 426 else ()
    assert caught.value.headers == expected


@pytest.mark.parametrize("value", [None, "h2c", "websockets"])
def test_what_asks_for_no_websocket(value: str | None) -> None:
    assert not upgrade(Upgrade=value).wants_upgrade
