"""Plain HTTP on the WebSocket port: reading a request head, and answers that arrive."""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import Any, Final

import trio

from datafye_trio.wire import Head, HeadParser, HttpError

__all__ = ["CONTROL_PREFIX", "read_head", "respond_error", "respond_json"]

CONTROL_PREFIX: Final = "/replay/"
"""What lies below is asked for with POST, all else with GET."""

_LINGER_SECONDS: Final = 1.0
_LINGER_BYTES: Final = 8_192


async def read_head(stream: trio.abc.Stream) -> Head | None:
    """The head of the request on a fresh stream; None if the peer left before it was whole.

    Raises:
        HttpError: it is no request that this server takes.
    """
    parser = HeadParser((CONTROL_PREFIX,))
    try:
        while data := await stream.receive_some(4_096):
            if (head := parser.feed(bytes(data))) is not None:
                return head
    except trio.BrokenResourceError:
        pass
    return None


async def respond(
    stream: trio.abc.Stream, status: int, body: str, kind: str, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    """Answer and close. Bounded: a peer that does not read holds it for no longer than the caller's deadline.

    The write side is shut and up to 8 KiB are read for up to 1 s before the close: closing with unread bytes would
    be a reset, and could take the answer away before the peer has read it.
    """
    content = body.encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {kind}; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all("\r\n".join([*lines, "", ""]).encode() + content)
        with trio.move_on_after(_LINGER_SECONDS):
            if isinstance(stream, trio.SSLStream):
                bare = stream.transport_stream
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.unwrap()  # says that this was all, and waits for the peer to say so, too
                stream = bare
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            read = 0
            while read < _LINGER_BYTES and (data := await stream.receive_some(_LINGER_BYTES)):
                read += len(data)


async def respond_json(stream: trio.abc.Stream, status: int, content: dict[str, Any]) -> None:
    """Answer with a JSON object and close."""
    await respond(stream, status, json.dumps(content, indent=2) + "\n", "application/json")


async def respond_error(stream: trio.abc.Stream, error: HttpError) -> None:
    """Answer with a one-line body that says why, and close."""
    await respond(stream, error.status, error.reason + "\n", "text/plain", error.headers)
