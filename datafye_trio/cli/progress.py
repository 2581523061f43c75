"""How far a recording is, on stderr: one line that is drawn again in a terminal, else a line every 10 s."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

import trio
from rich.live import Live
from rich.text import Text

from datafye_trio.cli.recorder import Recorder
from datafye_trio.cli.tally import Tally
from datafye_trio.cli.text import Screen, say

__all__ = ["show_progress", "summary"]

_REDRAW: Final = 0.5
_LINE: Final = 10.0


async def show_progress(recorder: Recorder, tally: Tally) -> None:
    """Show it until cancelled, or until nobody can see it. Lines that others write to stderr stand above it."""
    if not sys.stderr.isatty():
        rows = 0
        while True:
            await trio.sleep(_LINE)
            say(_line(recorder, tally, (tally.rows - rows) / _LINE))
            rows = tally.rows
    # Transient: the summary takes its place. A terminal that is gone must not end the recording.
    screen = Screen(stderr=True, highlight=False)
    with suppress(OSError), Live(console=screen, auto_refresh=False, transient=True) as live:
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
        f"recorded {_count(written, 'row')} of {_count(len(tally.symbols), 'symbol')} in {seconds:,.1f} s: "
        f"{_gaps(tally)}, {lost:,} lost"
    )


def _line(recorder: Recorder, tally: Tally, rate: float) -> str:
    lost = 0 if recorder.sink is None else recorder.sink.lost
    age = "nothing on disk yet"
    if recorder.flushed_at is not None:
        age = f"disk {trio.current_time() - recorder.flushed_at:.1f} s ago"
    return (
        f"{_count(tally.rows, 'row')}  {rate:,.0f}/s  {_count(len(tally.symbols), 'symbol')}  {_gaps(tally)}  "
        f"{lost:,} lost  {age}"
    )


def _gaps(tally: Tally) -> str:
    gaps = tally.gaps
    missing = f" ({_count(gaps.missing, 'message')} missing)" if gaps.missing else ""
    unreadable = f", {tally.unreadable:,} unreadable" if tally.unreadable else ""
    return f"{_count(gaps.gaps, 'gap')}{missing}{unreadable}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
