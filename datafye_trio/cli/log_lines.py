"""Log lines on their way out, by a thread of its own: a server never waits for whoever reads its log."""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Final, TextIO

__all__ = ["LogLines"]

_MAX_LINES: Final = 4_096
_LAST_SECONDS: Final = 1.0


class LogLines:
    """Writes lines to a stream in order; those that find the queue full, or that cannot be written, are counted.

    The count comes in the place of the lines that were lost, as a line that `tell` makes; where the stream goes on
    failing, once it works again.

    Args:
        stream: where to. One with a descriptor is written to by that, past its buffer: the thread may hang in a write
            for ever, and would hold the buffer's lock, for which Python waits at exit.
        tell: the line that says how many were lost.
    """

    def __init__(self, stream: TextIO, tell: Callable[[int], str]) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._tell = tell
        self._queue: SimpleQueue[tuple[int, str] | None] = SimpleQueue()
        self._lost = 0
        self._torn = False
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Take a line, without its end, from one thread at a time (a logging handler's lock sees to that)."""
        if self._queue.qsize() >= _MAX_LINES:
            self._lost += 1
        else:
            self._queue.put((self._lost, line))
            self._lost = 0

    def close(self) -> None:
        """Write what waits, within a second; what is left then is lost, and the thread with it."""
        self._queue.put((self._lost, ""))
        self._queue.put(None)
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        lost = 0
        while (item := self._queue.get()) is not None:
            before, line = item
            lost += before
            if lost and not self._write(self._tell(lost)):
                lost += bool(line)
            else:
                lost = int(bool(line) and not self._write(line))

    def _write(self, line: str) -> bool:
        """Whether it could be written. A part of one that stayed behind (a full disk) is ended by the next."""
        text = f"\n{line}\n" if self._torn else f"{line}\n"
        try:
            if self._descriptor is None:
                self._stream.write(text)
                self._stream.flush()
                return True
            data = memoryview(text.encode(self._stream.encoding, "backslashreplace"))
            while data:
                written = os.write(self._descriptor, data)
                self._torn = written < len(data)
                data = data[written:]
        except (OSError, ValueError):
            return False
        return True


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None  # a stream of a program's own, such as a StringIO
