"""`datafye-trio serve` as a process, and what can be seen of it from outside: memory, descriptors, log, exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final, Self

import attrs
import trio

from soaking import SYMBOL
from soaking.children import Child, SoakError

__all__ = ["Memory", "Serve", "open_serve"]

_PREFIX: Final = "DATAFYE_TRIO_"
_QUOTES: Final = 3 / 4
"""The share of the made-up market's events that are quotes; the others are trades."""
_RESET_HIGH_WATER: Final = "5"
_HAS_PROC: Final = Path("/proc/self/fd").is_dir()


@attrs.frozen
class Memory:
    """What a process has of the machine's memory, in bytes; `highest` is the most that `resident` has been."""

    resident: int
    proportional: int
    highest: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """That of a process of this machine."""
        status, rollup = (_kilobytes(pid, name) for name in ("status", "smaps_rollup"))
        return cls(status["VmRSS"], rollup["Pss"], status["VmHWM"])


def _kilobytes(pid: int, name: str) -> dict[str, int]:
    lines = (line.split() for line in Path(f"/proc/{pid}/{name}").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


class Serve:
    """A running `datafye-trio serve`; made by `open_serve`."""

    def __init__(self, child: Child, log: IO[bytes], port: int) -> None:
        self.port = port
        self._child = child
        self._log = log

    @property
    def memory(self) -> Memory:
        """Its memory now."""
        return Memory.of(self._child.process.pid)

    def forget_highest(self) -> None:
        """Let `Memory.highest` begin anew."""
        Path(f"/proc/{self._child.process.pid}/clear_refs").write_text(_RESET_HIGH_WATER)

    @property
    def descriptors(self) -> int:
        """How many it has open."""
        return len(list(Path(f"/proc/{self._child.process.pid}/fd").iterdir()))

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged. A line that is no JSON is an `error`, too: nothing but a failure writes one."""
        lines = os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")
        return [_entry(line) for line in lines.splitlines()]

    @property
    def failures(self) -> list[str]:
        """What it has logged as an error."""
        return [str(entry.get("event")) for entry in self.log if entry.get("level") in ("error", "critical")]

    async def stop(self, seconds: float) -> tuple[int | None, float]:
        """SIGTERM, and wait for its end; the exit code, None where it has not come in time, and the seconds it took."""
        began = trio.current_time()
        self._child.signal(signal.SIGTERM)
        with trio.move_on_after(seconds):
            await self._child.process.wait()
        return self._child.process.returncode, trio.current_time() - began


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) else {"level": "error", "event": line}


@asynccontextmanager
async def open_serve(
    *flags: str, rate: float = 100.0, settings: Mapping[str, object] | None = None, descriptors: int | None = None
) -> AsyncIterator[Serve]:
    """Run a server with a made-up market of one symbol, whose quotes carry the time at which they were due.

    Args:
        flags: more of the command line.
        rate: quotes a second.
        settings: by their names in `--print-config`, such as `handshake_seconds` or `heartbeat.interval`.
        descriptors: what `ulimit -n` gives it.

    Raises:
        SoakError: it does not start.
    """
    if not _HAS_PROC:
        raise SoakError("this scenario looks at processes in /proc, which this system does not have")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    for name, value in (settings or {}).items():
        environment[_PREFIX + name.replace(".", "_").upper()] = str(value)
    command = [
        sys.executable, "-m", "datafye_trio", "serve", *flags, "--port", "0", "--symbols", SYMBOL,
        "--rate", f"{rate / _QUOTES:g}", "--log-format", "json",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        async with Child(command, environment, errors=log, descriptors=descriptors) as child:
            try:
                line = await child.line()
            except SoakError as error:
                log.seek(0)
                raise SoakError(f"{error}: {log.read(2_000).decode(errors='replace').strip()}") from None
            yield Serve(child, log, int(line.rsplit(":", 1)[1].split("/")[0]))
