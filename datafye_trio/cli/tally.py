"""What has happened to a recording so far, counted, and said in few lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from datafye_trio.cli.telling import GapTeller
from datafye_trio.cli.text import one_line
from datafye_trio.errors import SubscriptionError

__all__ = ["Tally"]


class Tally:
    """See the module.

    Attributes:
        rows: events taken; symbols: theirs.
        gaps: what was lost of topics.
        unreadable: events that could not be recorded.
        tell: takes a line for people.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.rows = 0
        self.symbols: set[str] = set()
        self.gaps = GapTeller(tell)
        self.unreadable = 0
        self.tell = tell
        self._refused: set[str] = set()

    def puzzle(self, why: str) -> None:
        """Something is left out; only the first is said."""
        if not self.unreadable:
            self.tell(f"an event is left out (later ones are only counted): {one_line(why)}")
        self.unreadable += 1

    def refuse(self, refusals: Iterable[SubscriptionError]) -> None:
        """The server has refused these: each is said once, though every channel is asked for by itself."""
        for text in map(str, refusals):
            if text not in self._refused:
                self._refused.add(text)
                self.tell(one_line(text, 500))
