"""How far a recording is, on stderr: one line that is drawn again in a terminal, else a line every 10 s."""

from __future__ import annotations

import sys
from typing import Final

import trio
from rich.live import Live
from rich.text import Text

from datafye_trio.cli.intake import Tally
from datafye_trio.cli.recorder import Recorder
from datafye_trio.cli.text import Screen, say

__all__ = ["show_progress", "summary"]

_REDRAW: Final = 0.5
_LINE: Final = 10.0


async def show_progress(recorder: Recorder, tally: Tally) -> None:
    """Show it until cancelled. Lines that others write to stderr meanwhile stand above it."""
    if not sys.stderr.isatty():
        rows = 0
        while True:
            await trio.sleep(_LINE)
            say(_line(recorder, tally, (tally.rows - rows) / _LINE))
            rows = tally.rows
    # Transient: the summary takes its place.
    with Live(console=Screen(stderr=True, highlight=False), auto_refresh=False, transient=True) as live:
        rows, before = tally.rows, trio.current_time()
        while True:
            await trio.sleep(_REDRAW)
            now = trio.current_time()
            line = _line(recorder, tally, (tally.rows - rows) / (now - before))
            live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            rows, before = tally.rows, now


def summary(recorder: Recorder, tally: Tally, seconds: float) -> str:
    """The last line: what there is now."""
    written, lost = (0, 0) if recorder.sink is None else (recorder.sink.written, recorder.sink.lost)
    return (
        f"recorded {written:,} rows of {len(tally.symbols):,} symbols in {seconds:,.1f} s: "
        f"{_gaps(tally)}, {lost:,} lost, {_bytes(tally.bytes)} received"
    )


def _line(recorder: Recorder, tally: Tally, rate: float) -> str:
    lost = 0 if recorder.sink is None else recorder.sink.lost
    age = "nothing on disk yet"
    if recorder.flushed_at is not None:
        age = f"on disk {trio.current_time() - recorder.flushed_at:.1f} s ago"
    return (
        f"{tally.rows:,} rows  {rate:,.0f} rows/s  {len(tally.symbols):,} symbols  {_gaps(tally)}  {lost:,} lost  "
        f"{_bytes(tally.bytes)}  {age}"
    )


def _gaps(tally: Tally) -> str:
    missing = f" ({tally.missing:,} messages missing)" if tally.missing else ""
    unreadable = f", {tally.unreadable:,} unreadable" if tally.unreadable else ""
    return f"{tally.gaps:,} gap{'' if tally.gaps == 1 else 's'}{missing}{unreadable}"


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:,.0f} B" if units[0] == "B" else f"{size:,.1f} {units[0]}"
