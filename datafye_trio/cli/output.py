"""Bytes to a descriptor, such as stdout, without ever making the event loop wait for whoever reads them."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import Protocol

import trio

__all__ = ["DescriptorOutput", "Output"]


class Output(Protocol):
    """Where lines go."""

    async def write(self, data: bytes) -> None:
        """Write all of it; waits for whoever reads. Cancelled, some of it may still be written.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: it cannot be written for another reason, such as a full disk.
        """

    async def gone(self) -> None:
        """Wait until nobody reads any more; for ever where that shows only by writing."""


class DescriptorOutput:
    """A descriptor of the system's.

    It stays blocking and is written in a thread. Trio's own streams would make it non-blocking, and so it would be for
    every other process that has it open, the shell among them.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, data: bytes) -> None:
        """See `Output`. A write that is stuck does not keep anybody from being cancelled."""
        await trio.to_thread.run_sync(_write, self._descriptor, data, abandon_on_cancel=True)

    async def gone(self) -> None:
        """See `Output`. Only a pipe tells: its error is reported to whoever waits to read, which never succeeds."""
        if _is_end_of_pipe(self._descriptor):
            try:
                await trio.lowlevel.wait_readable(self._descriptor)
            except OSError:
                pass  # a system that does not watch such a thing: it shows by writing
            else:
                return
        await trio.sleep_forever()


def _is_end_of_pipe(descriptor: int) -> bool:
    """Whether it is a pipe to write to only: one that is open both ways can be read from."""
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return False
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def _write(descriptor: int, data: bytes) -> None:
    """Past Python's own buffer, whose lock a thread that is stuck here would keep at exit."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
