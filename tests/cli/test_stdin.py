"""Standard input: pipes, files and what is neither."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from datafye_trio.cli.stdin import open_stdin


async def test_a_pipe_is_read_as_it_comes_and_can_be_given_up() -> None:
    reading, writing = os.pipe()
    async with open_stdin(reading) as stream:
        os.write(writing, b"one\n")
        assert await stream.receive_some() == b"one\n"
        with trio.move_on_after(0.01) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        os.close(writing)
        assert await stream.receive_some() == b""
    assert os.get_blocking(reading)
    os.close(reading)


async def test_a_file_can_be_redirected(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"x" * 100_000)
    source = os.open(file, os.O_RDONLY)
    async with open_stdin(source) as stream:
        assert len(await stream.receive_some(70_000)) == 70_000
        assert len(await stream.receive_some()) == 30_000
        assert await stream.receive_some() == b""
    os.close(source)


async def test_nothing_can_be_redirected() -> None:
    source = os.open(os.devnull, os.O_RDONLY)
    async with open_stdin(source) as stream:
        assert await stream.receive_some() == b""
    os.close(source)
