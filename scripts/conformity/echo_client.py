"""The client that is judged: `open_client` with its fast lane as in production, and a loop that echoes.

The fast lane gives bytes for text and binary alike, since a subscriber knows which it asked for. An echo does not, so a
tap below the lane notes the kind of each message. That whole text is UTF-8 is left by the lane to whoever decodes:
here that is the echo, which closes with 1007; a feed reports such a message as one that it cannot read, and goes on.
Of the limits, messages may have 32 MiB, and the fragments of one are not counted.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Final
from unittest.mock import patch

import trio

from conformity.echo_server import MESSAGE_BYTES
from conformity.tls import Connect
from datafye_trio.errors import ConnectError
from datafye_trio.wire import ClientOptions, ClientSocket, ClientSocketClosed, Opcode, open_client, peeling
from datafye_trio.wire.frames import FrameScanner

__all__ = ["run_cases"]

_AGENT: Final = "datafye_trio"
_JUDGE: Final = "ws://judge"
"""A name alone: the transport is there already."""
_CASE_SECONDS: Final = 120.0
_INVALID_TEXT: Final = 1007


async def run_cases(connect: Connect) -> int:
    """Run all cases of the judge that `connect` reaches, and have it finish; how many there were.

    Raises:
        ConnectError: the judge is not there.
    """
    with _unlimited():
        count = int(await _ask(connect, "/getCaseCount"))
        for case in range(1, count + 1):
            # What a case did not get to see in time is the judge's to say.
            with trio.move_on_after(_CASE_SECONDS), contextlib.suppress(ConnectError):
                await _echo(connect, f"/runCase?case={case}&agent={_AGENT}")
        with contextlib.suppress(ClientSocketClosed):
            await _ask(connect, f"/updateReports?agent={_AGENT}")
    return count


class _Tap(trio.abc.Stream):
    """The transport, and the kinds of the messages that came in over it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.kinds: deque[int] = deque()
        self._stream = stream
        self._scanner = FrameScanner()
        self._head: bytes | None = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._note(bytes(data))
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _note(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            _, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
        kinds = (head.opcode for head in self._scanner.feed(data))
        self.kinds.extend(kind for kind in kinds if kind in (Opcode.TEXT, Opcode.BINARY))


async def _ask(connect: Connect, path: str) -> str:
    async with open_client(f"{_JUDGE}{path}", ClientOptions(open_stream=connect)) as socket:
        answer = await socket.receive()
        return answer if isinstance(answer, str) else answer.decode()


async def _echo(connect: Connect, path: str) -> None:
    taps: list[_Tap] = []

    async def tapped() -> trio.abc.Stream:
        taps.append(_Tap(await connect()))
        return taps[0]

    options = ClientOptions(message_bytes=MESSAGE_BYTES, open_stream=tapped)
    async with open_client(f"{_JUDGE}{path}", options) as socket:
        with contextlib.suppress(ClientSocketClosed):
            await _send_back(socket, taps[0].kinds)


async def _send_back(socket: ClientSocket, kinds: deque[int]) -> None:
    while True:
        for message in await socket.receive_many():
            if kinds.popleft() == Opcode.TEXT and isinstance(message, bytes):
                try:
                    message = message.decode()
                except UnicodeDecodeError:
                    await socket.close(_INVALID_TEXT, "a text message was not UTF-8")
                    return
            # A subscriber sends text alone, so only that is declared; the way out is the same.
            await socket.send(message)  # type: ignore[arg-type]


@contextlib.contextmanager
def _unlimited() -> Iterator[None]:
    with patch.object(peeling, "_FRAGMENTS", 2**40):
        yield
