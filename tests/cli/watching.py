"""`watch` in a task of a test, a server for it, and what it wrote."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from datafye_trio import Aggregation, Program, Server, ServerConfig, every_trade, open_server
from datafye_trio.cli.watch import WatchFlags, run

WAIT = 30


@asynccontextmanager
async def server(**settings: object) -> AsyncIterator[Server]:
    with trio.fail_after(WAIT):
        source = Program(symbols=frozenset({"AAPL", "MSFT"}), aggregation=Aggregation(every_trade))
        async with open_server(ServerConfig(**{"port": 0, **settings}), [source]) as one:
            yield one


class Pipe:
    """Stands in for sys.stdout. Not capfd: reading that loses what is written in the same moment."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._writing

    def read(self) -> str:
        try:
            return os.read(self._reading, 1_000_000).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


class Watch:
    """`run` in a task, and what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.code: int | None = None
        self.out = self.err = ""
        self.stdout = Pipe()
        self._capsys = capsys
        self._patch = patch

    async def run(self, url: str, **flags: object) -> None:
        with self._patch.context() as patch:
            patch.setattr(sys, "stdout", self.stdout)
            self.code = await run(url, WatchFlags(**flags))
        self.err = self._capsys.readouterr().err
        self.out += self.stdout.read()

    async def lines(self, count: int) -> None:
        """Wait until so many lines are on stdout."""
        while self.out.count("\n") < count:
            await trio.testing.wait_all_tasks_blocked()
            self.out += self.stdout.read()

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


class MemoryOutput:
    """Stands in for stdout where time is virtual: keeps each block that is written."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.failure: OSError | None = None
        self.stuck: trio.Event | None = None
        self.closed = trio.Event()

    @property
    def lines(self) -> list[bytes]:
        return b"".join(self.blocks).splitlines()

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.stuck is not None:
            await self.stuck.wait()
        if self.failure is not None:
            raise self.failure
        self.blocks.append(data)

    async def gone(self) -> None:
        await self.closed.wait()


async def subscribed(one: Server, topics: int) -> None:
    """Wait until so many topics have a subscriber (a `*` is one until the first symbol appears)."""
    await one._broker.datasets["Program"].wait_subscribed(topics)
