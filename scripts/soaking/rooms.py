"""A place on a disk that can be full: a small file system of this process's own, or else a limit on the size of files.

The file system is a tmpfs in a namespace of mounts, which takes root and Linux: nobody else sees it, and it is gone
with the processes, whatever becomes of them. The limit is RLIMIT_FSIZE: a write beyond it fails as one to a full disk
does, but with other words (EFBIG).
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

__all__ = ["Room", "open_room"]

_NEW_MOUNTS: Final = 0x00020000
"""CLONE_NEWNS; `os.unshare` is there from Python 3.12 on."""
_SIZE: Final = 8 * 2**20
_LIMIT: Final = 16 * 2**10
"""Bytes of a file: a log's first lines, and no part of a recording that is worth writing."""


class Room(Protocol):
    """A place on a disk.

    Attributes:
        name: of what kind it is.
        full: what is said of it when it is full.
    """

    name: str
    full: str

    def fill(self, pids: Sequence[int]) -> None:
        """These processes can write no more there, from now on."""

    def free(self, pids: Sequence[int]) -> None:
        """They can again."""


class _Tmpfs:
    name = f"a file system of {_SIZE // 2**20} MiB"
    full = "No space left on device"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"

    def fill(self, _: Sequence[int]) -> None:
        room = os.statvfs(self._folder)
        self._ballast.write_bytes(bytes(room.f_bavail * room.f_frsize))

    def free(self, _: Sequence[int]) -> None:
        self._ballast.unlink()


class _Limited:
    name = "files of a limited size (only root can have a small disk)"
    full = "File too large"

    def fill(self, pids: Sequence[int]) -> None:
        for pid in pids:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LIMIT, most))

    def free(self, pids: Sequence[int]) -> None:
        for pid in pids:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def open_room(folder: Path) -> Iterator[Room]:
    """Make a room of an empty folder."""
    if not _mount(folder):
        yield _Limited()
        return
    try:
        yield _Tmpfs(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _mount(folder: Path) -> bool:
    """Have a small file system there; whether that could be done."""
    if not (shutil.which("mount") and shutil.which("umount")):
        return False
    if sys.platform != "linux" or os.geteuid() != 0 or ctypes.CDLL(None).unshare(_NEW_MOUNTS) != 0:
        return False
    private = ["mount", "--make-rprivate", "/"]  # else the others would see it after all
    small = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    return all(
        subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in (private, small)
    )
