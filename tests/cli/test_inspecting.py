"""`inspect` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli.kit import Terminal

from datafye_trio.model import AssetClass, Channel, Trade
from datafye_trio.recordings.layout import IMPORT_MARK
from datafye_trio.recordings.writer import RecordingWriter

pytest.importorskip("pyarrow")

NOON = 1_760_011_200 * 10**9


def record(folder: Path, *seqs: int, name: str = "SIP") -> Path:
    with RecordingWriter(folder, name, AssetClass.STOCKS) as writer:
        for n, seq in enumerate(seqs):
            trade = Trade("A", NOON + n, 1.0, 1)
            writer.add(Channel.TRADES, NOON + n, trade, "e1" if seq else None, seq or None)
    return folder


def test_a_table_has_all_that_there_is(terminal: Terminal, tmp_path: Path) -> None:
    record(tmp_path, *([0] * 1_200), name="A long name of a dataset, with [brackets]")
    code, out, err = terminal.run("inspect", str(record(tmp_path, 1, 2, 5)))
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[0] == ["dataset", "channel", "files", "rows", "symbols", "size", "epochs", "gaps", "first", "last"]
    assert lines[2][-10:-5] == ["trades", "1", "1,200", "1", lines[2][-6]]
    assert "A long name of a dataset, with [brackets]" in out
    sip = next(line for line in lines if line[0] == "SIP")
    assert sip[1:5] == ["trades", "1", "3", "1"]
    assert sip[-4:] == ["1", "1", "2025-10-09T12:00:00.000000000Z", "2025-10-09T12:00:00.000000002Z"]
    assert lines[-1] == ["gap:", "SIP", "trades", "A:", "3", "to", "4", "of", "epoch", "e1"]


def test_on_a_narrow_terminal_nothing_is_cut_off(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, *([0] * 1_200))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = {}
    for width in (80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        shown[width] = re.sub(r"\x1b\[[0-9;]*m", "", terminal.run("inspect", str(tmp_path))[1])
    first, last = "2025-10-09T12:00:00.000000000Z", "2025-10-09T12:00:00.000001199Z"
    *table, span = shown[80].splitlines()
    assert span == f"span: SIP trades: {first} to {last}"
    assert max(map(len, table)) <= 80
    assert ["SIP", "trades", "1", "1,200", "1"] in [line.split()[:5] for line in table]
    assert any(line.split()[-2:] == [first, last] for line in shown[200].splitlines())
    assert "span:" not in shown[200]


def test_more_gaps_than_are_listed_and_repeats(terminal: Terminal, tmp_path: Path) -> None:
    record(tmp_path, *range(1, 60, 2), 59)
    lines = terminal.run("inspect", str(tmp_path))[1].splitlines()
    assert lines[-2:] == [
        "... and 9 more gaps; 29 missing in all",
        "repeated: 1 rows of SIP trades, by their numbers",
    ]


def test_json(terminal: Terminal, tmp_path: Path) -> None:
    code, out, err = terminal.run("inspect", str(record(tmp_path, 1, 3)), "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    (channel,) = report["channels"]
    assert report["broken"] == report["unfinished"] == []
    assert (channel["dataset"], channel["channel"], channel["rows"], channel["files"]) == ("SIP", "trades", 2, 1)
    assert (channel["first"], channel["first_ns"]) == ("2025-10-09T12:00:00.000000000Z", NOON)
    assert (channel["last"], channel["last_ns"]) == ("2025-10-09T12:00:00.000000001Z", NOON + 1)
    assert (channel["gaps"], channel["missing"]) == (1, 1)
    hole = {"epoch": "e1", "symbol": "A", "frequency": None, "running": False, "first": 2, "last": 2}
    assert channel["holes"] == [hole]
    assert channel["epochs"][0] | {"epoch": "e1", "rows": 2, "first_ns": NOON} == channel["epochs"][0]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_broken_files_and_unfinished_imports_are_told(
    terminal: Terminal, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    path = next(record(tmp_path, 1).rglob("*.parquet"))
    path.write_bytes(b"PAR1")
    (tmp_path / "dataset=SIP" / IMPORT_MARK).touch()
    code, out, _ = terminal.run("inspect", str(tmp_path), *flags)
    assert code == 1
    assert f"cannot read {path}" in out
    assert "unfinished" in out


def test_no_recording_is_a_wrong_command_line(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.complain("inspect", str(tmp_path)) == (
        f"there is no recording in {tmp_path}: no Parquet file, there or below"
    )
