"""A real `record` process, killed (SIGKILL) while it records: what is on disk opens, and lacks at most a second."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import polars
import pytest
import trio
from processes import rows_in
from support import quote, trade

from datafye_trio import Program, Server, ServerConfig, open_server
from datafye_trio.recordings.inspecting import inspect_folder

KILLS = 3
"""Raise it (50, say) for a longer hunt: each takes some two seconds."""
LATEST = 1.2
"""Seconds of recording before a kill, at most: the kills are spread over them, each somewhere in a part of its own."""
WAIT = 30
SECOND = 10**9
PAUSE = 0.02
EACH = 20
"""Of quotes and of trades, each pause: 2,000 messages a second."""
SYMBOLS = ("AAPL", "MSFT")
CHANNELS = {"channel=quotes": (quote, "bid_price"), "channel=trades": (trade, "price")}
"""By folder: what makes the n-th event, and a column that tells which one it is."""


@asynccontextmanager
async def market() -> AsyncIterator[Server]:
    """A server whose n-th quote and n-th trade of each symbol tell that they are the n-th."""

    async def publish() -> None:
        number = 0
        while True:
            batch = range(number + 1, number + EACH // len(SYMBOLS) + 1)
            await server.publish([make(symbol, n) for n in batch for symbol in SYMBOLS for make in (quote, trade)])
            number = batch[-1]
            await trio.sleep(PAUSE)

    with trio.fail_after(WAIT + 5 * KILLS):
        async with open_server(ServerConfig(port=0), [Program("SIP")]) as server, trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            yield server
            nursery.cancel_scope.cancel()


def parts(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.parquet")}


@attrs.define
class Life:
    """A process until it is killed: what it wrote, and when it and this one had no processor though they could run.

    This one sends what is recorded, and kills. On a busy machine a second of time is less than a second of theirs.
    """

    written: set[Path] = attrs.Factory(set)
    waits: list[tuple[int, int]] = attrs.Factory(list)
    """Pairs of a time and what both have waited until then, in nanoseconds; the last is of the kill."""

    def note(self, pid: int) -> None:
        told = [Path(f"/proc/{one}/schedstat") for one in (pid, os.getpid())]
        waited = sum(int(path.read_text().split()[1]) for path in told if path.is_file())  # 0 where nobody tells it
        self.waits.append((time.time_ns(), waited))

    async def keep_noting(self, pid: int) -> None:
        while True:
            self.note(pid)
            await trio.sleep(PAUSE)

    def ran_since(self, moment: int) -> int:
        """The nanoseconds from then to the kill, without those of waiting."""
        (killed, in_all) = self.waits[-1]
        before = max((waited for at, waited in self.waits if at <= moment), default=0)
        return killed - moment - (in_all - before)


async def record_and_kill(url: str, folder: Path, seconds: float) -> Life:
    """Kill it so long after its first files are there."""
    before = parts(folder).keys()
    life = Life()
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "datafye_trio", "record", url, str(folder)], stderr=subprocess.DEVNULL
        )
        nursery.start_soon(life.keep_noting, process.pid)
        while {path.parent.parent.name for path in parts(folder).keys() - before} != set(CHANNELS):
            assert process.poll() is None
            await trio.sleep(0.05)
        await trio.sleep(seconds)
        process.kill()
        life.note(process.pid)
        nursery.cancel_scope.cancel()
    await process.wait()
    life.written = parts(folder).keys() - before
    return life


def check(channel: str, life: Life) -> None:
    """What one process wrote of a channel: the events as sent, without a hole, up to a second before its end."""
    files = sorted(path for path in life.written if path.parent.parent.name == channel)
    rows = rows_in(files)
    assert rows["time"].is_sorted()
    assert life.ran_since(rows["time"].max()) <= SECOND
    make, price = CHANNELS[channel]
    for (symbol,), own in rows.group_by("symbol", maintain_order=True):
        numbers = own["seq"].to_list()
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert own[price].to_list() == [getattr(make(symbol, n), price) for n in numbers]
    assert rows["symbol"].n_unique() == len(SYMBOLS)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no SIGKILL")
async def test_a_kill_at_any_moment_costs_at_most_the_last_second(tmp_path: Path) -> None:
    """All in one folder: each process finds what the one killed before it has left, and does not touch it.

    What was sent between a kill and the next start is missing, and `inspect` says exactly that.
    """
    moments = random.Random(3)
    folder = tmp_path / "recording"
    async with market() as server:
        for kill in range(KILLS):
            old = parts(folder)
            life = await record_and_kill(server.url, folder, LATEST * (kill + moments.random()) / KILLS)
            assert old.items() <= parts(folder).items()
            for channel in CHANNELS:
                check(channel, life)
    report = inspect_folder(folder)
    assert report.broken == ()
    for channel in report.channels:
        found = polars.scan_parquet(folder / "dataset=SIP" / f"channel={channel.channel}", hive_partitioning=True)
        ends = found.group_by("symbol").agg(sent=polars.col("seq").max() - polars.col("seq").min() + 1).collect()
        assert channel.gaps == (KILLS - 1) * len(SYMBOLS)
        assert channel.rows + channel.missing == ends["sent"].sum()
    assert [channel.channel for channel in report.channels] == ["quotes", "trades"]
