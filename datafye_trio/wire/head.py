"""The head of an HTTP request, read strictly and before any library that could stumble over it. No I/O here.

The invariant, which the tests fuzz: any bytes give a `Head`, `None` (more is needed) or an `HttpError`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import attrs
import h11

__all__ = ["MAX_HEADERS", "MAX_HEAD_BYTES", "Head", "HeadParser", "HttpError", "WebSocketOffer", "check_upgrade"]

MAX_HEAD_BYTES: Final = 8_192
MAX_HEADERS: Final = 64
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_SINGLE: Final = frozenset(
    {"host", "origin", "sec-websocket-key", "sec-websocket-version", "content-length", "upgrade"}
)


_REPEATED: Final = re.compile(r": (?:bytearray\()?b['\"].*", re.DOTALL)
"""Where h11 repeats a line that it does not understand. A token may stand in it, and reasons go to the log."""


class HttpError(Exception):
    """The request gets this HTTP answer instead of a connection. `reason` is the one-line body."""

    def __init__(self, status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = headers


@attrs.frozen
class Head:
    """A request head. Header names are in lower case; several of one name are joined by commas."""

    path: str
    query: str
    headers: dict[str, str]
    method: str = "GET"

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asks for a WebSocket."""
        return "websocket" in _tokens(self.headers.get("upgrade", ""))


@attrs.frozen
class WebSocketOffer:
    """A sound upgrade request: its key, and the subprotocols it offers."""

    key: str
    subprotocols: tuple[str, ...]


class HeadParser:
    """Takes bytes until the head is whole. The bytes of one request only: anything after the head is refused.

    Paths that begin with one of `posted` are for POST alone, all others for GET.
    """

    def __init__(self, posted: tuple[str, ...] = ()) -> None:
        self._posted = posted
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._size = 0

    def feed(self, data: bytes) -> Head | None:
        """The head, or None while it is incomplete.

        Raises:
            HttpError: what came is no request that this server takes.
        """
        # No more than the limit ever reaches h11, so that the answer does not depend on how the bytes were cut.
        data, beyond = data[: MAX_HEAD_BYTES - self._size], data[MAX_HEAD_BYTES - self._size :]
        if not data:  # to h11, no bytes would mean the end of the stream
            raise _too_large()
        self._size += len(data)
        if not data.isascii():
            raise HttpError(400, "the request head must be plain ASCII")
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise HttpError(400, f"malformed HTTP: {_REPEATED.sub('', str(error))}") from None
        if event is h11.NEED_DATA:
            if beyond:
                raise _too_large()
            return None
        if not isinstance(event, h11.Request):
            raise HttpError(400, "malformed HTTP: no request")
        return self._checked(event, early_data=bool(self._http.trailing_data[0] or beyond))

    def _checked(self, request: h11.Request, *, early_data: bool) -> Head:
        method = request.method.decode("ascii")
        path, _, query = request.target.decode("ascii").partition("?")
        taken = "POST" if path.startswith(self._posted) else "GET"
        if method != taken:
            raise HttpError(405, f"only {taken} is answered here", (("Allow", taken),))
        if request.http_version != b"1.1":
            raise HttpError(400, "only HTTP/1.1 is spoken here")
        headers = _headers(request)
        if headers.get("content-length", "0") != "0":
            raise HttpError(413 if method == "POST" else 400, "a request here has no body")
        if "transfer-encoding" in headers:
            raise HttpError(400, "a request here has no body")
        if early_data:
            raise HttpError(400, "nothing may be sent before the answer to the request")
        if not _HOST.fullmatch(headers.get("host", "")):
            raise HttpError(400, "the header Host must be a plain host name with an optional port")
        if not path.startswith("/"):
            raise HttpError(400, "the request target must be a path")
        return Head(path, query, headers, method)


def check_upgrade(head: Head) -> WebSocketOffer:
    """Check the WebSocket part of a request (RFC 6455 section 4.2.1).

    Raises:
        HttpError: 426 for a version that is not 13, 400 for what is missing or malformed.
    """
    headers = head.headers
    if "upgrade" not in _tokens(headers.get("connection", "")):
        raise HttpError(400, "a WebSocket request needs the header Connection: Upgrade")
    if headers.get("sec-websocket-version") != "13":
        upgrade = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        raise HttpError(426, "only WebSocket version 13 is spoken here", upgrade)
    key = headers.get("sec-websocket-key", "")
    try:
        sound = len(base64.b64decode(key, validate=True)) == 16 and len(key) == 24
    except binascii.Error:
        sound = False
    if not sound:
        raise HttpError(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    offered = headers.get("sec-websocket-protocol", "").split(",")
    return WebSocketOffer(key, tuple(name for part in offered if (name := part.strip())))


def _headers(request: h11.Request) -> dict[str, str]:
    if len(request.headers) > MAX_HEADERS:
        raise HttpError(431, f"more than {MAX_HEADERS} header lines")
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("ascii")
        if name in headers and name in _SINGLE:
            raise HttpError(400, f"the header {name} stands twice")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _tokens(value: str) -> set[str]:
    return {part.strip().lower() for part in value.split(",")}


def _too_large() -> HttpError:
    return HttpError(431, f"the request head is over {MAX_HEAD_BYTES} bytes")
