"""What makes a folder of files safe to write: one writer at a time, and files that are there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from datafye_trio.errors import RecordingError

__all__ = ["lock_folder", "make_folders", "replace_file", "sync_folder"]


def lock_folder(folder: Path) -> int:
    """A descriptor of the folder that holds its lock: of the folder itself, so that no file of ours lies in it.

    Raises:
        RecordingError: another process holds it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise RecordingError(f"cannot write the folder {folder}: {error.strerror}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise RecordingError(f"{folder} is being written by another process: one at a time") from None
        raise RecordingError(f"cannot lock the folder {folder}: {error.strerror}") from error
    return number


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: else a power cut may undo a rename."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_folders(folder: Path, root: Path) -> None:
    """Make a folder below `root`, and have all on the way last through a power cut.

    Raises:
        OSError: the disk is full or fails.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    for parent in islice(folder.parents, len(folder.relative_to(root).parts)):
        sync_folder(parent)


def replace_file(path: Path, temporary: Path, write: Callable[[BinaryIO], None]) -> None:
    """Put what `write` writes in the place of a file, by way of a temporary one on the same disk; or change nothing.

    Raises:
        OSError: the disk is full or fails; the temporary file is gone.
    """
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
