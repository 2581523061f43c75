"""Log lines and whoever reads them: slowly, not at all, or on a disk that is full."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
from collections.abc import Iterator
from typing import TextIO

import pytest

from datafye_trio.cli import log_lines
from datafye_trio.cli.log_lines import LogLines
from datafye_trio.cli.logging import logging_to
from datafye_trio.logs import get_logger

LOST = "lost: {}".format


class Pipe:
    """A pipe that is full, and what comes out of it."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
        os.write(writer, b"x" * self.room)
        self.stream: TextIO = os.fdopen(writer, "w")

    def drain(self) -> None:
        """Read what filled it."""
        assert os.read(self.reader, self.room) == b"x" * self.room

    def lines(self) -> list[str]:
        """The lines, to the end; what filled it must have been read."""
        self.stream.close()
        with os.fdopen(os.dup(self.reader)) as read:
            return read.read().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.stream.close()
    os.close(made.reader)


def test_nobody_waits_for_a_pipe_that_is_full_and_what_was_lost_is_told(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_MAX_LINES", 3)
    monkeypatch.setattr(log_lines, "_LAST_SECONDS", 30)
    with logging_to(pipe.stream, "json", "info"):
        for n in range(100):
            get_logger("test").info("line", n=n)
        pipe.drain()
    lines = [json.loads(line) for line in pipe.lines()]
    following = 0
    for line in lines:
        if line["event"] == "lines lost":
            assert (line["level"], line["count"] > 0) == ("warning", True)
            following += line["count"]
        else:
            assert line["n"] == following
            following += 1
    assert following == 100
    assert len(lines) <= 6, "three in the queue, one under way, and what was lost before and after that one"


def test_the_end_does_not_wait_for_ever(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_LAST_SECONDS", 0)
    with logging_to(pipe.stream, "text", "info"):
        get_logger("test").info("line")
    pipe.drain()
    assert os.read(pipe.reader, 100).endswith(b" info line\n"), "late is better than never"


def test_a_disk_that_is_full_for_a_while() -> None:
    class Disk(io.StringIO):
        failures = 2

        def write(self, text: str) -> int:
            if self.failures:
                self.failures -= 1
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Disk()
    lines = LogLines(disk, LOST)
    for text in ("one", "two", "three", "four"):
        lines.put(text)
    lines.close()
    assert disk.getvalue().splitlines() == ["lost: 2", "three", "four"]


def test_half_a_line_is_ended_by_the_next(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.drain()
    write, calls = os.write, iter((2, OSError(28, "No space left on device")))

    def short(descriptor: int, data: memoryview) -> int:
        match next(calls, None):
            case OSError() as error:
                raise error
            case int(count):
                return write(descriptor, data[:count])
        return write(descriptor, data)

    monkeypatch.setattr(log_lines.os, "write", short)
    lines = LogLines(pipe.stream, LOST)
    for text in ("one", "two"):
        lines.put(text)
    lines.close()
    assert pipe.lines() == ["on", "lost: 1", "two"]


def test_what_cannot_be_shown_is_one_lost_line() -> None:
    class Bad:
        def __str__(self) -> str:
            raise ZeroDivisionError

    stream = io.StringIO()
    with logging_to(stream, "text", "info"):
        get_logger("test").info("bad", value=Bad())
        get_logger("test").info("good", value="\udcff")
    first, second = stream.getvalue().splitlines()
    assert re.search(r" warning lines lost count=1$", first)
    assert second.endswith(r'info good value="\\udcff"')
