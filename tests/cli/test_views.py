"""Both views of `watch`, apart from a connection."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from datafye_trio.cli import views
from datafye_trio.cli.text import Screen
from datafye_trio.cli.views import LinesView, TableView
from datafye_trio.model import Trade
from datafye_trio.protocol import Data, Heartbeat

TRADE = Data(Trade("AAPL", 1, 12.5, 100), "Synthetic", "stocks", 1)


def screen() -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(file=file, force_terminal=True, width=80, height=20), file


async def test_the_table_is_drawn_four_times_a_second_however_much_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    console, file = screen()
    view = TableView("ws://x", console)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        view.status("connected")
        for _ in range(1_000):
            await view.take("", TRADE)
        await trio.sleep(1.1)
        assert file.getvalue().count("msg/s") // 2 == 5  # at 0, 0.25 ... 1.0; the header and the status line each
        await view.finish()
    assert "12.50" in file.getvalue()
    assert file.getvalue().endswith("\x1b[?25h")  # the cursor is back


async def test_a_terminal_that_is_gone_ends_the_table(autojump_clock: trio.testing.MockClock) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    with trio.move_on_after(60) as in_time:
        await TableView("ws://x", Screen(file=Gone(), force_terminal=True)).run()
    assert not in_time.cancelled_caught


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


async def test_lines_are_events_as_they_came_one_a_line(pipe: tuple[int, int]) -> None:
    view = LinesView("ws://x", pipe[1])
    await view.take('{"a":1}', TRADE)
    await view.take('{"heartbeat"}', Heartbeat(1, 0, 0))
    await view.take('{"b":\n"é\\n"}\r', TRADE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        await trio.testing.wait_all_tasks_blocked()
        await view.take('{"c":3}', TRADE)
        await view.finish()
    assert os.read(pipe[0], 1000).decode() == '{"a":1}\n{"b":"é\\n"}\n{"c":3}\n'


async def test_a_reader_of_lines_that_is_gone_ends_the_view(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    view = LinesView("ws://x", pipe[1])
    with trio.move_on_after(5) as in_time:
        await view.take("{}", TRADE)
        await view.run()
        await view.take("{}", TRADE)
        await view.finish()
    assert not in_time.cancelled_caught


@pytest.fixture
def full() -> Iterator[int]:
    with Path("/dev/full").open("wb") as file:
        yield file.fileno()


async def test_a_full_disk_is_an_error(full: int) -> None:
    view = LinesView("ws://x", full)
    await view.take("{}", TRADE)
    with pytest.raises(OSError, match="No space left"):
        await view.run()


async def test_a_reader_that_stops_holds_up_the_view_and_not_its_end(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_LAST_SECONDS", 0.01)
    view = LinesView("ws://x", pipe[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        await view.take("x" * 1_000_000, TRADE)
        with trio.fail_after(5):
            await view.finish()
        nursery.cancel_scope.cancel()
    left = 1_000_001  # free the thread that is stuck in its write: it would else go on with a number that others reuse
    while left:
        left -= len(os.read(pipe[0], left))
    os.close(pipe[0])
