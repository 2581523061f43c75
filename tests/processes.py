"""Real processes for the few tests that need one: a server on a free port, ended in good order; what one records."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars

WAIT = 30


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """A `datafye-trio serve` process on a free port; gives its base URL, and checks that it ends with exit 0."""
    command = [sys.executable, "-m", "datafye_trio", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on ws://localhost:"), line
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            assert process.wait(WAIT) == 0


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does, in files or output; fails after `WAIT` seconds."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)  # nothing tells this process when that one has done it


def rows_in(files: Iterable[Path]) -> polars.DataFrame:
    """The rows of files that may be replaced meanwhile, as those of a recording that goes on are.

    Not by their names: polars opens each twice, and would look in one file for what the footer of another says.
    """
    return polars.concat([polars.read_parquet(file.read_bytes()) for file in files])
