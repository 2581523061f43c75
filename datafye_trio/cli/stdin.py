"""Standard input as a stream that can be cancelled: no thread waits on a pipe that nobody writes to."""

from __future__ import annotations

import os
import select

import trio

__all__ = ["open_stdin"]


def open_stdin(source: int = 0) -> trio.abc.ReceiveStream:
    """What comes on standard input; bytes. A file can be redirected to it, too.

    Raises:
        OSError: it is closed.
    """
    fd = os.dup(source)  # what is closed in the end is ours, and not the process's own
    return trio.lowlevel.FdStream(fd) if _can_wait(fd) else _FileStream(fd)


def _can_wait(fd: int) -> bool:
    """Whether the kernel can tell when there is something to read: not of files, which always have it."""
    with select.epoll() as poll:
        try:
            poll.register(fd, select.EPOLLIN)
        except PermissionError:
            return False
    return True


class _FileStream(trio.abc.ReceiveStream):
    """A file, read in a thread: the disk answers at once, so that a cancelled read is over soon."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.to_thread.run_sync(os.read, self._fd, max_bytes or 65_536)

    async def aclose(self) -> None:
        os.close(self._fd)
        await trio.lowlevel.checkpoint()
