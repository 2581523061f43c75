"""`datafye-trio run` on a recording, and what is wrong with a command line; on a server see `test_run_wire.py`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from cli.kit import Terminal
from processes import WAIT

from datafye_trio.cli.main import main

Run: TypeAlias = Callable[..., tuple[int, str, str]]

START = 1_767_364_200_000_000_000  # 2026-01-02T14:30:00Z
TRADES = 600
"""One a second."""

PROGRAM = """
import math
import sys
from datetime import datetime

import trio
from datafye_trio import Gap

async def strategy(feed, most: int = 1000, symbols: list[str] = ["AAPL"]):
    seen = []
    async with feed.trades(symbols) as trades:
        async for trade in trades:
            seen.append(trade.price)
            if len(seen) == most:
                break
    return {"count": len(seen), "first": seen[0], "last": seen[-1], "symbols": symbols}

async def nothing(feed): ...
async def event(feed):
    async with feed.trades("AAPL") as trades:
        return await anext(trades)
async def odd(feed): return object
async def infinite(feed): return [math.nan, {1, 2}, datetime(2026, 1, 2), (None, True)]
async def huge(feed): return 10 ** 30
async def lone(feed): return chr(0xD800)
async def leaves(feed): sys.exit(7)
async def leaves_twice(feed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leaves, feed)
        nursery.start_soon(leaves, feed)
async def lagging(feed):
    async with feed.trades("AAPL", buffer=4, policy="drop_oldest") as trades:
        await trio.sleep(60)
        return [type(item).__name__ async for item in trades][:2]
async def prints(feed):
    for _ in range(100_000):
        print("a line that somebody may read, or not")
async def breaks(feed): raise BrokenPipeError(32, "a pipe of its own")
async def interrupted(feed):
    async with feed.trades("AAPL") as trades:
        async for trade in trades:
            if trade.price == 300:
                raise KeyboardInterrupt
async def fails(feed):
    try:
        await interrupted(feed)
    except KeyboardInterrupt:
        raise KeyError
async def busy(feed):
    print("begun", flush=True)
    while True:
        pass
async def both(feed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupted, feed)
        nursery.start_soon(trio.sleep_forever)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A strategy, and the trades of ten minutes."""
    (tmp_path / "mine.py").write_text(PROGRAM)
    rows = [f"AAPL,{START + n * 1_000_000_000},{n + 1},10\n" for n in range(TRADES)]
    (tmp_path / "trades.csv").write_text("symbol,ts_ns,price,size\n" + "".join(rows))
    return tmp_path


def command(folder: Path, function: str) -> list[str]:
    return [f"{folder}/mine.py:{function}", f"{folder}/trades.csv", "--dataset=SIP"]


@pytest.fixture
def run(terminal: Terminal, folder: Path) -> Run:
    def run_it(function: str, *arguments: str) -> tuple[int, str, str]:
        return terminal.run("run", *command(folder, function), *arguments)

    return run_it


def test_what_it_returns_is_json_and_the_summary_the_last_line(run: Run) -> None:
    code, out, err = run("strategy")
    assert code == 0
    assert json.loads(out) == {"count": TRADES, "first": 1, "last": TRADES, "symbols": ["AAPL"]}
    assert re.fullmatch(
        r"returned: 600 events, 0:09:59 of market time in \d+\.\d\d s \([\d,]+ times real time, [\d,]+ events/s\), "
        r"0 gaps\n",
        err,
    ), err


def test_settings_and_a_part_of_the_recording(run: Run) -> None:
    span = ("--from", "2026-01-02T14:31:00Z", "--to", "2026-01-02T09:32:00")  # without Z: New York
    code, out, err = run("strategy", *span, "--set", "symbols=AAPL,MSFT", "--set", "most=20")
    assert (code, json.loads(out)) == (0, {"count": 20, "first": 61, "last": 80, "symbols": ["AAPL", "MSFT"]})
    assert ": 20 events, 19.0 s of market time" in err
    code, out, err = run("strategy", *span)
    assert (code, json.loads(out)["last"]) == (0, 120)


@pytest.mark.parametrize(
    ("function", "printed"),
    [
        ("nothing", ""),
        ("odd", "<class 'object'>\n"),
        ("infinite", '[null,[1,2],"2026-01-02T00:00:00",[null,true]]\n'),
        ("huge", f"{10**30}\n"),
        ("lone", "'\\ud800'\n"),
    ],
)
def test_what_is_printed_of_what_it_returns(run: Run, function: str, printed: str) -> None:
    code, out, _ = run(function)
    assert (code, out) == (0, printed)


def test_an_event_is_a_json_object(run: Run) -> None:
    code, out, _ = run("event")
    assert code == 0
    assert json.loads(out).items() > {"symbol": "AAPL", "exchange_timestamp": START, "price": 1.0}.items()


def test_what_it_had_dropped_is_counted(run: Run) -> None:
    code, out, err = run("lagging")
    assert (code, json.loads(out)) == (0, ["Gap", "Trade"])
    assert re.search(r", 0 gaps, 5\d dropped\n$", err), err


def test_quiet_leaves_the_result_and_errors(run: Run) -> None:
    code, out, err = run("strategy", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["count"] == TRADES
    code, out, err = run("breaks", "--quiet")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "BrokenPipeError: [Errno 32] a pipe of its own"


@pytest.mark.parametrize("function", ["interrupted", "both"])
def test_ctrl_c_gives_the_summary_and_no_traceback(run: Run, function: str) -> None:
    code, out, err = run(function)
    assert (code, out) == (130, "")
    assert re.fullmatch(r"interrupted: 300 events, 0:04:59 of market time .*\n", err), err


def test_a_failure_says_how_far_it_came(run: Run) -> None:
    code, _, err = run("fails")
    assert code == 1
    assert err.splitlines()[-1].startswith("failed: 300 events, 0:04:59 of market time ")


def test_a_strategy_may_leave_by_itself(run: Run) -> None:
    with pytest.raises(SystemExit) as left:
        run("leaves")
    assert left.value.code == 7
    with pytest.RaisesGroup(SystemExit, SystemExit):
        run("leaves_twice")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nothing", "absent/"), "there is no absent/: name a recording, or a URL that begins with ws:// or wss://"),
        (("nothing", "localhost:8080"), "there is no localhost:8080: name a recording, or a URL"),
        (("nothing", "TICKS"), "TICKS does not say what dataset it is of: give its name (--dataset)"),
        (("nothing", "MINE", "--dataset=SIP"), "MINE "),
        (("nothing", "TICKS", "--dataset=SIP", "--ca", "x"), "--ca is for servers, and TICKS is a recording"),
        (("nothing", "TICKS", "--dataset=SIP", "--no-reconnect"), "--reconnect is for servers, and TICKS is"),
        (("nothing", "TICKS", "--dataset=SIP", "--from", "noon"), "--from must be a time such as 2024-08-08T23:55:00Z"),
        (("nothing", "TICKS", "--dataset=SIP", "--from=2026-01-02T10:00:00Z", "--to=2026-01-02T10:00:00Z"),
         "--from is not before --to"),
        (("nothing", "TICKS", "--dataset=SIP", "--set", "x=1"),
         "--set x=1: MINE:nothing takes no 'x'; it takes no settings"),
        (("nothing", "--dataset=SIP"), "--dataset is for recordings, and the default is a server"),
        (("nothing", "ws://localhost", "--from=2026-01-02"), "--from is for recordings, and ws://localhost is a"),
        (("nothing", "ftp://localhost"), "'ftp://localhost'"),
        (("absent", "ws://localhost"), "MINE has no function absent: it has strategy, nothing, "),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(
    terminal: Terminal, folder: Path, arguments: tuple[str, ...], line: str
) -> None:
    mine, ticks = f"{folder}/mine.py", f"{folder}/trades.csv"
    function, *rest = (argument.replace("TICKS", ticks).replace("MINE", mine) for argument in arguments)
    told = terminal.complain("run", f"{mine}:{function}", *rest)
    assert told.startswith(line.replace("TICKS", ticks).replace("MINE", mine)), told


def test_ctrl_c_ends_a_strategy_that_never_waits(folder: Path) -> None:
    arguments = [sys.executable, "-m", "datafye_trio", "run", *command(folder, "busy")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT)
    assert (running.returncode, out) == (130, "")
    assert err.startswith("interrupted: ")
    assert len(err.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["run", *command(folder, "prints")]) == 0
    assert capsys.readouterr().err == ""
