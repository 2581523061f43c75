"""The target of the whole client: the bytes of a server, from the HTTP answer to the end."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Hashable, Sequence
from typing import Final

import trio
from trio.testing import MockClock

from datafye_trio.errors import ConnectError
from datafye_trio.wire import ClientOptions, ClientSocketClosed, MemoryStream, memory_transport, open_client
from fuzzing.checking import Target, check, pieces
from fuzzing.reading import read_frames
from fuzzing.target_wire import SERVER_FRAMES

__all__ = ["TARGETS"]

_LIMIT: Final = 70_000
_SECONDS: Final = 60.0
"""Of virtual time, for all of it: what takes longer hangs."""
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_ACCEPT: Final = b"{accept}"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SOUND: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n\r\n"
)
"""An input that begins with a zero stands for this answer and the frames behind that byte."""
_WORDS: Final = (
    *SERVER_FRAMES, b"\r\n", b"\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n", b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n", b"Sec-WebSocket-Accept: {accept}\r\n", b"HTTP/1.1 503 x\r\n", b"Retry-After: 5\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"Sec-WebSocket-Protocol: x\r\n", b"Content-Length: 3\r\n",
    b"HTTP/1.1 302 x\r\nLocation: http://y/\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", b"\xff",
)  # fmt: skip


async def _answer(stream: MemoryStream, chunks: Sequence[bytes]) -> bytes:
    """Play the server to its end; what it has really sent, with the key's answer in its place."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive_some()
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.split(b":")[1].strip() + _GUID).digest())
    sent = b"".join(chunks).replace(_ACCEPT, accept)
    ends = [len(b"".join(chunks[: n + 1]).replace(_ACCEPT, accept)) for n in range(len(chunks))]
    try:
        for start, end in zip([0, *ends], ends, strict=False):
            if end > start:
                await stream.send_all(sent[start:end])
        await stream.send_eof()
    except trio.BrokenResourceError:
        pass  # the client has left
    return sent


async def _talk(chunks: Sequence[bytes]) -> tuple[bytes, list[bytes] | None, int]:
    """What was sent, the messages that the client found (None: it did not connect), and its close code."""
    ours, theirs = memory_transport()
    sent: list[bytes] = []
    found: list[bytes] = []
    code, connected = 0, True

    async def serve() -> None:
        sent.append(await _answer(theirs, chunks))

    with trio.fail_after(_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                code = await _receive_all(ours, found)
            except ConnectError as error:
                check(str(error).isprintable(), "why there is no connection is one line of text")
                code, connected = error.status or 0, False
            finally:
                await trio.aclose_forcefully(ours)  # noqa: ASYNC102 -- never waits
    return (sent[0], found, code) if connected else (b"", None, code)


async def _receive_all(stream: MemoryStream, found: list[bytes]) -> int:
    """Connect, and add all that comes to `found`, as bytes; the code of the end."""

    async def transport() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return stream

    async with open_client("ws://x/y", ClientOptions(open_stream=transport, message_bytes=_LIMIT)) as socket:
        try:
            while True:
                batch = await socket.receive_many()
                check(bool(batch), "a batch has a message")
                found += [one.encode() if isinstance(one, str) else one for one in batch]
        except ClientSocketClosed as closed:
            return closed.code


def run_client(data: bytes) -> Hashable:
    """Only a ConnectError, or the messages that a plain reader finds and the close code that they end with."""
    if data.startswith(b"\0"):
        data = _SOUND + data[1:]
    first = _run([data])
    check(_run(pieces(data)) == first, "a server's bytes mean the same however they are cut")
    return first if isinstance(first, int) else (min(first[0], 3), first[1])


def _run(chunks: Sequence[bytes]) -> int | tuple[int, int]:
    sent, found, code = trio.run(_talk, chunks, clock=MockClock(autojump_threshold=0))
    if found is None:
        return code
    end = _HEAD_END.search(sent)
    check(end is not None, "without the whole head of an answer there is no connection")
    assert end is not None
    told = read_frames(sent[end.end() :], _LIMIT)
    wanted = [payload for payload, _ in told.messages]
    if told.text:
        wanted = wanted[: told.after]
    check(found[: len(wanted)] == wanted, "every message before the end is there")
    check(len(found) == len(wanted) or told.text, "no message is there that was not sent")
    codes = {"big": {1009}, "many": {1008}, "wrong": {1002}, "open": {1006}, "closed": {told.code or 1002}}[told.ended]
    check(code in codes or (told.text and code == 1007), "the close code is the right one")
    return len(wanted), code


TARGETS: Final = (
    Target(
        "client",
        "bytes of a server to the whole client: ConnectError, or what a plain reader finds",
        run_client,
        _WORDS,
    ),
)
