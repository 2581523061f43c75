"""Our server in a process of its own that does as it is told and says what processor time it has taken.

For benchmarks that ask what something costs, not how fast it goes beside others: the clients are in the process that
measures, and may be as slow as they like. Run as a process: a line `{"port": P}` comes out, then one for each order
that goes in. An order `{"count": N, "symbols": S}` publishes N quotes over S symbols in turn, as fast as the clients
read; the answer is `{"processor_seconds": T}` since the process began. A count of 0 only asks.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

import attrs
import trio

from benchmark import ENVIRONMENT, program
from datafye_trio import Quote, ServerConfig, open_server
from datafye_trio.sources import BATCH, Publisher

__all__ = ["Client", "Driven", "drain", "open_clients", "open_driven", "subscription", "symbol_names"]

_PATH: Final = "/datafye-ws/v1/stocks/live/quotes"
_LONG: Final = 0x7E
"""The length byte of a frame of 126 to 65,535 bytes: of every quote, of no heartbeat, and no letter of a quote."""
_SECONDS: Final = 60.0


def symbol_names(count: int, first: int = 0) -> list[str]:
    """The names of so many symbols, all of the same length."""
    return [f"S{number:06}" for number in range(first, first + count)]


def subscription(symbols: Sequence[str]) -> str:
    """The request for quotes of these symbols, `*` for all."""
    return json.dumps({"action": "subscribe", "symbols": symbols, "snapshot": False})


class Client:
    """A client that subscribes and from then on only takes what comes. Blocks for up to a minute, then it is an error.

    Args:
        port: of a server on this machine.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._rest = b""
        self.socket.sendall(
            f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._rest:
            self._read()
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        if b" 101 " not in head:
            raise SystemExit(f"the server did not answer 101: {head.decode(errors='replace')}")

    def ask(self, request: str) -> dict[str, Any]:
        """Send a request and wait for its answer; what comes before it is dropped."""
        self._send(request)
        while (answer := json.loads(self._message()))["type"] not in ("subscribed", "error"):
            pass
        if answer["type"] == "error":
            raise SystemExit(f"the server refused: {answer}")
        return dict(answer)

    def pong(self) -> None:
        """Answer the heartbeats so far."""
        self._send('{"action":"pong"}')

    def _send(self, text: str) -> None:
        payload = text.encode()
        size = len(payload)
        if size < 126:
            head = bytes([0x81, 0x80 | size])
        elif size < 65_536:
            head = bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x81, 0xFF]) + size.to_bytes(8, "big")
        self.socket.sendall(head + bytes(4) + payload)  # masked with zeros

    def _message(self) -> bytes:
        self._read_to(2)
        extended = {126: 2, 127: 8}.get(self._rest[1], 0)
        self._read_to(2 + extended)
        size = int.from_bytes(self._rest[2 : 2 + extended], "big") if extended else self._rest[1]
        self._read_to(2 + extended + size)
        message, self._rest = self._rest[2 + extended :][:size], self._rest[2 + extended + size :]
        return message

    def _read_to(self, size: int) -> None:
        while len(self._rest) < size:
            self._read()

    def _read(self) -> None:
        if not (data := self.socket.recv(1 << 18)):
            raise SystemExit("the server has closed a connection")
        self._rest += data


@contextmanager
def open_clients(port: int, requests: Iterable[str]) -> Iterator[list[Client]]:
    """A client for each of these requests, which were answered; closed at the end."""
    clients: list[Client] = []
    try:
        for request in requests:
            clients.append(Client(port))
            clients[-1].ask(request)
        yield clients
    finally:
        for client in clients:
            client.socket.close()


def drain(clients: Sequence[Client], quotes: int) -> None:
    """Take so many quotes in all, and not one more.

    Raises:
        SystemExit: another number came, or nothing for a minute.
    """
    buffer = bytearray(1 << 20)
    got = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        while got < quotes:
            if not (ready := selector.select(_SECONDS)):
                raise SystemExit(f"{got:,} of {quotes:,} quotes came, and then nothing for {_SECONDS:g} s")
            for key, _ in ready:
                if not (size := key.fileobj.recv_into(buffer)):  # type: ignore[union-attr]
                    raise SystemExit("the server has closed a connection")
                got += buffer.count(_LONG, 0, size)
    if got != quotes:
        raise SystemExit(f"{got:,} quotes came, not {quotes:,}")
    for client in clients:
        client.pong()


@attrs.frozen
class Driven:
    """The server's process, as seen from the one that measures."""

    port: int
    pid: int
    _orders: IO[str]
    _answers: IO[str]

    def cost(self, clients: Sequence[Client], count: int, symbols: int, deliveries: int) -> float:
        """The processor seconds of `count` quotes over `symbols` symbols: from making them to the sockets of the
        clients, which get so many `deliveries` in all.
        """
        begin = self.processor_seconds()
        self._order({"count": count, "symbols": symbols})
        drain(clients, deliveries)
        self._answer()
        return self.processor_seconds() - begin

    def processor_seconds(self) -> float:
        """The processor time of the process up to here."""
        self._order({})
        return self._answer()

    def finish(self) -> None:
        """Have it end by itself, and wait for that."""
        self._orders.close()
        for _ in self._answers:
            pass

    def _order(self, order: dict[str, int]) -> None:
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()

    def _answer(self) -> float:
        if not (line := _object(self._answers)):
            raise SystemExit("the server of the benchmark has ended")
        return float(json.loads(line)["processor_seconds"])


def _object(lines: Iterable[str]) -> str:
    """The next line with a JSON object: what the process is run by may write to stdout, too. Empty at the end."""
    return next((line for line in lines if line.startswith("{")), "")


@contextmanager
def open_driven(run_by: Sequence[str] = ()) -> Iterator[Driven]:
    """A server in a process of its own, which ends with the block; `run_by` is the command that runs it, if any."""
    with subprocess.Popen(
        [*run_by, *program(sys.executable, "driven")],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            if process.stdin is None or process.stdout is None or not (line := _object(process.stdout)):
                raise SystemExit("the server of the benchmark did not start")
            yield Driven(json.loads(line)["port"], process.pid, process.stdin, process.stdout)
        finally:
            process.kill()


# What runs in the server's process.


async def _main() -> None:
    names: list[str] = []
    rest = b""
    async with (
        open_server(ServerConfig(port=0)) as server,
        trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as orders,
    ):
        print(json.dumps({"port": server.port}), flush=True)
        publisher = server.publisher()
        while data := await orders.receive_some():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                order: dict[str, int] = json.loads(line)
                symbols = order.get("symbols", 0)
                names += symbol_names(symbols - len(names), len(names))
                await _publish(publisher, order.get("count", 0), names[:symbols])
                print(json.dumps({"processor_seconds": time.process_time()}), flush=True)


async def _publish(publisher: Publisher, count: int, names: Sequence[str]) -> None:
    for first in range(0, count, BATCH):
        await publisher.room()
        now = publisher.now_ns()
        await publisher.publish(
            [
                Quote(names[number % len(names)], now, 189.11 + number % 7 / 100, 300, 189.2, 500)
                for number in range(first, min(first + BATCH, count))
            ]
        )


if __name__ == "__main__":
    trio.run(_main)
