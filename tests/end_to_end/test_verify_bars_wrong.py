"""`scripts/verify_bars` where nothing can be compared: the reason it gives, wrong command lines, interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from end_to_end.verifying import ALL, BARS, RUNNING, SCRIPTS, SECOND, START, TICKS, TRADES, files_of, run
from processes import WAIT, until

SKIPPED = {
    "bars_1m_odd.csv": (ALL, "unknown rule odd: say what it is by --filter odd=COMBINATIONS, or give --rule"),
    "bars_1M.csv": (ALL.replace(",1m,", ",1M,"), "no bars of 1M can be made"),
    "bars_2m.csv": (BARS, "it holds no bar"),
    "bars_3m.csv": ("symbol,start_ns,open,high,low,close\nABC,0,1,1,1,1\n", "has no column volume"),
    "bars_4m.csv": (ALL.replace("250", "many"), "line 2: could not convert"),
    "bars_6m.csv": (BARS + "ABC,0\n", "line 2: 2 columns, 8 in the header"),
    "bars_7m.csv.gz": (ALL, "cannot read"),
    "running_bars_1m.csv": (RUNNING.replace("first_trade_id", "first"), "it holds no bar"),
}


@pytest.mark.usefixtures("quick")
def test_a_file_that_cannot_be_compared_is_skipped_with_the_reason_and_not_green(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {name: text for name, (text, _) in SKIPPED.items()}
    folder = make("stocks", {"t.csv": TRADES, "bars_1m.csv": ALL, **texts})
    (folder / "bars_7m.csv.gz").write_bytes(b"no gzip")
    assert run(folder, "--json") == 1
    found = files_of(capsys)
    assert found.pop("bars_1m.csv")["equal"] == 3
    assert found.keys() == SKIPPED.keys()
    for name, (_, reason) in SKIPPED.items():
        assert reason in found[name]["skipped"], name
    assert run(folder) == 1
    assert "FAILED: 8 files skipped (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "there are no trades beside the bars"),
        ({"t.csv": "price,size\n1,1\n"}, "there are no trades beside the bars"),
        ({"t.csv": TRADES.replace("conditions", "price")}, "t.csv, line 1: a column occurs twice"),
        ({"t.csv": TRADES + "ABC,soon,1,1,\n"}, "t.csv, line 10: "),
    ],
)
def test_a_set_whose_trades_cannot_be_read_is_skipped_with_the_reason(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str], files: dict[str, str], reason: str
) -> None:
    folder = make("stocks", {"bars_1m.csv": ALL, **files})
    assert run(folder, "--json") == 1
    assert reason in files_of(capsys)["bars_1m.csv"]["skipped"]


def test_what_import_says_is_the_reason(make: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    other = "symbol,recv_ns,price,size\nABC,5,1,1\n"
    folder = make("stocks", {"a.csv": TRADES, "b.csv": other, "bars_1m.csv": ALL})
    assert run(folder) == 1
    text = capsys.readouterr().out
    assert "skipped: datafye-trio import ended with 2: datafye-trio: the files share no column of times" in text


@pytest.mark.parametrize(
    ("trades", "running", "reason"),
    [
        (TRADES, RUNNING, "t.csv, line 2: no trade with ids to go by"),
        (TRADES.replace("conditions", "trade_id"), RUNNING.replace("last_trade", "last"), "t.csv, line 2: no trade"),
        (
            "symbol,ts_ns,price,size,trade_id\nA,1,1,1,7\n",
            RUNNING.replace("last_trade_id", "x"),
            "line 2: a running",
        ),
    ],
)
def test_running_bars_need_ids(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str], trades: str, running: str, reason: str
) -> None:
    text = running + f"ABC,{START},1m,1,1,1,1,1,1,1\n"
    folder = make("crypto", {"t.csv": trades, "running_bars_1m.csv": text})
    assert run(folder, "--json") == 1
    assert reason in files_of(capsys)["running_bars_1m.csv"]["skipped"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no folder"),
        (["."], "no set in"),
        (["a", "--rule", "odd"], "unknown rule odd: use all, consolidated, conditions, or add it by --filter"),
        (["a", "--filter", "odd"], "--filter odd: write NAME=COMBINATIONS"),
        (["a", "--filter", "=@"], "--filter =@: write NAME=COMBINATIONS"),
    ],
)
def test_wrong_command_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    folder, *rest = arguments
    assert run(tmp_path / folder, *rest) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "scripts/verify_bars ../shared/data" in text
    assert max(map(len, text.splitlines())) <= 85


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_leaves_nothing_behind(
    make: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    many = "".join(f"ABC,{START + n * SECOND},1,1,\n" for n in range(200_000))
    folder = make("stocks", {"trades.csv": TICKS + many, "bars_1m.csv": ALL})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, str(SCRIPTS / "_start.py"), "verify_bars", str(folder)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        until(lambda: list(scratch.glob("*/*")))  # the folder is there before anybody has it in hand
        process.send_signal(number)
        _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "verify_bars: interrupted"
    assert list(scratch.iterdir()) == []
