"""The dialect `datafye`: makes a full server look like one that has only what Datafye documents. No I/O.

So a green test does not hide a red production: whatever a program uses that is this project's own, it misses here.
What is undocumented is refused in words where a client asks for it, and left out where the server says it. The rules,
each with what it rests on ("samples" are Datafye's WebSocket samples; "open" is what no source says: we decide):

- Paths: the samples' six, and 404 for all else, `/health` and a slash at the end included. A query is open: 400.
- Subprotocols: the samples offer none. What a client offers is taken out of its request, so that the server picks none
  and sends text, as the samples get it.
- Requests: the samples' fields, all of them and no others, in their spelling (see `documented`). Anything else gets an
  `error` that names the field, and the server never sees it.
- One request on a connection, as in every sample: whether a second would add or replace is open. After an error
  another may be tried. To unsubscribe is documented as a step of a connection's life: it is no second request.
- Pongs: to answer a heartbeat with a pong message is documented, its form is open: all that the server takes pass.
- What is no JSON object passes: that a server says `error` to it, or closes, is documented enough.
- Indicators that a dataset does not compute, at all or at a frequency: silence is normal, as the samples say. So a
  request for them is answered as any other, and nothing comes.
- Answers, heartbeats and the greeting: that there are such frames is known, no field but `type`.
- Errors: a text says what is wrong; codes, and to which request one belongs, are open. Symbols stand in the text.
- Data: the fields of the REST records, without numbers or names of datasets and streams.
- Snapshots: whether one comes first is open: none. Gaps, too, and lists of subscriptions are this project's own.
- Bars: finished ones only, say the samples. Corrections of a finished bar are nowhere: none.
- Halts: on quotes, of stocks (the samples). Datafye's Java client gets them with trades as well, which says nothing
  of the WebSocket: none there, and none of crypto.
- Stored bars: one frame after the other, then `stream_end` (the samples), so the same where there is none in a range;
  what says that a stream begins is known of the Java client alone.
- Close codes are open: the server's stay. A client that reconnects after any code it does not know is right.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import attrs
import msgspec

from datafye_trio.errors import RequestError
from datafye_trio.protocol import ErrorCode, parse_json
from datafye_trio.testing.documented import ENDPOINTS, FIELDS, RECORDS, complaint

__all__ = ["Answer", "Dialect", "Refusal"]

_VERBS: Final = ("action", "type", "op")
"""In which a pong may say that it is one."""
_SUBPROTOCOL: Final = b"sec-websocket-protocol"
_INDICATORS: Final = ("sma", "ema")
_NOT_COMPUTED: Final = (ErrorCode.CHANNEL_NOT_AVAILABLE, ErrorCode.INVALID_FREQUENCY)
_SHOWN: Final = 10
"""Symbols that the text of an error names."""
_AGAIN: Final = (
    "a second request on a connection: Datafye does not document whether it would add or replace; open a connection "
    "for each, as its own clients do"
)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Refusal(NamedTuple):
    """The HTTP answer that a handshake gets in place of a connection; `reason` is its one-line body."""

    status: int
    reason: str


@attrs.frozen
class Answer:
    """The payload of a text frame for the client; the server does not get what it sent."""

    payload: bytes


class Dialect:
    """The translator of one connection; it raises nothing. See the module for what it does.

    Args:
        path: the connection's, one that `check_path` lets pass.
    """

    def __init__(self, path: str) -> None:
        self._endpoint = ENDPOINTS[path]
        self._asked = False
        """Whether the connection has had its one request."""
        self._answered = False
        """Whether the server has taken it."""
        self._action = ""
        """What was asked for last."""

    @staticmethod
    def check_path(path: str, query: str = "") -> Refusal | None:
        """Why there is no such endpoint; None where it is documented."""
        if path not in ENDPOINTS:
            known = ", ".join(ENDPOINTS)
            return Refusal(404, f"Datafye documents nothing at {path[:100]}: its paths are {known}")
        if query:
            return Refusal(400, "Datafye documents no query on this path: send a request once connected")
        return None

    @staticmethod
    def plain_head(head: bytes) -> bytes:
        """The head of a handshake without the subprotocols that it offers; all else stays, byte for byte."""
        lines = head.split(b"\r\n")
        return b"\r\n".join(line for line in lines if line.partition(b":")[0].strip().lower() != _SUBPROTOCOL)

    def from_client(self, payload: bytes) -> bytes | Answer:
        """What the server gets of a client's message: the very same, or nothing, where the answer is for the client."""
        try:
            fields = parse_json(payload.decode())
        except (UnicodeDecodeError, RequestError):
            return payload
        if next((fields[verb] for verb in _VERBS if verb in fields), None) == "pong":
            return payload
        wrong = complaint(self._endpoint, fields)
        if wrong is None and fields["action"] == self._endpoint.action:
            wrong = _AGAIN if self._asked else None
            self._asked = True
        if wrong is None:
            self._action = fields["action"]
        return payload if wrong is None else Answer(_encode({"type": "error", "message": wrong}))

    def from_server(self, payload: bytes) -> bytes | None:
        """What the client gets of a server's message; None: nothing."""
        fields = _decode(payload)
        kind = self._kind(fields)
        if kind in ("subscribed", "stream_start", "stream_end"):
            self._answered = True
        elif kind == "error" and not self._answered:
            self._asked = False
        known = FIELDS.get(kind) or (None if self._hides(fields) else RECORDS.get((kind, fields.get("assetClass", ""))))
        if known is None:
            return None
        fields["type"] = kind
        if kind == "error" and (refused := fields.get("symbols")):
            fields["message"] += f" ({', '.join(refused[:_SHOWN])})"
        return _encode({name: value for name, value in fields.items() if name in known})

    def _kind(self, fields: dict[str, Any]) -> str:
        """The `type` that a message has in this dialect."""
        kind: str = fields["type"]
        if kind == "error" and fields["code"] == ErrorCode.NO_DATA:
            return "stream_end"
        if kind == "error" and fields["code"] in _NOT_COMPUTED and self._endpoint.record in _INDICATORS:
            return f"{self._action}d"
        return "error" if kind == "stream_error" else kind

    def _hides(self, fields: dict[str, Any]) -> bool:
        """Whether data of a known kind is such as no documented server sends."""
        halt = fields["type"] in ("halt", "resume")
        return (
            (halt and self._endpoint.record != "quote")
            or "snapshot" in fields
            or "revision" in fields
            or fields.get("final") is False
        )
