"""Stand-ins for `record`: servers in memory that come and go, and a recording in memory that can fail."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from support import quote, virtual_wall_clock

from datafye_trio import Program, Server, ServerConfig, Source, open_server
from datafye_trio.cli.recorder import Recorder, RecorderConfig
from datafye_trio.cli.tally import Tally
from datafye_trio.client import FeedConfig, Reconnect, open_feed
from datafye_trio.client.options import Wish
from datafye_trio.errors import ConnectError, RecordingError
from datafye_trio.model import AssetClass, Channel, Event, Frequency

TICKS = Wish((Channel.QUOTES, Channel.TRADES), ("*",), Frequency.MINUTE)


@asynccontextmanager
async def market(
    epoch: str = "e1", sources: Sequence[Source] = (), config: ServerConfig | None = None
) -> AsyncIterator[Server]:
    """A server of one life; its dataset `SIP` takes what a test publishes, unless sources are given."""
    async with open_server(
        config or ServerConfig(),
        sources or [Program("SIP")],
        listen=False,
        wall_clock=virtual_wall_clock,
        new_epoch=lambda: epoch,
    ) as server:
        yield server


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
    """A recorder between a server, which may change between two connections (None: nobody is there), and a sink."""

    def __init__(self, server: Server | None, *, wishes: Sequence[Wish] = (TICKS,), reconnect: bool = True) -> None:
        self.told: list[str] = []
        self.sink = Sink()
        self.server = server
        self.refusal: Exception | None = None
        self.opened: list[tuple[str, AssetClass]] = []
        self.streams: list[trio.abc.Stream] = []
        self.wall_clock: Callable[[], int] = virtual_wall_clock
        self.tally = Tally(self.told.append)
        comes_back = Reconnect() if reconnect else Reconnect(attempts=0)
        config = RecorderConfig(
            opening=open_feed("ws://test", FeedConfig(open_stream=self._dial, reconnect=comes_back)),
            wishes=wishes,
            open_sink=self._open,
            wall_clock=lambda: self.wall_clock(),
        )
        self.recorder = Recorder(config, self.tally)

    async def run(self, seconds: float = math.inf) -> None:
        self.recorder.reading.deadline = trio.current_time() + seconds
        await self.recorder.run()

    async def cut(self, server: Server | None) -> None:
        """End the connection once all that was sent has come; the next one is to this server."""
        await trio.testing.wait_all_tasks_blocked()
        self.server = server
        await self.streams[-1].aclose()

    def _open(self, dataset: str, asset_class: AssetClass) -> Sink:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append((dataset, asset_class))
        return self.sink

    async def _dial(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.server is None:
            raise ConnectError("nobody there")
        self.streams.append(self.server.connect())
        return self.streams[-1]


def quotes(first: int, last: int, symbol: str = "AAPL") -> list[Event]:
    """The quotes of a symbol whose `seq` will be these."""
    return [quote(symbol, number) for number in range(first, last + 1)]


@asynccontextmanager
async def recording(bench: Bench, seconds: float = math.inf) -> AsyncIterator[Any]:
    """A bench that records while the body runs, which begins a second after it; waits for its end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, seconds)
        await trio.sleep(1)
        yield nursery
        if seconds == math.inf:
            await trio.testing.wait_all_tasks_blocked()
            bench.recorder.stop()
