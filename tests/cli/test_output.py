"""Writing to descriptors of the system's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from datafye_trio.cli.output import DescriptorOutput

WAIT = 10


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


async def test_it_writes_all(pipe: tuple[int, int]) -> None:
    output, data = DescriptorOutput(pipe[1]), os.urandom(1_000_000)
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.write, data)
            read = b""
            while len(read) < len(data):
                read += await trio.to_thread.run_sync(os.read, pipe[0], 65_536)
    os.close(pipe[0])
    assert read == data


async def test_a_write_that_is_stuck_can_be_cancelled(pipe: tuple[int, int]) -> None:
    output = DescriptorOutput(pipe[1])
    with trio.fail_after(WAIT), trio.move_on_after(0.01) as stuck:
        await output.write(b"x" * 1_000_000)
    assert stuck.cancelled_caught
    left = 1_000_000  # free the thread: it would else go on with a number that others reuse
    while left:
        left -= len(os.read(pipe[0], left))
    os.close(pipe[0])


async def test_it_tells_that_the_reader_is_gone_before_anything_is_written(pipe: tuple[int, int]) -> None:
    output = DescriptorOutput(pipe[1])
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.gone)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert nursery.child_tasks
            os.close(pipe[0])
        with pytest.raises(BrokenPipeError):
            await output.write(b"x")


async def never_gone(descriptor: int) -> bool:
    with trio.move_on_after(0.05) as waiting:
        await DescriptorOutput(descriptor).gone()
    return waiting.cancelled_caught


async def test_a_file_has_no_reader_to_go(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert await never_gone(file.fileno())


async def test_a_pipe_that_is_open_both_ways_is_not_taken_for_gone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    both = os.open(tmp_path / "pipe", os.O_RDWR)
    os.write(both, b"there is something to read")
    assert await never_gone(both)
    os.close(both)


async def test_a_system_that_does_not_watch_pipes(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: int) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(trio.lowlevel, "wait_readable", refuse)
    os.close(pipe[0])
    assert await never_gone(pipe[1])
