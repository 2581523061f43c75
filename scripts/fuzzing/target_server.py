"""The target of the whole server: a stranger's bytes, from the request to the end, beside a client that is served.

Everything that the stranger gets back is read by the plain reader, every message parsed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs
import msgpack
import trio
from trio.testing import MockClock

from datafye_trio import AssetClass, Bar, Channel, Program, Quote, Server, ServerConfig, Trade, open_server
from datafye_trio.protocol import CloseCode
from datafye_trio.wire import MemoryStream
from fuzzing.checking import Target, check, pieces
from fuzzing.hearing import check_told
from fuzzing.reading import Reading, read_frames
from fuzzing.stored import StoredProgram
from fuzzing.target_wire import CLIENT_FRAMES, HEAD_WORDS

__all__ = ["TARGETS", "Answer", "GoodClient", "attack", "serving", "watched_log"]

_START_NS: Final = 1_700_000_000_000_000_000
_SECONDS: Final = 30.0
"""Of virtual time, for one stranger: the handshake may take 5 s, a close 2."""
_LARGEST: Final = 2**24
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUSES: Final = {101, 200, 400, 403, 404, 405, 409, 413, 426, 431, 503}
_REST: Final = (
    b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_HEADS: Final = (
    b"GET /datafye-ws/v1/stocks/live/quotes" + _REST + b"\r\n",
    b"GET /datafye-ws/v1" + _REST + b"\r\n",
    b"GET /datafye-ws/v1" + _REST + b"Sec-WebSocket-Protocol: datafye.v1.msgpack\r\n\r\n",
    b"GET /datafye-ws/v1/stocks/history" + _REST + b"\r\n",
)
"""An input that begins with a byte below their number stands for that head and the frames behind the byte."""
_WORDS: Final = (
    *HEAD_WORDS, *CLIENT_FRAMES, b'{"action":"ping"}', b'{"action":"subscribe","symbols":["AAPL"]}', b"{", b"]",
    b'"channels":["trades","bars"]', b'"frequency":"Second"', b'"resume":{"epoch":"e","positions":{"AAPL":1}}',
    b'"snapshot":true', b'"dataset":"Crypto"', b'"symbols":"*"', b'"delivery":"latest"', b'"maxRate":5', b'"id":1',
    b'"action":"unsubscribe"', b'"action":"subscriptions"', b'"action":"pong"', b'"action":"start"', b'"action":"stop"',
    b'{"action":"more","id":1,"count":5}', b'"frequency":"Tick"', b'"channel":"trades"', b'"rate":5', b'"window":3',
    b'"from":"2025-01-02T10:00"', b'"to":"2025-01-02T15:20:00Z"', b'"from":"0001-01-01"', b'"to":"9999-12-31T23:59"',
    b'"skip":3', b'"running":true', b'"except":["MSFT"]', b'"frequency":"1d"',
)  # fmt: skip


@attrs.frozen
class Answer:
    """What a stranger got: the HTTP status (0: none), the frames behind a 101, and the kinds of their messages."""

    status: int
    reading: Reading
    kinds: frozenset[Hashable] = frozenset()


class _LogWatch(logging.Handler):
    """What our server logs as an error is one that it kept from others: a bug all the same."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[logging.LogRecord] = []
        self.codes: list[int | None] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append(record)

    def raise_what_came(self) -> None:
        """Raise what was logged as an exception that nobody expected."""
        for record in self.errors:
            error = record.exc_info[1] if record.exc_info else None
            if error is not None:
                raise error
        check(not self.errors, "nothing is logged as an error")


@contextmanager
def watched_log() -> Iterator[_LogWatch]:
    """See what the project logs as errors, and let nothing be printed."""
    log, watch = logging.getLogger("datafye_trio"), _LogWatch()
    before = log.propagate
    log.addHandler(watch)
    log.propagate = False
    try:
        yield watch
    finally:
        log.removeHandler(watch)
        log.propagate = before


@asynccontextmanager
async def serving(config: ServerConfig | None = None) -> AsyncIterator[Server]:
    """A server without sockets, under virtual time, with stocks on all channels, stored too, and crypto."""
    sources = (
        StoredProgram(),
        Program("Crypto", AssetClass.CRYPTO, (Channel.TRADES,)),
    )
    clock = lambda: _START_NS + round(trio.current_time() * 1e9)  # noqa: E731 -- of two words
    async with open_server(
        config or ServerConfig(), sources, listen=False, wall_clock=clock, new_epoch=lambda: "e"
    ) as server:
        yield server


class GoodClient:
    """A client that is subscribed to quotes of AAPL and must get each of them, whatever strangers do."""

    def __init__(self, server: Server, stream: MemoryStream) -> None:
        self._server = server
        self._stream = stream
        self.received = 0

    @classmethod
    async def connect(cls, server: Server) -> GoodClient:
        """Connect and subscribe."""
        client = cls(server, server.connect())
        await client._stream.send_all(_HEADS[0])
        await client._read_until(b'"connected"')  # nothing may be sent before the answer
        await client._stream.send_all(_masked(b'{"action":"subscribe","symbols":["AAPL"],"snapshot":false}'))
        await client._read_until(b'"subscribed"')
        return client

    async def get_one(self) -> None:
        """Publish a quote, and receive it: it and no other."""
        self.received += 1
        await self._server.publish(Quote("AAPL", _START_NS + self.received, 1.0, 1, 2.0, 1, "XNAS", "XNAS"))
        wanted = f'"seq":{self.received},'.encode()
        check(wanted in await self._read_until(b'"type":"quote"'), "a good client gets every message, in order")

    async def _read_until(self, wanted: bytes) -> bytes:
        held = b""
        with trio.fail_after(_SECONDS):
            while wanted not in held:
                more = await self._stream.receive_some()
                check(bool(more), "a good client keeps its connection")
                held += more
        return held

    async def answer_heartbeats(self) -> None:
        """Say that we are there."""
        await self._stream.send_all(_masked(b'{"action":"pong"}'))


def _masked(payload: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload


async def attack(server: Server, data: bytes, *, live: bool = False) -> Answer:
    """Send a stranger's bytes in pieces, the head first and the frames behind the answer; read to the end.

    With `live`, some events are published before that.
    """
    stream = server.connect()
    head, frames = _parts(data)
    got: list[bytes] = []
    answered = trio.Event()

    async def read() -> None:
        try:
            while more := await stream.receive_some():
                got.append(more)
                answered.set()
        except trio.BrokenResourceError:
            pass  # reset, which is an answer too
        answered.set()

    with trio.fail_after(_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            try:
                for piece in pieces(head):
                    await stream.send_all(piece)
                if frames:
                    await answered.wait()
                for piece in pieces(frames):
                    await stream.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
                if live:
                    await _publish(server)
                    await trio.testing.wait_all_tasks_blocked()
                await stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # it has ended us already
    stream.close()
    return _checked(b"".join(got))


async def _publish(server: Server) -> None:
    """A few events of what strangers may have subscribed to; nothing that the good client has."""
    now = _START_NS
    for n in range(3):
        await server.publish(
            [
                Trade("AAPL", now, 1.0 + n, 1),
                Quote("MSFT", now, 1.0, 1, 2.0, 1, "XNAS", "XNAS"),
                Bar("AAPL", "Second", now, 1.0, 2.0, 1.0, 2.0, 10, 2, 1.5, final=bool(n % 2)),
            ],
            dataset="Stocks",
        )


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """The head of the request, and the frames that go out once it is answered."""
    if data[:1] and data[0] < len(_HEADS):
        return _HEADS[data[0]], data[1:]
    end = _HEAD_END.search(data)
    return (data, b"") if end is None else (data[: end.end()], data[end.end() :])


def _checked(got: bytes) -> Answer:
    """What came is sound: an HTTP answer with a documented status, then frames with messages of ours."""
    if not got:
        return Answer(0, Reading())
    end = _HEAD_END.search(got)
    check(end is not None and got.startswith(b"HTTP/1.1 "), "an answer is HTTP, and whole")
    assert end is not None
    status = int(got[9:12])
    check(status in _STATUSES, "the status of an answer is a documented one")
    if status != 101:
        return Answer(status, Reading())
    reading = read_frames(got[end.end() :], _LARGEST)
    check(reading.ended in ("open", "closed"), "frames of ours are sound")
    binary = b"datafye.v1.msgpack" in got[: end.end()]
    check(all(whole for _, whole in reading.messages), "each message of ours is one frame")
    return Answer(status, reading, check_told(_message(payload, binary=binary) for payload, _ in reading.messages))


def _message(payload: bytes, *, binary: bool) -> dict[str, Any]:
    found: dict[str, Any] = msgpack.unpackb(payload) if binary else json.loads(payload)
    return found


async def _one(data: bytes) -> Answer:
    async with serving() as server:
        client = await GoodClient.connect(server)
        await _publish(server)
        answer = await attack(server, data, live=True)
        await client.get_one()
    return answer


def run_server(data: bytes) -> Hashable:
    """No exception, a sound answer, a documented close code, and a good client is served."""
    with watched_log() as log:
        try:
            answer = trio.run(_one, data, clock=MockClock(autojump_threshold=0))
        finally:
            log.raise_what_came()  # which says more than what a stranger saw of it
    reading = answer.reading
    if reading.ended == "closed":
        check_code(reading.code, data)
    return answer.status, reading.ended, reading.code, answer.kinds


def check_code(code: int | None, data: bytes) -> None:
    """A close code of the server is documented, or the answer to the same one."""
    told = read_frames(_parts(data)[1], _LARGEST, masked=True)
    check(code in {*CloseCode, told.code, 1005}, "the close code is a documented one")


TARGETS: Final = (
    Target(
        "server",
        "a stranger's bytes to the whole server: a documented answer, and others are served",
        run_server,
        _WORDS,
        9_000,
    ),
)
