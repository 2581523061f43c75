"""Where `watch` shows what comes: a live table, or JSON lines on stdout. A view ends when nobody looks any more."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Final, Protocol

import trio
from rich.console import Console
from rich.live import Live

from datafye_trio.cli.table import Board
from datafye_trio.cli.text import one_line, say
from datafye_trio.protocol import Data, ErrorReply, Gap, Message

__all__ = ["LinesView", "TableView", "View"]

_REFRESH: Final = 0.25
_LINES: Final = 4_096
"""Lines that may wait for whoever reads stdout; with more, nothing is read from the server, which then cuts us off."""
_LAST_SECONDS: Final = 1.0


class View(Protocol):
    """Where messages go."""

    def status(self, text: str) -> None:
        """How the connection fares."""

    async def take(self, text: str, message: Message | Data) -> None:
        """A message, and the text of its frame. Cancel-safe."""

    async def run(self) -> None:
        """Show what was taken, until `finish`; returns before that where nobody looks any more.

        Raises:
            OSError: it cannot be shown for another reason, such as a full disk.
        """

    async def finish(self) -> None:
        """Show what is left, within a second."""


class TableView:
    """A table in a terminal, drawn a few times a second however many messages come."""

    def __init__(self, url: str, console: Console) -> None:
        self._board = Board(url, trio.current_time())
        self._console = console
        self._finished = trio.Event()
        self._ended = trio.Event()

    def status(self, text: str) -> None:
        """Shown below the table."""
        self._board.status = text

    async def take(self, _: str, message: Message | Data) -> None:
        """Kept for the next refresh."""
        self._board.take(message)

    async def run(self) -> None:
        """Draw until `finish`."""
        with suppress(BrokenPipeError), Live(console=self._console, auto_refresh=False) as live:
            while not self._finished.is_set():
                self._draw(live)
                with trio.move_on_after(_REFRESH):
                    await self._finished.wait()
            self._draw(live)
        self._ended.set()

    async def finish(self) -> None:
        """Draw once more, and give the cursor back."""
        self._finished.set()
        with trio.move_on_after(_LAST_SECONDS):
            await self._ended.wait()

    def _draw(self, live: Live) -> None:
        self._board.mark(trio.current_time())
        live.update(self._board.render(self._console.width, self._console.height), refresh=True)


class LinesView:
    """One line an event to a file descriptor: data, gaps and errors, as they came."""

    def __init__(self, url: str, descriptor: int) -> None:
        self._url = url
        self._descriptor = descriptor
        self._send, self._receive = trio.open_memory_channel[str](_LINES)
        self._ended = trio.Event()

    def status(self, text: str) -> None:
        """On stderr, since stdout is for events."""
        say(one_line(f"{self._url}: {text}"))

    async def take(self, text: str, message: Message | Data) -> None:
        """Waits for whoever reads stdout."""
        if not isinstance(message, Data | Gap | ErrorReply):
            return
        if "\n" in text or "\r" in text:  # allowed between JSON's tokens, but then it is no line
            text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
        with suppress(trio.BrokenResourceError):  # nobody reads: the run ends
            await self._send.send(text)

    async def run(self) -> None:
        """Write until `finish`, all that has come at once."""
        try:
            async with self._receive:
                async for line in self._receive:
                    lines = [line]
                    with suppress(trio.WouldBlock, trio.EndOfChannel):
                        while True:
                            lines.append(self._receive.receive_nowait())
                    data = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
                    # In a thread: a pipe that is full must not keep us from answering Ctrl-C.
                    await trio.to_thread.run_sync(_write, self._descriptor, data, abandon_on_cancel=True)
        except BrokenPipeError:
            pass
        finally:
            self._ended.set()

    async def finish(self) -> None:
        """Write what waits."""
        self._send.close()
        with trio.move_on_after(_LAST_SECONDS):
            await self._ended.wait()


def _write(descriptor: int, data: bytes) -> None:
    """Past Python's own buffer, whose lock a thread that is stuck here would keep at exit."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
