"""The loops that peers run on: asyncio's own, uvloop and Trio, each with stdin as lines and a way to its end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from benchmark.serving import Loop, open_files

__all__ = ["TrioLines", "on_asyncio", "on_trio", "on_uvloop"]

Serve: TypeAlias = Callable[[Loop], Awaitable[None]]
"""Serves until stdin ends, and returns; what still runs then is cancelled."""


class TrioLines:
    """The lines of stdin, on Trio."""

    def __init__(self) -> None:
        self._stream = trio.lowlevel.FdStream(os.dup(0))
        self._rest = b""

    async def next(self) -> bytes:
        """The next one, empty at the end. Cancel-safe."""
        while b"\n" not in self._rest:
            data = await self._stream.receive_some()
            if not data:
                return b""
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line + b"\n"


def on_trio(serve: Serve) -> None:
    """Run on Trio."""
    open_files()

    async def main() -> None:
        await serve(Loop(TrioLines().next, trio.sleep))

    trio.run(main)


def on_asyncio(serve: Serve) -> None:
    """Run on asyncio's own loop."""
    open_files()
    asyncio.run(_with_stdin(serve))


def on_uvloop(serve: Serve) -> None:
    """Run on uvloop, asyncio's loop in C."""
    import uvloop  # type: ignore[import-not-found, unused-ignore]

    open_files()
    uvloop.run(_with_stdin(serve))


async def _with_stdin(serve: Serve) -> None:
    reader = asyncio.StreamReader()
    # Not a thread: one that waits for a line would keep a process alive that was told to stop.
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await serve(Loop(reader.readline, asyncio.sleep))
