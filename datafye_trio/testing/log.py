"""What came in and went out: every frame with its time, as a program, a person and a comparison want to read it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs
import msgspec
import trio

from datafye_trio.wire import Opcode

__all__ = ["Entry", "Kind", "Log", "decode"]

Kind: TypeAlias = Literal[
    "open", "refused", "http", "text", "binary", "close", "ping", "pong", "part", "raw", "fault", "gone"
]
"""What an entry tells of: `open` a WebSocket handshake that succeeded, `refused` one that did not, `http` another
request, the frames by their kinds, `part` a fragment of a message, `raw` what is no frame, `fault` what was done to a
connection, `gone` its end."""

_T = TypeVar("_T")
_ENTRIES: Final = 100_000
_BYTES: Final = 256 * 1024 * 1024
_OPCODES: Final = {"text": Opcode.TEXT, "binary": Opcode.BINARY}
_SHOWN: Final = 200
"""Characters of a payload in a readable line."""


@attrs.frozen
class Entry:
    """One thing that happened on a connection.

    Attributes:
        connection: its number, from 1 in order of arrival; 0 of what was done to all, or refused unseen.
        time: seconds since the log began, by trio's clock. Of a frame to the client: when it was on its way; a delay
            comes after it.
        direction: `in` from the client, `out` to it.
        kind: what it is.
        payload: of a frame, without its mask.
        path: of a request, its query included.
        code: of a close, or the HTTP status of an answer; None where there is none.
        reason: the words of a close, of a refusal, of a fault, of an end.
    """

    connection: int
    time: float
    direction: Literal["in", "out"]
    kind: Kind
    payload: bytes = b""
    path: str = ""
    code: int | None = None
    reason: str = ""

    @cached_property
    def message(self) -> dict[str, Any] | None:
        """The payload as a dict: JSON of a text frame, MessagePack of a binary one; None where it is neither."""
        return decode(_OPCODES[self.kind], self.payload) if self.kind in _OPCODES else None

    def __str__(self) -> str:
        arrow = "->" if self.direction == "in" else "<-"
        words = [f"{self.time:10.3f} #{self.connection} {arrow} {self.kind}"]
        words += [self.path] if self.path else []
        words += [str(self.code)] if self.code is not None else []
        words += [self.reason] if self.reason else []
        if self.kind in ("text", "binary", "part", "raw"):
            words.append(self._shown())
        return " ".join(words)

    def _shown(self) -> str:
        if self.kind == "binary" and self.message is not None:
            text = str(self.message)
        else:
            text = self.payload.decode(errors="backslashreplace")
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(self.payload)} bytes)"


def decode(opcode: int, payload: bytes) -> dict[str, Any] | None:
    """A text message as JSON, a binary one as MessagePack; None where that gives no dict."""
    read = msgspec.json.decode if opcode == Opcode.TEXT else msgspec.msgpack.decode
    try:
        found = read(payload)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    return found if isinstance(found, dict) else None


class Log:
    """What happened, in order. Bounded: the oldest entries are forgotten, and counted.

    Attributes:
        listeners: called with each entry as it comes; sync, and must not raise.
        forgotten: entries that were dropped for room.

    Args:
        entries: the most that are kept.
        payload_bytes: the most bytes of payload that are kept.
    """

    def __init__(self, entries: int = _ENTRIES, payload_bytes: int = _BYTES) -> None:
        self.listeners: list[Callable[[Entry], None]] = []
        self.forgotten = 0
        self._most = entries
        self._most_bytes = payload_bytes
        self._bytes = 0
        self._entries: deque[Entry] = deque()
        self._began = trio.current_time()
        self._changed = trio.lowlevel.ParkingLot()

    def now(self) -> float:
        """Seconds since the log began."""
        return trio.current_time() - self._began

    def add(self, entry: Entry) -> None:
        """Append an entry, tell the listeners, and wake who waits."""
        self._entries.append(entry)
        self._bytes += len(entry.payload)
        while len(self._entries) > self._most or (self._bytes > self._most_bytes and len(self._entries) > 1):
            self._bytes -= len(self._entries.popleft().payload)
            self.forgotten += 1
        for listener in tuple(self.listeners):
            listener(entry)
        self._changed.unpark_all()

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def entries(
        self, kind: Kind | None = None, *, connection: int | None = None, direction: Literal["in", "out"] | None = None
    ) -> list[Entry]:
        """The entries of a kind, a connection, a direction, in order."""
        return [
            entry
            for entry in self._entries
            if (kind is None or entry.kind == kind)
            and (connection is None or entry.connection == connection)
            and (direction is None or entry.direction == direction)
        ]

    def messages(
        self, name: str | None = None, *, connection: int | None = None, direction: Literal["in", "out"] | None = None
    ) -> list[dict[str, Any]]:
        """The messages whose `type` or `action` is `name` (None: all), decoded, in order."""
        found = (entry.message for entry in self.entries(connection=connection, direction=direction))
        return [
            message
            for message in found
            if message is not None and (name is None or name in (message.get("type"), message.get("action")))
        ]

    async def wait_for(self, predicate: Callable[[Log], _T], *, timeout: float = 5.0) -> _T:
        """Wait until `predicate(log)` is true, and return what it returned. Cancel-safe.

        Raises:
            AssertionError: it was not within `timeout` seconds; the text shows the last lines of the log.
        """
        with trio.move_on_after(timeout):
            await trio.lowlevel.checkpoint()
            while not (found := predicate(self)):
                await self._changed.park()
            return found
        raise AssertionError(f"what was waited for did not come within {timeout:g} s. The log:\n{self.tail()}")

    def tail(self, count: int = 20) -> str:
        """The last lines."""
        return "\n".join(map(str, tuple(self._entries)[-count:])) or "(nothing: no client has come)"

    def __str__(self) -> str:
        head = f"({self.forgotten} older entries are forgotten)\n" if self.forgotten else ""
        return head + self.tail(len(self._entries))

    def dump(self) -> bytes:
        """All entries as bytes that are the same whenever the same happened: what comparisons compare.

        Sorted by connection, then time, then direction: what tasks did at one moment has no order between them.
        """
        ordered = sorted(self._entries, key=lambda entry: (entry.connection, entry.time, entry.direction))
        return b"".join(_line(entry) for entry in ordered)


def _line(entry: Entry) -> bytes:
    code = "-" if entry.code is None else entry.code
    head = f"{entry.connection} {entry.time:.9f} {entry.direction} {entry.kind} {entry.path!r} {code} {entry.reason!r}"
    return f"{head} {entry.payload!r}\n".encode()
