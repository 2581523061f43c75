"""Writers for the tests of recordings, and a disk that can be full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recordings.kit import FEW, STOCKS

from datafye_trio.recordings.writer import RecordingWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RecordingWriter]:
    made = RecordingWriter(tmp_path, "SIP", STOCKS, FEW)
    yield made
    made.close()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Let the disk be full, or no more."""
    real = os.fsync

    def fsync(number: int) -> None:
        if disk["full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    def switch(on: bool) -> None:
        disk["full"] = on

    disk = {"full": False}
    monkeypatch.setattr(os, "fsync", fsync)
    return switch
