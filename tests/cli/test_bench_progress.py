"""The progress line of `bench`: what it says, in a terminal and without one."""

from __future__ import annotations

import io
import sys

import pytest
import trio
from cli.benching import dialling, load, publish
from support import memory_server
from trio.testing import MockClock

from datafye_trio.cli.bench_load import Load
from datafye_trio.cli.bench_progress import show_progress


class Tty(io.StringIO):
    """A terminal, as far as anybody asks; `gone`, one that was closed."""

    gone = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        return super().write(text)


async def bench() -> Load:
    """Load a server with the progress shown."""
    async with memory_server() as server, trio.open_nursery() as nursery:
        one = Load(load(dialling(server), clients=2, seconds=25.0))
        nursery.start_soon(publish, server, 40)
        nursery.start_soon(show_progress, one)
        await one.run()
        nursery.cancel_scope.cancel()
    return one


async def test_without_a_terminal_it_is_a_line_every_ten_seconds(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench()
    assert capsys.readouterr().err.splitlines() == [
        "measuring, 16 s left  2 of 2 clients  8 msg/s  0 missing",
        "measuring, 6 s left  2 of 2 clients  8 msg/s  0 missing",
    ]


async def test_in_a_terminal_it_is_drawn_in_place(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "100")
    await bench()
    assert "measuring, 24 s left  2 of 2 clients  8 msg/s  0 missing" in screen.getvalue()


async def test_a_terminal_that_is_gone_ends_the_line_and_not_the_load(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Tty()
    screen.gone = True
    monkeypatch.setattr(sys, "stderr", screen)
    one = await bench()
    assert one.measured is not None
    assert one.measured.seconds == pytest.approx(25)
