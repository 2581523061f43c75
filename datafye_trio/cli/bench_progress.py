"""How far a load is, on stderr: one line that is drawn again in a terminal, else a line every 10 s."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

import trio
from rich.live import Live
from rich.text import Text

from datafye_trio.cli.bench_load import Load
from datafye_trio.cli.text import Screen, say

__all__ = ["show_progress"]

_REDRAW: Final = 1.0
_LINE: Final = 10.0


async def show_progress(load: Load) -> None:
    """Show it until cancelled, or until nobody can see it."""
    line = _Line(load)
    if not sys.stderr.isatty():
        while True:
            await trio.sleep(_LINE)
            say(line.text())
    # Transient: the table takes its place. A terminal that is gone must not end the load.
    screen = Screen(stderr=True, highlight=False)
    with suppress(OSError), Live(console=screen, auto_refresh=False, transient=True) as live:
        while True:
            await trio.sleep(_REDRAW)
            live.update(Text(line.text(), no_wrap=True, overflow="ellipsis"), refresh=True)


class _Line:
    """Says what has changed since it was last asked."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._messages = 0
        self._time = trio.current_time()

    def text(self) -> str:
        load, now = self._load, trio.current_time()
        messages = load.messages
        rate = (messages - self._messages) / (now - self._time) if now > self._time else 0.0
        self._messages, self._time = messages, now
        alive = sum(not client.ended and client.handshake is not None for client in load.clients)
        missing = sum(client.intake.totals.missing for client in load.clients)
        left = "" if (seconds := load.seconds_left) is None else f", {seconds:,.0f} s left"
        return (
            f"{load.phase}{left}  {alive:,} of {load.config.clients:,} clients  {rate:,.0f} msg/s  {missing:,} missing"
        )
