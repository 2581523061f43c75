"""The progress line of `record`: what it says, in a terminal and without one."""

from __future__ import annotations

import io
import sys

import pytest
import trio
from cli.recording import Bench, market, quotes
from trio.testing import MockClock

from datafye_trio.cli.progress import show_progress, summary


class Tty(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


async def record(bench: Bench, seconds: float) -> None:
    """Record with the progress shown, one quote a second."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show_progress, bench.recorder, bench.tally)
        nursery.start_soon(bench.run, seconds)
        await trio.sleep(0.1)
        for number in range(1, round(seconds)):
            if bench.server is not None:
                await bench.server.publish(quotes(number, number))
            await trio.sleep(1)
        await trio.sleep(1.1)
        nursery.cancel_scope.cancel()


async def test_without_a_terminal_it_is_a_line_every_ten_seconds(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market() as server:
        await record(Bench(server), 25)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("10 rows  1/s  1 symbol  0 gaps  0 lost  disk 0.")
    assert first.endswith(" s ago")
    assert second.startswith("20 rows  1/s")


async def test_before_anything_is_written_it_says_so(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show_progress, bench.recorder, bench.tally)
        await trio.sleep(12)
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().err == "0 rows  0/s  0 symbols  0 gaps  0 lost  nothing on disk yet\n"


async def test_in_a_terminal_it_is_drawn_in_place(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "100")
    async with market() as server:
        await record(Bench(server), 4)
    assert "3 rows  " in screen.getvalue()
    assert "1 symbol  0 gaps  0 lost" in screen.getvalue()


async def test_a_terminal_that_is_gone_ends_the_line_and_not_the_recording(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Tty):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    async with market() as server:
        bench = Bench(server)
        await record(bench, 4)
    assert bench.sink.numbers == [1, 2, 3]


@pytest.mark.parametrize(
    ("missing", "odd", "gaps"),
    [(0, 0, "0 gaps"), (1, 0, "1 gap (1 message missing)"), (0, 2, "0 gaps, 2 unreadable")],
)
def test_the_summary(missing: int, odd: int, gaps: str) -> None:
    bench = Bench(None)
    bench.recorder.sink = bench.sink
    bench.sink.written, bench.sink.lost = 3, 1_234
    bench.tally.symbols |= {"AAPL", "MSFT"}
    bench.tally.gaps.gaps = bench.tally.gaps.missing = missing
    bench.tally.unreadable = odd
    assert summary(bench.recorder, bench.tally, 1000.5) == (
        f"recorded 3 rows of 2 symbols in 1,000.5 s: {gaps}, 1,234 lost"
    )
