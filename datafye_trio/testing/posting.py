"""A small HTTP request, body and all, from a stream whose first bytes were read already."""

from __future__ import annotations

from typing import Final

import attrs
import h11
import trio

from datafye_trio.wire import Head, HttpError

__all__ = ["Posted", "read_request"]

_HEAD_BYTES: Final = 8_192
_BODY_BYTES: Final = 8_192
_READ: Final = 4_096


@attrs.frozen
class Posted:
    """A request and its body."""

    head: Head
    body: bytes = b""


async def read_request(stream: trio.abc.ReceiveStream, read: bytes) -> Posted:
    """The request that begins with `read`; waits for the rest of it. Not `HeadParser`, which takes no body.

    Raises:
        HttpError: 400, it is malformed; 413, its body is over 8 KiB.
        trio.BrokenResourceError: the client has gone before it was whole.
    """
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
    head: Head | None = None
    body = b""
    try:
        http.receive_data(read)
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await stream.receive_some(_READ)
                if not data:
                    raise trio.BrokenResourceError("the client has gone within its request")
                http.receive_data(bytes(data))
            elif isinstance(event, h11.Request):
                head = _head(event)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _BODY_BYTES:
                    raise HttpError(413, f"the body is over {_BODY_BYTES} bytes")
            elif head is not None:
                return Posted(head, body)
    except h11.RemoteProtocolError as error:
        raise HttpError(400, f"malformed HTTP: {error}") from None


def _head(request: h11.Request) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if "host" not in headers:
        raise HttpError(400, "only HTTP/1.1 is spoken here, with a header Host")
    path, _, query = request.target.decode("ascii").partition("?")
    return Head(path, query, headers, request.method.decode("ascii"))
