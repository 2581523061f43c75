"""The server of `scripts/soak`: a process of its own, so that it can be killed.

It is told on stdin, a word a line, and answers on stdout, a JSON text a line:

- `listen`: listen; the answer is the port.
- `go`: publish numbered events, as the argument says (`ServerSettings`). At the last one, if there is a last one, the
  answer is the log: the number of events of each symbol.
- `stop`: publish no more; the answer is the log, likewise.
- `watch`: the answer is what an observer wants to know (`_Observed`).

It ends with its stdin, in good order.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import attrs
import trio

from datafye_trio import ConnectionLimits, HeartbeatConfig, RingLimits, ServerConfig, open_server
from datafye_trio.model import Channel
from datafye_trio.testing import NumberedConfig, NumberedSource

__all__ = ["ServerSettings", "symbols_of"]


@attrs.frozen
class ServerSettings:
    """What one life of a server is to do; `port` 0 takes a free one, `messages` None publishes without end.

    Answers to a heartbeat are due within three of them, a close within a fifth of one: as by default, with 10 s.
    """

    symbols: int
    rate: float
    port: int = 0
    messages: int | None = None
    life: int = 0
    seed: int = 0
    ring_seconds: float = 60.0
    ring_messages: int = 1_000
    count_loopback: bool = False
    heartbeat: float = 10.0

    def config(self) -> ServerConfig:
        """The server's own settings."""
        return ServerConfig(
            host="127.0.0.1",
            port=self.port,
            ring=RingLimits(self.ring_seconds, self.ring_messages),
            connections=ConnectionLimits(count_loopback=self.count_loopback),
            heartbeat=HeartbeatConfig(self.heartbeat, 3 * self.heartbeat),
            close_seconds=self.heartbeat / 5,
        )

    def source(self) -> NumberedSource:
        """What publishes: as many batches a second as keep their delays under a hundredth of one."""
        batch = max(1, min(1_024, round(self.rate / 100)))
        symbols, channels = symbols_of(self.symbols), (Channel.TRADES,)
        return NumberedSource(NumberedConfig(symbols, channels, self.messages, self.rate, batch, self.life, self.seed))


def symbols_of(count: int) -> tuple[str, ...]:
    """The names of so many symbols."""
    return tuple(f"S{number}" for number in range(count))


class _Observed(logging.Handler):
    """What the server says of itself, since it was last asked.

    `ended` has the connections that have ended: when, in seconds of `time.monotonic()`, which is one for all processes
    of a machine, and the close code, None where the peer ended it. Only the log tells both.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._ended: list[tuple[float, int | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "disconnected":
            self._ended.append((time.monotonic(), getattr(record, "code", None)))

    def answer(self) -> dict[str, Any]:
        ended, self._ended = self._ended, []
        tasks = trio.lowlevel.current_statistics().tasks_living
        return {"tasks": tasks, "blocks": sys.getallocatedblocks(), "wall": time.time(), "ended": ended}

    def listen(self) -> None:
        logger = logging.getLogger("datafye_trio.server")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        logger.propagate = False


async def _words() -> AsyncIterator[str]:
    rest = b""
    async for data in trio.lowlevel.FdStream(sys.stdin.fileno()):
        *words, rest = (rest + data).split(b"\n")
        for word in words:
            yield word.decode()


def _answer(value: object) -> None:
    print(json.dumps(value), flush=True)


def _log(source: NumberedSource) -> dict[str, int]:
    return {symbol: count for (_, symbol), count in source.published.items()}


async def _tell_at_the_end(source: NumberedSource) -> None:
    await source.done.wait()
    _answer(_log(source))


async def _main(settings: ServerSettings) -> None:
    words = _words()
    async for word in words:  # the first is `listen`; until then, everything but the port is ready
        if word == "listen":
            break
    else:
        return
    source = settings.source()
    observed = _Observed()
    observed.listen()
    async with open_server(settings.config(), [source]) as server, trio.open_nursery() as nursery:
        nursery.start_soon(_tell_at_the_end, source)
        _answer(server.port)
        async for word in words:
            if word == "go":
                source.go.set()
            elif word == "stop":
                source.stop()
            elif word == "watch":
                _answer(observed.answer())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, ServerSettings(**json.loads(sys.argv[1])))
