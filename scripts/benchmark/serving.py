"""What the servers of the benchmarks have in common: the job, the commands on stdin, the answers on stdout, the pace.

A contender is a process that the benchmark starts with a `Job`. It writes `{"port": P}` once it listens on 127.0.0.1,
and obeys one JSON object a line until `quit` or the end of stdin: `burst` (`count` messages as fast as they go, with
bounded buffers), `pace` (`count` messages at `rate` a second) and `single` (`count` messages, one each `interval`
seconds). It answers `{"done": ...}` when the messages of a command are handed to the sockets. Messages are numbered
from 0 through all commands; a client's subscribe is answered with a text that contains `"subscribed"`.

`obey` is the same for all peers in Python, whatever loop they run on, so that none is paced better than another.
"""

from __future__ import annotations

import json
import resource
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs
import msgspec

from benchmark.payload import message

__all__ = [
    "ANSWER", "WAKE_SECONDS", "Job", "Loop", "Server", "Topics", "dues", "obey", "open_files", "read_order",
    "tell",
]  # fmt: skip

WAKE_SECONDS: Final = 0.001
"""How often a server that is ahead of its pace looks whether a message is due."""
ANSWER: Final = '{"type":"subscribed"}'
"""What a peer answers to a subscribe."""


@attrs.frozen
class Job:
    """What a contender is started with. With one symbol, every client has it; with more, quotes and trades of them."""

    clients: int
    symbols: int = 1
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def read(cls, text: str) -> Job:
        """The job on the command line.

        Raises:
            SystemExit: it is none; the text says what it would be.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise SystemExit(
                f'{text!r} is no job: give a JSON object such as {{"clients":100,"symbols":1}}, with "certificate" and '
                '"key" for TLS'
            ) from None

    def tls(self) -> ssl.SSLContext | None:
        """The server's TLS, where the job wants it."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Topics:
    """For each symbol, the connections that want it."""

    def __init__(self) -> None:
        self._wanting: dict[str, list[Any]] = {}
        self.everybody: list[Any] = []

    def subscribe(self, connection: Any, request: str | bytes) -> None:
        """Add a connection to the symbols of its request."""
        self.everybody.append(connection)
        for symbol in json.loads(request)["symbols"]:
            self._wanting.setdefault(symbol, []).append(connection)

    def wanting(self, symbol: str) -> Sequence[Any]:
        """Those who want it, in the order in which they came."""
        return self._wanting.get(symbol, ())

    def remove(self, connection: Any) -> None:
        """It is gone. Idempotent."""
        for members in (self.everybody, *self._wanting.values()):
            if connection in members:
                members.remove(connection)


class Server(Protocol):
    """What a peer does with a message. `obey` awaits `turn` after each, so that the loop goes on."""

    async def publish(self, symbol: str, text: bytes) -> None:
        """Hand a message to all who want it."""

    async def turn(self) -> None:
        """Let the loop write and read."""

    async def room(self) -> None:
        """Let the loop write and read, and wait where a client lags, so that buffers stay bounded."""


@attrs.frozen
class Loop:
    """An event loop, as far as `obey` needs it: the next line of stdin (empty at its end), and a pause in seconds."""

    line: Callable[[], Awaitable[bytes]]
    sleep: Callable[[float], Awaitable[None]]


async def obey(server: Server, loop: Loop, symbols: int) -> None:
    """Do what stdin says until it ends or says `quit`."""

    def make(number: int, stamp: int) -> tuple[str, bytes]:
        content = message(number, stamp, symbols)
        return content["symbol"], msgspec.json.encode(content)

    number = 0
    while (order := read_order(await loop.line())) is not None:
        last = number + order["count"]
        if order["do"] == "burst":
            for current in range(number, last):
                await server.publish(*make(current, time.time_ns()))
                await server.room()
        elif order["do"] == "pace":
            for current, due in enumerate(dues(order), number):
                while time.time_ns() < due:
                    await loop.sleep(WAKE_SECONDS)
                await server.publish(*make(current, due))
                await server.turn()
        else:
            for current in range(number, last):
                await loop.sleep(order["interval"])
                await server.publish(*make(current, time.time_ns()))
        number = last
        tell(done=order["do"])


def read_order(line: bytes) -> dict[str, Any] | None:
    """The order of a line; None where there is no more to do.

    Raises:
        SystemExit: it is none.
    """
    if not line:
        return None
    try:
        order = json.loads(line)
        needs = {"burst": ("count",), "pace": ("count", "rate"), "single": ("count", "interval"), "quit": ()}
        missing = [name for name in needs[order["do"]] if not order[name] > 0]
    except (ValueError, TypeError, KeyError):
        missing = ["all"]
    if missing:
        raise SystemExit(f"{line.decode(errors='replace').strip()!r} is no order: see scripts/benchmark/serving.py")
    return None if order["do"] == "quit" else order


def dues(order: dict[str, Any]) -> Iterator[int]:
    """When each message of a paced command is due, in nanoseconds since 1970, from now on.

    A schedule that nothing can delay: who is held up publishes late, and the message's stamp shows it.
    """
    begin = time.time_ns()
    return (begin + int(number * 1e9 / order["rate"]) for number in range(order["count"]))


def tell(**what: Any) -> None:
    """One line on stdout."""
    print(json.dumps(what), flush=True)


def open_files() -> None:
    """Allow as many sockets as the machine lets this process have: a thousand clients are more than the usual 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
