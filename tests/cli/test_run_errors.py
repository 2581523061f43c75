"""What is shown of an error: the strategy's own lines, whatever lies between them and around."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from cli.kit import Terminal

import datafye_trio
from datafye_trio.cli.run_errors import traceback_of
from datafye_trio.errors import FeedError

Tell: TypeAlias = Callable[[str], list[str]]
PROGRAM = """
import json
import trio
async def inner(feed):
    raise KeyError("mine")
async def direct(feed):
    await inner(feed)
async def refused(feed):
    async with feed.quotes("A B"):
        pass
async def handled(feed):
    try:
        await inner(feed)
    except KeyError as error:
        raise ValueError("for that") from error
async def missed(feed):
    try:
        await refused(feed)
    except Exception:
        raise ValueError("by that")
async def child(feed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inner, feed)
async def children(feed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inner, feed)
        nursery.start_soon(direct, feed)
async def library(feed):
    json.loads("{")
async def ours(feed):
    trio.Semaphore("x")
async def endless(feed):
    await trio.sleep_forever()
"""


@pytest.fixture
def told(terminal: Terminal, tmp_path: Path) -> Tell:
    """Runs a function of the program; gives what is shown, without the marks of columns and groups."""
    (tmp_path / "mine.py").write_text(PROGRAM)
    (tmp_path / "ticks.csv").write_text("symbol,ts_ns,price,size\nAAPL,1700000000000000000,1.5,10\n")

    def tell(function: str) -> list[str]:
        ticks = str(tmp_path / "ticks.csv")
        code, out, err = terminal.run("run", f"{tmp_path}/mine.py:{function}", ticks, "--dataset", "SIP")
        assert (code, out) == (1, "")
        *lines, last = err.splitlines()
        assert last.startswith("failed: ")
        return [line.strip(" |") for line in lines if not set(line) <= set(" |^~+-")]

    return tell


def functions(lines: list[str]) -> list[str]:
    return [line.rpartition(" ")[2] for line in lines if line.startswith("File ")]


@pytest.mark.parametrize(
    ("function", "frames", "last"),
    [
        ("direct", ["direct", "inner"], "KeyError: 'mine'"),
        ("refused", ["refused"], "datafye_trio.errors.SubscriptionError: UNKNOWN_SYMBOL: "),
        ("handled", ["handled", "inner", "handled"], "ValueError: for that"),
        ("missed", ["missed", "refused", "missed"], "ValueError: by that"),
        ("child", ["inner"], "KeyError: 'mine'"),
        ("library", ["library", "loads", "decode", "raw_decode"], "json.decoder.JSONDecodeError: "),
        ("ours", ["ours", "__init__"], "TypeError: initial_value must be an int"),
    ],
)
def test_only_the_strategy_s_own_lines_are_shown(told: Tell, function: str, frames: list[str], last: str) -> None:
    lines = told(function)
    assert lines[0] == "Traceback (most recent call last):"
    assert functions(lines) == frames
    assert lines[-1].startswith(last)


def test_of_several_errors_each_is_shown(told: Tell) -> None:
    lines = told("children")
    assert functions(lines) in (["children", "inner", "direct", "inner"], ["children", "direct", "inner", "inner"])
    assert lines.count("KeyError: 'mine'") == 2


def test_what_no_line_led_to_is_a_line(told: Tell) -> None:
    (line,) = told("endless")
    assert line.startswith("datafye-trio: the recording has ended, and the strategy waits for something")


def test_a_file_among_several_that_cannot_be_read_is_a_line(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PROGRAM)
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("symbol,ts_ns,price,size\nAAPL,1,x,10\n")
    code, out, err = terminal.run("run", f"{tmp_path}/mine.py:endless", str(tmp_path), "--dataset", "SIP")
    assert (code, out) == (1, "")
    line, _ = err.splitlines()
    assert line == f"datafye-trio: {tmp_path}/one.csv, line 2: 'x' is no price"


def test_what_lies_below_one_of_ours_is_not_shown() -> None:
    failure = FeedError("the recording cannot be read\nany further")
    failure.__cause__ = ValueError("below")
    assert traceback_of(failure) == "datafye-trio: the recording cannot be read\\nany further"


def test_what_went_before_within_this_package_is_not_shown() -> None:
    lines = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('a bug')"
    with pytest.raises(KeyError) as wrong:
        exec(compile(lines, datafye_trio.__file__, "exec"))
    text = traceback_of(wrong.value)
    assert "ZeroDivisionError" not in text.splitlines()[-1]
    assert "During handling" not in text
    assert f'"{datafye_trio.__file__}", line 4' in text  # it was raised there: it may be a bug of ours


def test_an_import_shows_the_module_s_own_lines(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "ticks.csv").write_text("symbol,ts_ns,price,size\n")
    (tmp_path / "broken.py").write_text("x = (")
    (tmp_path / "failing.py").write_text("import json\njson.nothing")
    shown: dict[str, list[str]] = {}
    for name in ("broken", "failing"):
        code, out, err = terminal.run("run", f"{tmp_path}/{name}.py:x", "ws://localhost:1")
        assert (code, out) == (1, "")
        shown[name] = err.splitlines()
    assert shown["broken"][0] == f'  File "{tmp_path}/broken.py", line 1'
    assert shown["broken"][-1].startswith("SyntaxError: ")
    assert shown["failing"][0] == "Traceback (most recent call last):"
    assert shown["failing"][1] == f'  File "{tmp_path}/failing.py", line 2, in <module>'
    assert shown["failing"][-1] == "AttributeError: module 'json' has no attribute 'nothing'"
    assert len([line for line in shown["failing"] if line.startswith("  File ")]) == 1
