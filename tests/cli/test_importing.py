"""`import` on the command line: what it prints, and how it ends."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.kit import Terminal

from datafye_trio.cli.importing import ImportFlags, import_files
from datafye_trio.model import AssetClass
from datafye_trio.recordings.importing import TickImport
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.recordings.writer import RecordingWriter

pytest.importorskip("pyarrow")

Write = Callable[[str, str], Path]
HEADER = "symbol,ts_ns,price,size\n"
QUOTES = "symbol,ts_ns,bid_price,bid_size,ask_price,ask_size\n"
DAY = 86_400 * 10**9
LONG_AGO = 10_000 * DAY


@pytest.fixture
def to(tmp_path: Path) -> str:
    """Where to."""
    return str(tmp_path / "recording")


def test_it_tells_what_it_did(terminal: Terminal, write: Write, to: str) -> None:
    rows = f"A,{LONG_AGO},1,1,b\nA,{LONG_AGO + DAY},1,2,b\nA,{LONG_AGO + 3 * DAY},1,2,b\n"
    path = write("t.csv", "symbol,ts_ns,price,size,side\n" + rows)
    write("q.csv", QUOTES + f"A,{LONG_AGO},1,1,2,1\n")
    code, out, err = terminal.run("import", str(path.parent), to, "--dataset", "Crypto")
    assert (code, err) == (0, "")
    *lines, seconds = out.splitlines()
    assert lines == ["quotes: 1 row on 1 day", "trades: 3 rows on 3 days", "columns not kept: side", "left out: 0"]
    assert seconds.startswith("seconds: 0.")
    (recording,) = open_recordings([Path(to)])
    assert (recording.name, len(list(recording.read()))) == ("Crypto", 4)


@pytest.mark.parametrize(
    ("unit", "first"), [("ns", "1970-01-01T00:28:43.161300000Z"), ("us", "1970-01-20"), ("ms", None)]
)
def test_times_of_another_unit_are_not_taken_in_silence(
    terminal: Terminal, write: Write, to: str, unit: str, first: str | None
) -> None:
    path = write("t.csv", HEADER + "A,1723161300000,1,1\n")
    code, _, err = terminal.run("import", str(path), to, "--dataset", "SIP", "--time", unit)
    assert code == 0
    assert err.startswith(f"the first row is of {first}") if first else not err
    assert not first or err.endswith("is it the right --time?\n")


def test_no_rows(terminal: Terminal, write: Write, to: str) -> None:
    code, out, _ = terminal.run("import", str(write("t.csv", HEADER)), to, "--dataset", "SIP")
    assert (code, out.splitlines()[0]) == (0, "no rows")


def test_columns_and_times(terminal: Terminal, write: Write, to: str) -> None:
    path = write("t.csv", "Symbol,Time,Price,Qty\nA,1.5,1,7\n")
    mapped = ("--column", "ts_ns=Time", "--column", "size=Qty", "--time", "s")
    assert terminal.run("import", str(path), to, "--dataset", "SIP", *mapped)[0] == 0
    ((time, event),) = open_recordings([Path(to)])[0].read()
    assert (time, event.size) == (1_500_000_000, 7)  # type: ignore[union-attr]


@pytest.mark.parametrize(("allowed", "code"), [((), 1), (("--allow-rejects", "1"), 1), (("--allow-rejects=2",), 0)])
def test_rows_left_out_are_named_and_make_the_exit_code(
    terminal: Terminal, write: Write, to: str, allowed: tuple[str, ...], code: int
) -> None:
    path = write("t.csv", HEADER + f"A,{LONG_AGO},1,1\nA,2,\x1b[31m,1\nA,3,1\nA,4,1,1\n")
    done, out, err = terminal.run("import", str(path), to, "--dataset", "SIP", *allowed)
    assert err.splitlines() == [
        f"left out: {path}, line 3: '\\x1b[31m' is no price",
        f"left out: {path}, line 4: 3 columns where the header has 4",
    ]
    assert (done, "trades: 2 rows on 1 day" in out, "left out: 2" in out) == (code, True, True)


def test_twenty_are_named_and_the_others_counted(terminal: Terminal, write: Write, to: str) -> None:
    path = write("t.csv", HEADER + 'A,1,1,"1\n1"\n' + "A,1,x,1\n" * 1_500)
    _, _, err = terminal.run("import", str(path), to, "--dataset", "SIP")
    lines = err.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith(f"left out: {path}, lines 2 to 3: ")
    assert lines[-1] == "... and 1,481 more"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("{file}",), "give the files to import, then the folder of the recording"),
        ((), "give the files to import"),
        (("{file}", "{file}"), "is no folder: the last path is where the recording goes"),
        (("{file}x", "{to}"), "there is no file"),
        (("{file}", "{to}", "--column", "price"), "--column price: write OURS=THEIRS, such as"),
        (("{file}", "{to}", "--column", "price="), "--column price=: write OURS=THEIRS"),
        (("{file}", "{to}", "--column", "price=a", "--column", "price=b"), "price is given twice"),
        (("{file}", "{to}", "--column", "cost=price"), "column 'cost' is none of ours: use one of symbol,"),
        (("{file}", "{to}", "--column", "price=cost"), "no file has a column 'cost', which is to be price"),
        (("{file}", "{to}", "--allow-rejects", "-1"), "--allow-rejects must be 0 or more"),
        (("{file}", "{to}", "--time", "h"), "Choose from"),
        (("{file}", "{to}", "--asset-class", "bonds"), "Choose from"),
    ],
)
def test_a_wrong_command_line(terminal: Terminal, write: Write, to: str, arguments: tuple[str, ...], text: str) -> None:
    path = write("t.csv", HEADER + "A,1,1,1\n")
    given = [argument.format(file=path, to=to) for argument in arguments]
    assert text in terminal.complain("import", *given, "--dataset", "SIP")
    assert not Path(to).exists()


def test_a_dataset_must_be_named(terminal: Terminal, write: Write, to: str) -> None:
    assert "--dataset" in terminal.complain("import", str(write("t.csv", HEADER)), to)


def test_a_second_time_it_must_be_meant(terminal: Terminal, write: Write, to: str) -> None:
    command = ("import", str(write("t.csv", HEADER + "A,1,1,1\n")), to, "--dataset", "SIP", "--asset-class", "stocks")
    assert terminal.run(*command)[0] == 0
    assert "has trades already" in terminal.complain(*command)
    assert terminal.run(*command, "--append")[0] == 0


def test_what_was_not_begun_is_not_said_to_be_unfinished(terminal: Terminal, write: Write, to: str) -> None:
    path = str(write("t.csv", HEADER))
    with RecordingWriter(Path(to), "SIP", AssetClass.STOCKS):
        code, out, err = terminal.run("import", path, to, "--dataset", "SIP")
    assert (code, out) == (1, "")
    assert err == f"datafye-trio: {to}/dataset=SIP is being written by another process: one at a time\n"


def test_a_file_that_cannot_be_read_on(terminal: Terminal, tmp_path: Path, to: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(HEADER.encode() + b"A,1,1,1\n" * 10_000 + b"\xff\n")
    code, out, err = terminal.run("import", str(path), to, "--dataset", "SIP")
    first, second = err.splitlines()
    assert (code, out) == (1, "")
    assert first.startswith(f"datafye-trio: cannot read {path}")
    rows = len(list(open_recordings([Path(to)])[0].read()))
    assert second == f"{rows:,} rows are written and whole; the dataset SIP in {to} is marked as unfinished"


def test_ctrl_c_says_what_there_is(terminal: Terminal, write: Write, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: TickImport, report: Callable[[], None]) -> None:
        self.tally.written = 65_536
        raise KeyboardInterrupt

    monkeypatch.setattr(TickImport, "run", run)
    code, out, err = terminal.run("import", str(write("t.csv", HEADER)), to, "--dataset", "SIP")
    assert (code, out) == (130, "")
    assert err == f"interrupted: 65,536 rows are written and whole; the dataset SIP in {to} is marked as unfinished\n"


def test_without_a_terminal_a_line_now_and_then(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("t.csv", HEADER + f"A,{LONG_AGO},1,1\n" * 20_000)
    seconds = iter(range(0, 1_000, 4))
    flags = ImportFlags(dataset="SIP")
    assert import_files((path, tmp_path / "to"), flags, clock=lambda: float(next(seconds))) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.endswith(" rows") and "%, " in line for line in lines)


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_of_cycles_is_as_it_was(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_on: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(gc, "isenabled", lambda: was_on)
    monkeypatch.setattr(gc, "disable", lambda: calls.append("disable"))
    monkeypatch.setattr(gc, "enable", lambda: calls.append("enable"))
    assert import_files((write("t.csv", HEADER), tmp_path / "to"), ImportFlags(dataset="SIP")) == 0
    assert calls == ["disable", "enable"] if was_on else ["disable"]


def test_on_a_terminal_a_bar(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    path = write("t.csv", HEADER + "A,1,1,1\n" * 20_000)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert import_files((path, tmp_path / "to"), ImportFlags(dataset="SIP")) == 0
    assert " rows" in screen.getvalue()
    assert "%" in screen.getvalue()
