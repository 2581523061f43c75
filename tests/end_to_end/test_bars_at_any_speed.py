"""Bars of a real recording, over the wire: the same at any speed, and the same as folded offline."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import attrs
import pytest
from support import RawClient, memory_server
from trio.testing import MockClock

from datafye_trio import AssetClass, Bar, Replay, ReplayConfig, Trade, default_aggregation, fold_trades

FREQUENCIES = ("Second", "Minute", "Hour", "Day")
FIELDS = tuple(field.name for field in attrs.fields(Bar) if field.name != "revision")


def folded_offline(path: Path) -> list[tuple[Any, ...]]:
    """The bars of a trade file, read independently of the package's own reader."""
    with gzip.open(path, "rt", newline="") as file:
        trades = [
            Trade(row["symbol"], int(row["ts_ns"]), float(row["price"]), float(row["size"]))
            for row in csv.DictReader(file)
        ]
    return [
        tuple(getattr(bar, name) for name in FIELDS)
        for bar in fold_trades(trades, default_aggregation("Crypto"), AssetClass.CRYPTO)
    ]


async def over_the_wire(folder: Path, speed: float, count: int) -> list[tuple[Any, ...]]:
    """The bars that a client of all four frequencies gets, in the order they come."""
    config = ReplayConfig(folder, "Crypto", speed=speed, wait_for_client=4)
    async with memory_server(None, [Replay(config)]) as server:
        client = await RawClient.connect(server, "/datafye-ws/v1/crypto/live/aggs")
        for frequency in FREQUENCIES:
            await client.send(action="subscribe", symbols=["BTCUSDT"], frequency=frequency)
        bars: list[tuple[Any, ...]] = []
        while len(bars) < count:
            message = await client.message()
            if message["type"] == "heartbeat":
                await client.send(action="pong")
            elif message["type"] == "ohlc":
                assert "revision" not in message
                bars.append(tuple(message["datetime" if name == "start" else name] for name in FIELDS))
    return bars


@pytest.mark.parametrize("speed", [100.0, inf])
async def test_bars_are_the_same_at_any_speed_as_folded_offline(
    speed: float, sample: Callable[[str], Path], autojump_clock: MockClock
) -> None:
    folder = sample("crypto_btcusdt_binance_spot_20240808")
    expected = folded_offline(folder / "trades.csv.gz")
    assert {bar[1] for bar in expected} == set(FREQUENCIES)
    assert await over_the_wire(folder, speed, len(expected)) == expected
