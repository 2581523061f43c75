"""`bench` on servers in memory by virtual clocks; messages as a server writes them, and an intake that takes them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from support import START_NS, trade, virtual_wall_clock

from datafye_trio import Server
from datafye_trio.cli.bench import BenchFlags, config_from, run
from datafye_trio.cli.bench_client import Wanted
from datafye_trio.cli.bench_intake import BenchIntake, Gauge
from datafye_trio.cli.bench_load import LoadConfig
from datafye_trio.cli.bench_topics import Topics
from datafye_trio.wire.client import ClientOptions

URL = "ws://test"
Dial = Callable[[], Awaitable[trio.abc.Stream]]
FIELDS = {
    "trade": {"exchangeTimestamp": START_NS, "tradePrice": 1.5, "tradeSize": 1, "exchangeID": "XNAS", "tradeID": "1"},
    "halt": {"timestamp": START_NS, "reason": "LULD"},
    "ohlc": {"frequency": "Minute", "datetime": START_NS, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1,
             "count": 1, "vwap": 1, "final": True},
}  # fmt: skip


def data(seq: int, kind: str = "trade", symbol: str = "AAPL", **more: Any) -> bytes:
    """A data message."""
    head = {"type": kind, "dataset": "Program", "assetClass": "stocks", "seq": seq, "symbol": symbol}
    return json.dumps({**head, **FIELDS.get(kind, {}), **more}).encode()


def subscribed(channel: str = "trades", number: int = 1, **more: Any) -> bytes:
    """An answer; `positions=None` leaves the positions out."""
    fields = {
        "type": "subscribed", "dataset": "Program", "assetClass": "stocks", "channels": [channel],
        "symbols": ["AAPL"], "epoch": "e1", "total": 1, "id": number, "positions": {channel: {"AAPL": 0}}, **more,
    }  # fmt: skip
    return json.dumps({key: value for key, value in fields.items() if value is not None}).encode()


def gap(**more: Any) -> bytes:
    """A gap that the server tells."""
    fields = {"type": "gap", "dataset": "Program", "assetClass": "stocks", "channel": "trades", "symbol": "AAPL",
              "epoch": "e1", "reason": "slow_consumer"}  # fmt: skip
    return json.dumps({**fields, **more}).encode()


def intake(*, star: bool = False, shared: bool = True, gauge: Gauge | None = None) -> BenchIntake:
    """An intake; its clock stands at a second after the stamps."""
    return BenchIntake(gauge or Gauge(lambda: START_NS + 10**9, Topics(shared=shared)), star=star)


def load(dial: Dial, **flags: Any) -> LoadConfig:
    """What the flags say, on a server in memory, by virtual clocks; this process works half of the time."""
    config = config_from(URL, BenchFlags(**{"clients": 3, "channels": ("trades",), "symbols": ("AAPL",), **flags}))
    return LoadConfig(
        wanted=Wanted(config.wanted.url, ClientOptions(open_stream=dial), config.wanted.wish),
        clients=config.clients,
        connect_rate=config.connect_rate,
        warmup=config.warmup,
        seconds=config.seconds,
        wall_clock=virtual_wall_clock,
        cpu_clock=lambda: trio.current_time() / 2,
    )


def dialling(server: Server) -> Dial:
    """Connects to a server in memory."""

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return server.connect()

    return dial


class Bench:
    """`run` and its output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.code: int | None = None
        self.out = self.err = ""
        self._capsys = capsys

    async def run(self, config: LoadConfig, *, as_json: bool = False) -> None:
        self.code = await run(URL, config, as_json)
        self.out, self.err = self._capsys.readouterr()

    @property
    def found(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


async def publish(server: Server, seconds: int, late: float = 0.25) -> None:
    """Four trades a second, each stamped `late` seconds before it is published."""
    for _ in range(4 * seconds):
        await server.publish(trade("AAPL", round((trio.current_time() - late) * 1e9)))
        await trio.sleep(0.25)
