"""How far a strategy is, on stderr: one line that is drawn again in a terminal, else a line every 10 s; and the end."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import attrs
from rich.live import Live
from rich.text import Text

from datafye_trio.cli.text import Screen, say
from datafye_trio.protocol import format_time

__all__ = ["RunView", "Standing", "summary"]

_LINE: Final = 10.0
_MINUTE: Final = 60.0
_TO_SECONDS: Final = 19
"""Characters of a time in ISO 8601 up to its seconds."""


@attrs.frozen
class Standing:
    """How far a run is.

    Attributes:
        began, now: market time in nanoseconds since 1970 UTC, at the first event and at the newest.
        events: those of the recording that were played; on a server, those that the strategy took.
        seconds: real ones since the start.
        gaps, missing: of all its subscriptions; and the messages known to be lost in them.
        dropped: what it has asked its subscriptions to drop where it reads too slowly.
    """

    began: int = 0
    now: int = 0
    events: int = 0
    seconds: float = 0.0
    gaps: int = 0
    missing: int = 0
    dropped: int = 0

    @property
    def market_seconds(self) -> float:
        """Market time that has passed."""
        return (self.now - self.began) / 1e9


class RunView:
    """Where a run shows how far it is: enter it, then `show`. Quiet, it shows nothing. A terminal may go away."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Live | None = None
        self._last = Standing()
        self._due = _LINE

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            # Else what the strategy prints would go to the terminal with the line, though stdout is a file.
            prints_beside = sys.stdout.isatty()
            screen = Screen(stderr=True, highlight=False)
            self._live = Live(console=screen, auto_refresh=False, transient=True, redirect_stdout=prints_beside)
            with suppress(OSError):
                self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()

    def tell(self, text: str) -> None:
        """A line for people."""
        if not self._quiet:
            say(text)

    def show(self, standing: Standing) -> None:
        """So far; to be called about twice a second of real time."""
        if self._live is not None:
            with suppress(OSError):
                self._live.update(Text(self._line(standing), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif standing.seconds >= self._due:
            self._due = standing.seconds + _LINE
            self.tell(self._line(standing))
        else:
            return
        self._last = standing

    def _line(self, standing: Standing) -> str:
        """Rates are those since the line before."""
        last = self._last if self._last.events else Standing(began=standing.began, now=standing.began)
        seconds = max(standing.seconds - last.seconds, 1e-9)
        speed = (standing.now - last.now) / 1e9 / seconds
        rate = (standing.events - last.events) / seconds
        return (
            f"{format_time(standing.now)[:_TO_SECONDS]}Z  {_count(standing.events, 'event')}  {rate:,.0f}/s  "
            f"{_times(speed)} real time  {_gaps(standing)}"
        )


def summary(how: str, standing: Standing) -> str:
    """The last line: how it ended, and what it was."""
    seconds = max(standing.seconds, 1e-9)
    return (
        f"{how}: {_count(standing.events, 'event')}, {_span(standing.market_seconds)} of market time in "
        f"{standing.seconds:,.2f} s ({_times(standing.market_seconds / seconds)} real time, "
        f"{standing.events / seconds:,.0f} events/s), {_gaps(standing)}"
    )


def _gaps(standing: Standing) -> str:
    missing = f" ({_count(standing.missing, 'message')} missing)" if standing.missing else ""
    dropped = f", {standing.dropped:,} dropped" if standing.dropped else ""
    return f"{_count(standing.gaps, 'gap')}{missing}{dropped}"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _MINUTE else str(timedelta(seconds=round(seconds)))


def _times(factor: float) -> str:
    return f"{factor:,.0f} times" if factor >= 10 else f"{factor:.1f} times"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
