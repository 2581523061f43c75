"""Text that came from elsewhere, made harmless for a terminal, a log or one line."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn, TextIO

from rich.console import Console

__all__ = ["MAX_PEER_TEXT", "Screen", "discard", "one_line", "open_missing", "printable", "say"]

MAX_PEER_TEXT: Final = 200
"""The most characters of one peer's text that are shown: nobody may fill a log with one message."""


class Screen(Console):
    """A console of rich that says when nobody reads it: rich's own would end the process with code 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Go on with the error; called while it is handled."""
        raise BrokenPipeError


def printable(text: str) -> str:
    """The text with everything that does not print written as an escape.

    `str.isprintable` and not a list of controls: it also knows the marks that turn the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, limit: int = MAX_PEER_TEXT) -> str:
    """As `printable`, and cut at `limit` characters."""
    return printable(text if len(text) <= limit else text[:limit] + "…")


def say(text: str, stream: TextIO | None = None) -> bool:
    """Write a line to a stream (default: stderr) at once; False where nobody reads it any more.

    Then the stream is discarded: Python would else fail on it a second time at exit, with a code of its own.
    """
    stream = sys.stderr if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):
        discard(stream)
        return False
    return True


def open_missing() -> None:
    """Give a process that has no stdout, or no stderr (`2>&-`), one that leads nowhere.

    Python has None in its place: what is said to stderr would go to stdout, and the next socket would be descriptor 2.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def discard(stream: TextIO) -> None:
    """Send what is still written to a broken stream nowhere."""
    try:
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # closed altogether, or none of the system's: there is nothing left to fail at exit
