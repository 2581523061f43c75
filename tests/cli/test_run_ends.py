"""How a run may end: with a result that cannot be printed, without streams, with several errors at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from cli.kit import Terminal

from datafye_trio.cli.main import main

PROGRAM = """
import sys
import trio

class Mute:
    def __repr__(self):
        raise LookupError("nothing to say")

async def counts(feed):
    async with feed.trades("AAPL") as trades:
        return len([trade async for trade in trades])
async def typo(feed):
    async with feed.trades("AAPPL") as trades:
        return await anext(trades)
async def mute(feed): return Mute()
async def deep(feed):
    found = []
    for _ in range(100_000):
        found = [found]
    return found
async def accents(feed): return "\\u00e9"
async def leaves(feed): sys.exit(7)
async def fails(feed): raise KeyError("mine")
async def interrupted(feed): raise KeyboardInterrupt
async def leaves_and_fails(feed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leaves, feed)
        nursery.start_soon(fails, feed)
async def interrupted_and_fails(feed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupted, feed)
        nursery.start_soon(fails, feed)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A strategy, and three trades."""
    (tmp_path / "mine.py").write_text(PROGRAM)
    rows = "".join(f"AAPL,{1_767_364_200_000_000_000 + n},{n + 1},10\n" for n in range(3))
    (tmp_path / "trades.csv").write_text("symbol,ts_ns,price,size\n" + rows)
    return tmp_path


def command(folder: Path, function: str) -> list[str]:
    return ["run", f"{folder}/mine.py:{function}", f"{folder}/trades.csv", "--dataset=SIP"]


@pytest.mark.parametrize(("function", "why"), [("mute", "LookupError: nothing to say"), ("deep", "RecursionError: ")])
def test_a_result_that_has_no_text_is_a_failure(terminal: Terminal, folder: Path, function: str, why: str) -> None:
    code, out, err = terminal.run(*command(folder, function))
    assert (code, out) == (1, "")
    *_, last, summary = err.splitlines()
    assert last.startswith(why)
    assert summary.startswith("failed: ")
    assert ("mine.py" in err) is (function == "mute")


@pytest.mark.parametrize(
    ("function", "place", "why"), [("counts", "/dev/full", "No space"), ("accents", os.devnull, "'ascii'")]
)
def test_a_result_that_is_lost_is_a_failure(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: str,
    place: str,
    why: str,
) -> None:
    if not Path(place).exists():
        pytest.skip("this system has no full disk to write to")
    with Path(place).open("w", encoding="ascii") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(command(folder, function)) == 1
    told, summary = capsys.readouterr().err.splitlines()
    assert told.startswith("datafye-trio: what the strategy has returned cannot be written: ")
    assert why in told
    assert summary.startswith("failed: ")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_was_never_open_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], closed: str
) -> None:
    monkeypatch.setattr(sys, closed, None)
    assert main(command(folder, "counts")) == 0
    getattr(sys, closed).close()
    out, err = capsys.readouterr()
    assert out == ("" if closed == "stdout" else "3\n")
    assert bool(err) == (closed == "stdout")


@pytest.mark.parametrize(
    ("function", "exit_code", "how"),
    [("leaves_and_fails", 1, "failed: "), ("interrupted_and_fails", 130, "interrupted: ")],
)
def test_an_error_beside_another_end_is_told(
    terminal: Terminal, folder: Path, function: str, exit_code: int, how: str
) -> None:
    code, out, err = terminal.run(*command(folder, function))
    assert (code, out) == (exit_code, "")
    assert "KeyError: 'mine'" in err
    assert "mine.py" in err
    assert "datafye_trio" not in err
    assert err.splitlines()[-1].startswith(how)


def test_the_end_of_the_data_is_named(terminal: Terminal, folder: Path) -> None:
    code, out, err = terminal.run(*command(folder, "typo"))
    assert (code, out) == (1, "")
    assert "StopAsyncIteration: the data has ended" in err
