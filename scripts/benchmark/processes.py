"""The processes of a benchmark, which speak in JSON lines: the servers (`contend`) and the load client (`load`).

Each has a session of its own, so that Ctrl-C reaches only the benchmark, which then ends them all, with whatever they
have started themselves. What a process writes to stderr is kept, and shown if it fails.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from benchmark import ENVIRONMENT, program

__all__ = ["BenchError", "Speaker", "open_speaker"]

_PATIENCE: Final = 90.0
"""Seconds for an answer: longer than the load client waits before it says what it misses."""
_GRACE: Final = 3.0
"""Seconds to end by itself, and where something failed or Ctrl-C was pressed:"""
_HASTE: Final = 0.5


class BenchError(Exception):
    """A benchmark has no result for a contender; the text names it and says what it said."""


class Speaker:
    """A process that is given orders on stdin and answers on stdout. Blocks; not to be shared between threads."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], complaints: int) -> None:
        self.name = name
        self._process = process
        self._complaints = complaints
        self._rest = b""

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def order(self, **order: Any) -> None:
        """Give an order and do not wait. Whether the process has ended, and what it said before, `answer` tells."""
        if self._process.stdin is None:
            raise TypeError("a speaker's stdin is a pipe")
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, other: Speaker | None = None) -> dict[str, Any]:
        """The next line. If the `other` ends before it comes, that is the error.

        Raises:
            BenchError: the process has ended, says that it has an error, or says nothing for 90 seconds.
        """
        deadline = time.monotonic() + _PATIENCE
        while b"\n" not in self._rest:
            if not (ready := self._readable(other, deadline)):
                raise BenchError(f"{self.name} said nothing for {_PATIENCE:g} s{self.said()}")
            if other and other.fileno() in ready and not other.read():
                raise other._ended()
            if self.fileno() in ready and not self.read():
                raise self._ended()
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise BenchError(f"{self.name} said {line[:200]!r}, which is no JSON object") from None
        if "error" in answer:
            raise BenchError(f"{self.name}: {answer['error']}{other.said() if other else ''}")
        return answer

    def read(self) -> bool:
        """Take what stdout has to give; False at its end."""
        data = os.read(self.fileno(), 65_536)
        self._rest += data
        return bool(data)

    def fileno(self) -> int:
        """Of its stdout."""
        if self._process.stdout is None:
            raise TypeError("a speaker's stdout is a pipe")
        return self._process.stdout.fileno()

    def said(self) -> str:
        """The end of what it has written to stderr, to be put behind a sentence."""
        size = os.fstat(self._complaints).st_size
        lines = os.pread(self._complaints, 2_000, max(0, size - 2_000)).decode(errors="replace").strip().splitlines()
        return f"; {self.name} said: {' / '.join(lines[-5:])}" if lines else ""

    def _readable(self, other: Speaker | None, deadline: float) -> Sequence[int]:
        numbers = [self.fileno(), other.fileno()] if other else [self.fileno()]
        return select.select(numbers, [], [], max(0.0, deadline - time.monotonic()))[0]

    def _ended(self) -> BenchError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        return BenchError(f"{self.name} ended with exit code {self._process.returncode}{self.said()}")


@contextmanager
def open_speaker(name: str, python: str | Path, module: str, *arguments: object) -> Iterator[Speaker]:
    """Start a module of the benchmarks; it has ended, and all that it started, when the block does."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            program(python, module, *arguments),
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        grace = _HASTE
        try:
            yield Speaker(name, process, complaints.fileno())
            grace = _GRACE
        finally:
            _end(process, grace)


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    try:
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        # Its group: a broker that a contender has started must not outlive it, even where that is gone already.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
