"""The writer when it goes wrong: full disks, rows that fit no column, interrupts; what waits, and what is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from recordings.kit import FEW, NOON, QUOTES, SECOND, STOCKS, TRADES, add, parts, read, sizes, trade

from datafye_trio.errors import RecordingError
from datafye_trio.model import Quote, Trade
from datafye_trio.recordings import writer as module
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.schema import Row, batch_of
from datafye_trio.recordings.writer import RecordingWriter

pq = load_arrow().parquet


@pytest.mark.parametrize("place", ["fresh", "started"])
def test_a_full_disk_hurts_nothing_and_is_tried_again(
    tmp_path: Path, writer: RecordingWriter, full: Callable[[bool], None], place: str
) -> None:
    if place == "started":
        add(writer, 0)
        writer.flush()
    before = {path: path.read_bytes() for path in parts(tmp_path)}
    full(True)
    add(writer, 1, 2)
    for _ in range(2):
        with pytest.raises(RecordingError, match=r"cannot write .*trades: No space left on device; 2 rows wait"):
            writer.flush()
        assert {path: path.read_bytes() for path in parts(tmp_path)} == before
        assert list((tmp_path / "dataset=SIP").glob(".part*")) == []
    full(False)
    add(writer, 3)
    writer.flush()
    assert sizes(read(tmp_path))[-3:] == [1, 2, 3]
    assert (writer.lost, writer.waiting) == (0, 0)


def test_a_folder_that_vanished_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingWriter(tmp_path, "SIP", STOCKS, FEW) as writer:
        add(writer, 0, 1, 2, 3)
        writer.flush()
        add(writer, 4)
        with monkeypatch.context() as patch:

            def refuse(self: Path) -> None:
                raise PermissionError(13, "Permission denied")

            patch.setattr(Path, "iterdir", refuse)
            with pytest.raises(RecordingError, match="Permission denied"):
                writer.flush()


def test_what_waits_is_bounded_and_the_oldest_is_lost(
    tmp_path: Path, writer: RecordingWriter, full: Callable[[bool], None]
) -> None:
    full(True)
    writer.add(QUOTES, NOON - SECOND, Quote("A", NOON, 1.0, 1, 2.0, 1))
    add(writer, *range(12))
    assert (writer.waiting, writer.lost) == (10, 3)
    full(False)
    writer.flush()
    assert sizes(read(tmp_path)) == list(range(2, 12))
    assert not (tmp_path / "dataset=SIP" / "channel=quotes").exists()


def test_rows_that_fit_no_column_are_named_and_counted_and_the_rest_is_written(
    tmp_path: Path, writer: RecordingWriter
) -> None:
    add(writer, 0)
    writer.add(TRADES, NOON, Trade("A", NOON, 1.0, 2**60 + 1))
    add(writer, 2)
    writer.add(TRADES, NOON, Trade("B", NOON, "1", 1))  # type: ignore[arg-type]
    with pytest.raises(RecordingError, match=r"2 rows cannot be written and are lost; the first: Trade\(symbol='A'"):
        writer.flush()
    assert (writer.waiting, writer.lost, writer.written) == (0, 2, 2)
    assert sizes(read(tmp_path)) == [0, 2]


def test_a_bad_row_among_thousands_is_found_without_trying_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def note(rows: Sequence[Row], *rest: Any) -> Any:
        tried.append(len(rows))
        return batch_of(rows, *rest)

    monkeypatch.setattr(module, "batch_of", note)
    writer = RecordingWriter(tmp_path, "SIP", STOCKS)
    for n in range(5_000):
        writer.add(TRADES, NOON + n, trade(n if n != 3_210 else 2**60 + 1))
    with pytest.raises(RecordingError, match="1 rows cannot be written"):
        writer.close()
    assert sizes(read(tmp_path)) == [n for n in range(5_000) if n != 3_210]
    assert len(tried) < 40


def test_rows_that_fit_one_by_one_alone_are_not_tried_for_ever(
    tmp_path: Path, writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(rows: Sequence[Row], *rest: Any) -> Any:
        if len(rows) > 1:
            raise ValueError("too many")
        return batch_of(rows, *rest)

    monkeypatch.setattr(module, "batch_of", refuse)
    add(writer, 0, 1)
    with pytest.raises(RecordingError, match="2 rows cannot be written and are lost; the first: .*too many"):
        writer.flush()
    assert (writer.waiting, writer.lost) == (0, 2)


def test_closed_by_an_error_it_lets_go_and_counts_what_waited(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RecordingWriter(tmp_path, "SIP", STOCKS) as writer:
        add(writer, 0)
        writer.flush()
        add(writer, 1)
        raise KeyError
    assert (writer.lost, writer.waiting) == (1, 0)
    assert sizes(read(tmp_path)) == [0]
    RecordingWriter(tmp_path, "SIP", STOCKS).close()


def test_closed_on_a_full_disk_it_lets_go_and_counts_what_waited(tmp_path: Path, full: Callable[[bool], None]) -> None:
    writer = RecordingWriter(tmp_path, "SIP", STOCKS)
    add(writer, 0)
    full(True)
    with pytest.raises(RecordingError):
        writer.close()
    assert (writer.lost, writer.waiting) == (1, 0)
    full(False)
    RecordingWriter(tmp_path, "SIP", STOCKS).close()


def test_an_interrupt_in_a_flush_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    writer = RecordingWriter(tmp_path, "SIP", STOCKS)
    add(writer, 0)
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", interrupt)
        with pytest.raises(KeyboardInterrupt):
            writer.flush()
    assert list((tmp_path / "dataset=SIP").glob(".*")) == []
    writer.close()
    assert sizes(read(tmp_path)) == [0]


def test_a_disk_that_is_full_in_earnest(tmp_path: Path) -> None:
    """The system itself refuses what goes beyond 12 kB in a file: the error comes out of a write in the middle."""
    script = """
import resource, sys
from pathlib import Path
from datafye_trio.errors import RecordingError
from datafye_trio.model import AssetClass, Channel, Trade
from datafye_trio.recordings.writer import RecordingWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
writer = RecordingWriter(Path(sys.argv[1]), "SIP", AssetClass.STOCKS)
for n in range(2_000):
    writer.add(Channel.TRADES, n, Trade("A", n, n / 7, n, trade_id=str(n * n * 7919)))
    if n == 99:
        writer.flush()
try:
    writer.flush()
except RecordingError as error:
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "File too large; 1900 rows wait" in done.stderr, done.stderr
    assert sizes(read(tmp_path)) == list(range(100))
    assert [path.name for path in (tmp_path / "dataset=SIP").iterdir()] == ["channel=trades"]
