"""What commands that follow a feed say on stderr: its states, its gaps, its warnings; much in few lines. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from datafye_trio.cli.text import one_line
from datafye_trio.client import FeedState, StateChange
from datafye_trio.model import Gap

__all__ = ["GapTeller", "StateTeller", "warnings_to"]

_SHOWN: Final = 3
_TEXT: Final = 500
_AGAIN_SECONDS: Final = 60.0
_LOGGER: Final = "datafye_trio"


class StateTeller:
    """A feed's states in words."""

    def __init__(self) -> None:
        self._was_live = False
        self._why: str | None = None
        self._said_at = 0.0

    def words(self, change: StateChange) -> str | None:
        """What there is to say of a change, where there is something."""
        match change.state:
            case FeedState.LIVE:
                words = "connected again" if self._was_live else "connected"
                self._was_live, self._why = True, None
                return words
            case FeedState.DISCONNECTED:
                again = "" if change.retry_in is None else f": trying again in {change.retry_in:.1f} s"
                return one_line(f"{change.why}{again}", _TEXT)
            case _:
                return None

    def is_news(self, change: StateChange) -> bool:
        """Whether to say it again. What stays the same is, once a minute: a server may be down for a night."""
        if change.state is FeedState.DISCONNECTED:
            if change.why == self._why and change.time < self._said_at + _AGAIN_SECONDS:
                return False
            self._why, self._said_at = change.why, change.time
        return True


class GapTeller:
    """Says each gap, but never more than a few at a time: a market that is gone for a minute can have thousands.

    Attributes:
        gaps: how many there were; missing: the messages that are known to be lost in them.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.gaps = self.missing = 0
        self._tell = tell
        self._untold: list[Gap] = []
        self._told = 0

    def take(self, gaps: Sequence[Gap]) -> None:
        """These have come."""
        self.gaps += len(gaps)
        self.missing += sum(gap.size for gap in gaps)
        self._untold += gaps[: max(0, _SHOWN - len(self._untold))]

    def tell(self) -> None:
        """Say what has come since the last call."""
        for gap in self._untold:
            self._tell(one_line(str(gap)))
        if more := self.gaps - self._told - len(self._untold):
            self._tell(f"and {more:,} more gaps; {self.missing:,} messages are missing so far")
        self._told = self.gaps
        self._untold.clear()


class _Warnings(logging.Handler):
    """Hands on what the client warns of, but for lost connections, which its states tell, too."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._say = tell

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        fields = vars(record)
        if "retry_in" not in fields:
            why = f": {fields['why']}" if "why" in fields else ""
            self._say(one_line(f"{record.getMessage()}{why}", _TEXT))


@contextmanager
def warnings_to(tell: Callable[[str], object]) -> Iterator[None]:
    """Say the warnings of the client library in this command's own words, while the body runs."""
    logger, handler = logging.getLogger(_LOGGER), _Warnings(tell)
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
