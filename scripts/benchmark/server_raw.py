"""The raw limit: an epoll loop that writes ready-made chunks to sockets, of the same size as ours, and does no more.

All frames of a burst are made before the first is written, so its answer says when it began to write: `begin`. What no
server could skip is here, too: partial writes, and sockets that take nothing for now. One topic only: for many, the
chunks of all clients would have to be made before, which is more than memory holds, or by the loop, which is no limit.

A chunk goes out when every client has the one before, so that it is still in the processor's cache when the last one
gets it: 9.3 million messages a second to 100 clients (median of six). Where each client runs ahead as its socket allows
it was 7.8, with four chunks in flight 7.6: then the reading process, the slower of the two, misses its cache.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from benchmark.payload import message
from benchmark.serving import ANSWER, WAKE_SECONDS, Job, dues, open_files, read_order, tell
from datafye_trio.broker.chunks import CHUNK_BYTES
from datafye_trio.sources import BATCH
from datafye_trio.wire import data_frame

__all__ = ["missing", "run"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(rb"sec-websocket-key:\s*(\S+)", re.IGNORECASE)
_LATER: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def missing() -> str | None:
    """Why it cannot run here; None where it can."""
    return None if hasattr(select, "epoll") else "this system has no epoll"


class Client:
    """One connection: what it has said so far, and what it is still to get."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.waiting: deque[memoryview] = deque()
        self.subscribed = self.blocked = False
        self._said = b""

    def read(self) -> bool:
        """Take what it says: a request to upgrade, and one to subscribe. False when it has gone."""
        try:
            data = self.socket.recv(65_536)
        except _LATER:
            return True
        except OSError:
            return False
        self._said += data
        if found := re.search(rb"\r\n\r\n", self._said):
            key = _KEY.search(self._said)
            accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _GUID).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self.socket.sendall(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self._said = self._said[found.end() :]
        elif self._said[:1] == b"\x81" and not self.subscribed:
            # With one topic, whatever it asks for is that.
            self.socket.sendall(data_frame(ANSWER.encode(), "json"))
            self.subscribed = True
        return bool(data)

    def write(self) -> bool:
        """Write until nothing waits; False where the socket takes no more."""
        waiting = self.waiting
        try:
            while waiting:
                sent = self.socket.send(waiting[0])
                if sent < len(waiting[0]):
                    waiting[0] = waiting[0][sent:]
                else:
                    waiting.popleft()
            self.blocked = False
        except _LATER:
            self.blocked = True
        except OSError:  # it is gone, as the next read will tell
            waiting.clear()
            self.blocked = False
        return not self.blocked


class Raw:
    """The loop."""

    def __init__(self, job: Job) -> None:
        self._tls = job.tls()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._lines = b""
        self._ended = False
        self._number = 0
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(0, select.EPOLLIN)

    def serve(self) -> None:
        """Do what stdin says until it ends or says `quit`."""
        tell(port=self._listener.getsockname()[1])
        while (order := read_order(self._line())) is not None:
            began = {}
            if order["do"] == "burst":
                began = {"begin": self._burst(order["count"])}
            elif order["do"] == "pace":
                for due in dues(order):
                    while time.time_ns() < due:
                        self._turn(WAKE_SECONDS)
                    self._publish(due)
            else:
                for _ in range(order["count"]):
                    end = time.monotonic() + order["interval"]
                    while (left := end - time.monotonic()) > 0:
                        self._turn(left)
                    self._publish(time.time_ns())
            self._drain()
            tell(done=order["do"], **began)

    def _drain(self) -> None:
        while any(client.waiting for client in self._clients.values()):
            self._turn(1.0)

    def _line(self) -> bytes:
        while b"\n" not in self._lines:
            if self._ended:
                return b""
            self._turn(1.0)
        line, self._lines = self._lines.split(b"\n", 1)
        return line

    def _turn(self, seconds: float) -> None:
        """What the sockets and stdin have for us."""
        for number, events in self._epoll.poll(seconds):
            if number == 0:
                data = os.read(0, 65_536)
                self._lines += data
                if not data:
                    self._ended = True
                    self._epoll.unregister(0)
            elif number == self._listener.fileno():
                self._accept()
            else:
                client = self._clients[number]
                if events & select.EPOLLOUT and client.write():
                    self._epoll.modify(number, select.EPOLLIN)
                if events & ~select.EPOLLOUT and not client.read():
                    self._epoll.unregister(number)
                    client.socket.close()
                    del self._clients[number]

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if self._tls is not None:
            connection.setblocking(True)
            connection = self._tls.wrap_socket(connection, server_side=True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self._clients[connection.fileno()] = Client(connection)
        self._epoll.register(connection, select.EPOLLIN)

    def _frame(self, stamp: int) -> bytes:
        frame = data_frame(msgspec.json.encode(message(self._number, stamp)), "json")
        self._number += 1
        return frame

    def _burst(self, count: int) -> float:
        """When the first chunk was written, as `time.perf_counter` counts."""
        now = time.time_ns()
        frames = [self._frame(now) for _ in range(count)]
        chunks = [chunk for start in range(0, count, BATCH) for chunk in _chunks(frames[start : start + BATCH])]
        begin = time.perf_counter()
        for chunk in chunks:
            self._send(chunk)
            self._drain()
        return begin

    def _publish(self, stamp: int) -> None:
        self._send(self._frame(stamp))

    def _send(self, data: bytes) -> None:
        for number, client in self._clients.items():
            if client.subscribed:
                client.waiting.append(memoryview(data))
                if not client.blocked and not client.write():
                    self._epoll.modify(number, select.EPOLLIN | select.EPOLLOUT)


def _chunks(frames: list[bytes]) -> Iterator[bytes]:
    """Joined as our broker joins them: halved until they fit."""
    data = b"".join(frames)
    if len(data) <= CHUNK_BYTES or len(frames) == 1:
        yield data
        return
    middle = len(frames) // 2
    yield from _chunks(frames[:middle])
    yield from _chunks(frames[middle:])


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends."""
    open_files()
    Raw(job).serve()
