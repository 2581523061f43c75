"""Stand-ins for `record`: connections that say what a test wants, and a recording in memory that can fail."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio
from support import quote, virtual_wall_clock

from datafye_trio.cli.intake import Socket, Tally
from datafye_trio.cli.recorder import Recorder, RecorderConfig
from datafye_trio.errors import RecordingError
from datafye_trio.model import AssetClass, Channel, Event
from datafye_trio.protocol import Codec, Subscribe
from datafye_trio.wire.client import ClientSocketClosed

Connect = Callable[[], AbstractAsyncContextManager[Socket]]
REQUEST = Subscribe(("*",), ("quotes", "trades"), "record-0", snapshot=False, delivery="all")


class Line:
    """A connection: says what it is told to, and keeps what was sent to it."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.sent: list[dict[str, Any]] = []
        self.code = 1006
        self.closed = False
        self._say, self._hear = trio.open_memory_channel[str](math.inf)
        for message in messages:
            self.say(message)

    def say(self, message: dict[str, Any] | str) -> None:
        self._say.send_nowait(message if isinstance(message, str) else json.dumps(message))

    def end(self, code: int = 1006) -> Line:
        self.code = code
        self._say.close()
        return self

    async def receive(self) -> str:
        try:
            return await self._hear.receive()
        except trio.EndOfChannel:
            raise ClientSocketClosed(self.code, "") from None

    async def send(self, message: str) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(json.loads(message))


class Sink:
    """A recording in memory; `failure` is what the disk says, `room` how many rows may wait."""

    def __init__(self) -> None:
        self.rows: list[tuple[Channel, int, Event, str | None, int | None]] = []
        self.waiting: list[tuple[Channel, int, Event, str | None, int | None]] = []
        self.flushes: list[float] = []
        self.failure: Exception | None = None
        self.room = 1_000_000
        self.written = self.lost = 0

    def add(self, channel: Channel, time: int, event: Event, epoch: str | None = None, seq: int | None = None) -> None:
        self.waiting.append((channel, time, event, epoch, seq))
        if len(self.waiting) > self.room:
            del self.waiting[0]
            self.lost += 1

    def flush(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.flushes.append(trio.current_time())
        self.rows += self.waiting
        self.written += len(self.waiting)
        self.waiting.clear()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self.lost += len(self.waiting)
            self.waiting.clear()

    @property
    def numbers(self) -> list[int | None]:
        return [row[-1] for row in self.rows]


FULL = RecordingError("cannot write r/dataset=SIP/channel=quotes: No space left on device; 3 rows wait")


class Bench:
    """A recorder between scripted connections and a sink."""

    def __init__(
        self,
        lines: Iterable[Line | Exception],
        *,
        requests: Sequence[Subscribe] = (REQUEST,),
        connect: Connect | None = None,
        reconnect: bool = True,
    ) -> None:
        self.told: list[str] = []
        self.sink = Sink()
        self.refusal: Exception | None = None
        self.opened: list[tuple[str, AssetClass]] = []
        self.connected_at: list[float] = []
        self.wall_clock: Callable[[], int] = virtual_wall_clock
        self._lines = iter(lines)
        self.tally = Tally(self.told.append)
        config = RecorderConfig(
            connect=connect or self._connect,
            requests=requests,
            open_sink=self._open,
            reconnect=reconnect,
            wall_clock=lambda: self.wall_clock(),
            random=lambda: 1.0,
        )
        self.recorder = Recorder(config, self.tally)

    async def run(self, seconds: float = math.inf) -> None:
        self.recorder.reading.deadline = trio.current_time() + seconds
        await self.recorder.run()

    def _open(self, dataset: str, asset_class: AssetClass) -> Sink:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append((dataset, asset_class))
        return self.sink

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Line]:
        await trio.lowlevel.checkpoint()
        self.connected_at.append(trio.current_time())
        line = next(self._lines)
        if isinstance(line, Exception):
            raise line
        try:
            yield line
        finally:
            line.closed = True


def connected(unit: str = "ns", interval: float = 10.0) -> dict[str, Any]:
    return {
        "type": "connected", "connectionId": "c1", "protocol": 1, "timestampUnit": unit,
        "heartbeatInterval": interval, "heartbeatTimeout": 30, "datasets": [], "limits": {}, "timestamp": 1,
    }  # fmt: skip


def subscribed(epoch: str = "e1", **changes: Any) -> dict[str, Any]:
    positions: dict[str, dict[str, int]] = {"quotes": {}, "trades": {}}
    return {
        "type": "subscribed", "id": "record-0", "dataset": "SIP", "assetClass": "stocks",
        "channels": ["quotes", "trades"], "symbols": ["*"], "epoch": epoch, "total": 0,
        "positions": positions, **changes,
    }  # fmt: skip


def refused(code: str = "UNKNOWN_DATASET", *, retryable: bool = False, **changes: Any) -> dict[str, Any]:
    fields = {"type": "error", "code": code, "message": "use another", "retryable": retryable, "id": "record-0"}
    return {**fields, **changes}


def data(seq: int, event: Event | None = None, **changes: Any) -> dict[str, Any]:
    return {**Codec().data_dict(event or quote("AAPL", seq), "SIP", "stocks", seq), **changes}


def good(*messages: dict[str, Any], epoch: str = "e1", **changes: Any) -> Line:
    """A connection that has just been subscribed, and said these messages."""
    return Line(connected(), subscribed(epoch, **changes), *messages)


def at(quotes: int) -> dict[str, Any]:
    """What a subscription begins behind."""
    return {"positions": {"quotes": {"AAPL": quotes}, "trades": {}}}
