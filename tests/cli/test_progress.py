"""The progress line of `record`: what it says, in a terminal and without one."""

from __future__ import annotations

import io
import sys

import pytest
import trio
from cli.recording import Bench, Line, data, subscribed
from support import trade
from trio.testing import MockClock

from datafye_trio.cli.progress import show_progress, summary


class Tty(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


async def record(bench: Bench, line: Line, seconds: float) -> None:
    """Record with the progress shown, one message a second."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show_progress, bench.recorder, bench.tally)
        nursery.start_soon(bench.run, seconds)
        for number in range(1, round(seconds)):
            line.say(data(number))
            await trio.sleep(1)
        await trio.sleep(1.1)
        nursery.cancel_scope.cancel()


async def test_without_a_terminal_it_is_a_line_every_ten_seconds(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(subscribed())
    bench = Bench([line])
    await record(bench, line, 25)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("10 rows  1/s  1 symbol  0 gaps  0 lost  2.")
    assert " kB  disk 0." in first
    assert first.endswith(" s ago")
    assert second.startswith("20 rows  1/s")


async def test_before_anything_is_written_it_says_so(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    await record(Bench([Line()]), Line(), 12)
    assert capsys.readouterr().err == "0 rows  0/s  0 symbols  0 gaps  0 lost  0 bytes  nothing on disk yet\n"


async def test_in_a_terminal_it_is_drawn_in_place(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "100")
    line = Line(subscribed())
    await record(Bench([line]), line, 4)
    assert "3 rows  " in screen.getvalue()
    assert "1 symbol  0 gaps  0 lost" in screen.getvalue()


async def test_a_terminal_that_is_gone_ends_the_line_and_not_the_recording(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Tty):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    line = Line(subscribed())
    bench = Bench([line])
    await record(bench, line, 4)
    assert bench.sink.numbers == [1, 2, 3]


@pytest.mark.parametrize(
    ("numbers", "odd", "gaps"),
    [
        ((1, 2), 0, "0 gaps"),
        ((2,), 0, "1 gap (1 message missing)"),
        ((1,), 2, "0 gaps, 2 unreadable"),
    ],
)
async def test_the_summary(autojump_clock: MockClock, numbers: tuple[int, ...], odd: int, gaps: str) -> None:
    bench = Bench([Line(subscribed(), *([{"type": "news"}] * odd), *map(data, numbers), data(1, trade("MSFT", 1)))])
    bench.sink.lost = 1_234
    await bench.run(1)
    rows = len(numbers) + 1
    start = f"recorded {rows} rows of 2 symbols in 1,000.5 s: {gaps}, 1,234 lost, "
    assert summary(bench.recorder, bench.tally, 1000.5).startswith(start)
