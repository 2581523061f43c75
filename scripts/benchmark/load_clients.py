"""The connections of the load client: raw sockets that shake hands, subscribe, and then only read.

Two dialects. `datafye`: WebSocket, a subscribe request of ours, an answer that contains `"subscribed"`; every contender
in this folder speaks it. `mqtt`: MQTT 3.1.1 over WebSocket, a topic a symbol. `nchan`: the symbol is the path, and
there is no answer: who has shaken hands is subscribed.
"""

from __future__ import annotations

import json
import resource
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from _frames import Frames

from benchmark.payload import CHANNELS, PATHS, basket, symbol_names

__all__ = ["DIALECTS", "Client", "Job", "LoadError", "connect"]

_TOGETHER: Final = 50
"""So many connections wait at a server at once: some queue no more than 100."""
_SECONDS: Final = 20.0


class LoadError(Exception):
    """What came was not what was published, or did not come; the text says what, and at which client."""


@attrs.frozen
class Job:
    """What the load client is started with; `basket` is how many symbols a client wants, 0 for all of them.

    `late` clients have shaken hands and not subscribed; one more client, the last, has. `pongs` answers the heartbeats
    that a server may have sent, before what may take long.
    """

    port: int
    clients: int
    symbols: int = 1
    basket: int = 0
    dialect: str = "datafye"
    certificate: str | None = None
    late: bool = False
    pongs: bool = False

    def wants(self, client: int) -> Sequence[str]:
        """The symbols of this client."""
        return basket(client, self.symbols, self.basket) if self.basket else symbol_names(self.symbols)

    def request(self, client: int, **more: Any) -> str:
        """The subscribe request of this client."""
        request: dict[str, Any] = {"action": "subscribe", "symbols": self.wants(client), "snapshot": False}
        if self.symbols > 1:
            request["channels"] = CHANNELS
        return json.dumps(request | more)


class Client:
    """One connection. What it has received in the order at hand is kept here by the loop that reads."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.socket = connection
        self.frames = Frames()
        self.wanted = 0
        self.got = 0
        self.bytes = 0
        self.tail = b""
        self.answer: bytes = b""

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """One frame, masked with zeros; waits for room."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
        self.socket.settimeout(_SECONDS)
        self.socket.sendall(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    def upgrade(self, path: str, protocol: str = "") -> None:
        """Ask for a WebSocket, and do not wait."""
        more = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def upgraded(self) -> None:
        """Wait for the 101."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._read()
        head, self.frames.rest = head.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise LoadError(f"client {self.number} was not let in: {head.decode(errors='replace')!r}")

    def wait_for(self, sign: bytes) -> bytes:
        """Wait for a frame that contains this; what comes before it is dropped, and nothing may come behind it."""
        data = b""
        while True:
            for _, payload in (frames := list(self.frames.feed(data))):
                if sign in payload:
                    if self.frames.rest or payload is not frames[-1][1]:
                        raise LoadError(f"client {self.number} was sent something before anything was published")
                    return payload
            data = self._read()

    def _read(self) -> bytes:
        try:
            data = self.socket.recv(65_536)
        except TimeoutError:
            raise LoadError(f"client {self.number} got no answer within {_SECONDS:g} s") from None
        if not data:
            raise LoadError(f"client {self.number} was disconnected: {self.frames.rest.decode(errors='replace')!r}")
        return data


@attrs.frozen
class _Dialect:
    """How to ask for a WebSocket, to subscribe, and to wait until that has happened."""

    upgrade: Callable[[Client, Job], None]
    subscribe: Callable[[Client, Job], None]
    subscribed: Callable[[Client, Job], None]
    content: Callable[[bytes], bytes] = bytes
    """The JSON in a frame's payload."""


def _datafye_upgrade(client: Client, job: Job) -> None:
    client.upgrade(PATHS[1 if job.symbols == 1 else len(CHANNELS)])


def _datafye_subscribe(client: Client, job: Job) -> None:
    client.send(job.request(client.number).encode())


def _datafye_subscribed(client: Client, _job: Job) -> None:
    client.answer = client.wait_for(b'"subscribed"')


def _mqtt_upgrade(client: Client, _job: Job) -> None:
    client.upgrade("/mqtt", "mqtt")


def _mqtt_subscribe(client: Client, job: Job) -> None:
    name = f"load{client.number}".encode()
    connect = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2) + name  # a clean session, no keep-alive
    client.send(bytes([0x10, len(connect)]) + connect, 2)
    client.wait_for(b"\x20\x02\x00\x00")
    for number, symbol in enumerate(job.wants(client.number), 1):
        text = symbol.encode()
        topic = number.to_bytes(2) + len(text).to_bytes(2) + text + b"\x00"
        client.send(bytes([0x82, len(topic)]) + topic, 2)


def _mqtt_subscribed(client: Client, job: Job) -> None:
    last = len(job.wants(client.number))
    client.wait_for(b"\x90\x03" + last.to_bytes(2))


def _mqtt_content(payload: bytes) -> bytes:
    return payload[payload.index(b"{") :]


def _nchan_upgrade(client: Client, job: Job) -> None:
    client.upgrade(f"/sub/{symbol_names(job.symbols)[0]}")


def _nothing(_client: Client, _job: Job) -> None:
    pass


DIALECTS: Final = {
    "datafye": _Dialect(_datafye_upgrade, _datafye_subscribe, _datafye_subscribed),
    "mqtt": _Dialect(_mqtt_upgrade, _mqtt_subscribe, _mqtt_subscribed, _mqtt_content),
    "nchan": _Dialect(_nchan_upgrade, _nothing, _nothing),
}


def connect(job: Job) -> list[Client]:
    """All clients of a job, subscribed, and set to read without waiting.

    Raises:
        LoadError: one was refused, or waited too long.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    dialect, clients = DIALECTS[job.dialect], []
    numbers = range(job.clients + job.late)
    for first in range(0, len(numbers), _TOGETHER):
        some = [Client(number, _open(job)) for number in numbers[first : first + _TOGETHER]]
        for client in some:
            dialect.upgrade(client, job)
        for client in some:
            client.upgraded()
        subscribing = [client for client in some if not job.late or client.number == job.clients]
        for client in set(some) - set(subscribing):
            client.wait_for(b'"connected"')
        for client in subscribing:
            dialect.subscribe(client, job)
        for client in subscribing:
            dialect.subscribed(client, job)
        clients += some
    for client in clients:
        client.socket.setblocking(False)
    return clients


def _open(job: Job) -> socket.socket:
    try:
        connection = socket.create_connection(("127.0.0.1", job.port), timeout=_SECONDS)
        if job.certificate is not None:
            context = ssl.create_default_context(cafile=job.certificate)
            return context.wrap_socket(connection, server_hostname="localhost")
    except OSError as error:
        raise LoadError(f"a client could not connect: {error}") from None
    return connection
