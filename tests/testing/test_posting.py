"""Small HTTP requests with a body, however their bytes come."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import memory_stream_pair

from datafye_trio.testing.posting import Posted, read_request
from datafye_trio.wire import Head, HttpError

BODY = b'{"after": 1000}'
POST = (
    b"POST /faults/drop?connection=2 HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 15\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
)
CHUNKED = (
    b"POST /faults/drop HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"aft\r\na\r\ner": 1000}\r\n0\r\n\r\n'
)
HEADERS = {"host": "localhost:8080", "content-length": "15", "x-a": "1,2"}


async def read(*pieces: bytes, end: bool = False) -> Posted:
    """A request whose first piece was read by somebody else."""
    client, server = memory_stream_pair()
    for piece in pieces[1:]:
        await client.send_all(piece)
    if end:
        await client.send_eof()
    with trio.fail_after(1):
        return await read_request(server, pieces[0])


@pytest.mark.parametrize("place", range(1, len(POST + BODY), 7))
async def test_a_request_is_read_wherever_it_is_cut(place: int, autojump_clock: trio.testing.MockClock) -> None:
    whole = POST + BODY
    posted = Posted(Head("/faults/drop", "connection=2", HEADERS, "POST"), BODY)
    assert await read(whole[:place], whole[place:]) == posted


async def test_a_request_is_read_byte_by_byte_and_in_chunks(autojump_clock: trio.testing.MockClock) -> None:
    whole = POST + BODY
    pieces = [whole[a:b] for a, b in pairwise(range(len(whole) + 1))]
    assert (await read(*pieces)).body == BODY
    assert (await read(CHUNKED)).body == BODY


async def test_a_request_may_have_no_body(autojump_clock: trio.testing.MockClock) -> None:
    posted = await read(b"GET /faults HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert posted == Posted(Head("/faults", "", {"host": "localhost"}, "GET"))


@pytest.mark.parametrize("end", [False, True])
async def test_a_client_that_leaves_within_it_is_gone(autojump_clock: trio.testing.MockClock, end: bool) -> None:
    with pytest.raises(trio.BrokenResourceError if end else trio.TooSlowError):
        await read(POST, BODY[:-1], end=end)


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"POST /faults/drop\r\n\r\n", 400, "malformed HTTP"),
        (b"POST /faults HTTP/1.0\r\n\r\n", 400, "with a header Host"),
        (b"POST /faults HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed HTTP"),
        (b"POST /faults HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b" " * 9_000, 413, "over 8192 bytes"),
        (b"POST /faults HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000, 400, "malformed HTTP"),
    ],
)
async def test_what_is_none_is_refused(
    autojump_clock: trio.testing.MockClock, data: bytes, status: int, why: str
) -> None:
    with pytest.raises(HttpError, match=why) as caught:
        await read(data)
    assert caught.value.status == status
