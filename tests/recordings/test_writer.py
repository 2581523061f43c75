"""The writer: what is on disk after each flush; continuing a folder; one writer at a time."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings.kit import (
    CRYPTO,
    DAY,
    NOON,
    QUOTES,
    SECOND,
    STOCKS,
    TRADES,
    add,
    parts,
    read,
    record,
    sizes,
    trade,
    trades,
)

from datafye_trio.errors import EventError, RecordingError
from datafye_trio.model import Bar, Halt, Quote, Trade
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.writer import RecordingWriter, WriterConfig

pq = load_arrow().parquet


def rows_of(folder: Path) -> list[int]:
    return [pq.read_metadata(path).num_rows for path in parts(folder)]


def test_nothing_is_seen_before_a_flush_and_all_after_it(tmp_path: Path, writer: RecordingWriter) -> None:
    add(writer, 0, 1, 2)
    assert (parts(tmp_path), writer.waiting, writer.written) == ([], 3, 0)
    writer.flush()
    assert (sizes(read(tmp_path)), writer.waiting, writer.written) == ([0, 1, 2], 0, 3)
    writer.flush()
    assert rows_of(tmp_path) == [3]


def test_a_part_grows_under_one_name_until_it_is_full(tmp_path: Path, writer: RecordingWriter) -> None:
    for n in range(6):
        add(writer, n)
        writer.flush()
        assert sizes(read(tmp_path)) == list(range(n + 1))
    assert [path.name for path in parts(tmp_path)] == ["part-00000.parquet", "part-00001.parquet"]
    assert rows_of(tmp_path) == [4, 2]
    assert parts(tmp_path)[0].parent.relative_to(tmp_path) == Path("dataset=SIP/channel=trades/day=2025-10-09")


def test_a_full_part_is_never_touched_again(tmp_path: Path, writer: RecordingWriter) -> None:
    add(writer, 0, 1, 2, 3)
    writer.flush()
    before = parts(tmp_path)[0].stat()
    add(writer, 4)
    writer.flush()
    after = parts(tmp_path)[0].stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_days_and_channels_have_parts_of_their_own(tmp_path: Path, writer: RecordingWriter) -> None:
    add(writer, 0)
    writer.add(TRADES, NOON + DAY, trade(1))
    writer.add(QUOTES, NOON, Quote("A", NOON, 1.0, 1, 2.0, 1))
    writer.flush()
    writer.add(TRADES, NOON + DAY, trade(2))
    writer.flush()
    found = {str(path.parent.relative_to(tmp_path)): pq.read_metadata(path).num_rows for path in parts(tmp_path)}
    assert found == {
        "dataset=SIP/channel=trades/day=2025-10-09": 1,
        "dataset=SIP/channel=trades/day=2025-10-10": 2,
        "dataset=SIP/channel=quotes/day=2025-10-09": 1,
    }


def test_times_never_fall_in_a_channel(tmp_path: Path, writer: RecordingWriter) -> None:
    add(writer, 0, 10, 5)
    writer.add(TRADES, NOON - 2 * DAY, trade(20))
    writer.add(QUOTES, NOON - DAY, Quote("A", NOON, 1.0, 1, 2.0, 1))
    writer.flush()
    times = [time for time, event in read(tmp_path) if type(event) is Trade]
    assert times == [NOON, NOON + 10 * SECOND, NOON + 10 * SECOND, NOON + 10 * SECOND]
    assert read(tmp_path)[0][0] == NOON - DAY


def test_positions_are_kept(tmp_path: Path, writer: RecordingWriter) -> None:
    writer.add(TRADES, NOON, trade(1), "epoch", 7)
    add(writer, 2)
    writer.flush()
    table = pq.read_table(parts(tmp_path)[0], columns=["epoch", "seq"], partitioning=None)
    assert table.to_pylist() == [{"epoch": "epoch", "seq": 7}, {"epoch": None, "seq": None}]


def test_whole_parts_alone_are_written_where_asked(tmp_path: Path, writer: RecordingWriter) -> None:
    add(writer, *range(6))
    writer.flush(whole_parts=True)
    assert (rows_of(tmp_path), writer.waiting) == ([4], 2)
    add(writer, 6)
    writer.flush(whole_parts=True)
    assert (rows_of(tmp_path), writer.waiting) == ([4], 3)
    writer.add(TRADES, NOON + DAY, trade(7))
    writer.flush(whole_parts=True)  # the day is over: its rest is a whole part
    assert (rows_of(tmp_path), writer.waiting) == ([4, 3], 1)
    writer.flush()
    assert rows_of(tmp_path) == [4, 3, 1]


def test_a_folder_is_continued_and_nothing_overwritten(tmp_path: Path) -> None:
    record(tmp_path, trades(3))
    first = parts(tmp_path)[0].read_bytes()
    record(tmp_path, trades(2, start=NOON + 10 * SECOND))
    assert [path.name for path in parts(tmp_path)] == ["part-00000.parquet", "part-00001.parquet"]
    assert parts(tmp_path)[0].read_bytes() == first
    assert sizes(read(tmp_path)) == [0, 1, 2, 0, 1]


def test_what_a_kill_left_half_written_goes_away(tmp_path: Path) -> None:
    record(tmp_path, trades(3))
    dataset = tmp_path / "dataset=SIP"
    (dataset / ".part-trades-2025-10-09-part-00000.tmp").write_bytes(b"PAR1 half of a file")
    (dataset / ".import-unfinished").touch()
    assert sizes(read(tmp_path)) == [0, 1, 2]
    RecordingWriter(tmp_path, "SIP", STOCKS).close()
    assert sorted(path.name for path in dataset.iterdir()) == [".import-unfinished", "channel=trades"]


def test_two_writers_of_a_dataset_are_refused(tmp_path: Path, writer: RecordingWriter) -> None:
    with pytest.raises(RecordingError, match=r"dataset=SIP is being written by another process"):
        RecordingWriter(tmp_path, "SIP", STOCKS)
    RecordingWriter(tmp_path, "Other", STOCKS).close()
    writer.close()
    writer.close()
    RecordingWriter(tmp_path, "SIP", STOCKS).close()


def test_a_dataset_is_of_one_asset_class(tmp_path: Path) -> None:
    record(tmp_path, trades(1))
    for _ in range(2):  # refused, it has let go of its lock
        with pytest.raises(RecordingError, match=r"dataset=SIP is of stocks, and crypto is to be written"):
            RecordingWriter(tmp_path, "SIP", CRYPTO)
    RecordingWriter(tmp_path, "Other", CRYPTO).close()
    record(tmp_path, trades(1))
    # What is damaged or empty says nothing, and is in nobody's way.
    for part in parts(tmp_path):
        part.write_bytes(b"no Parquet")
    RecordingWriter(tmp_path, "SIP", CRYPTO).close()


def test_a_folder_that_cannot_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, trades(1))

    def refuse(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(RecordingError, match=r"cannot read the folder .*channel=trades: Permission denied"):
        RecordingWriter(tmp_path, "SIP", STOCKS)


@pytest.mark.parametrize("name", ["flock", "open"])
def test_a_folder_that_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr({"flock": "fcntl.flock", "open": "os.open"}[name], refuse)
    with pytest.raises(RecordingError, match="No locks available"):
        RecordingWriter(tmp_path, "SIP", STOCKS)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(RecordingError, match="cannot write the folder"):
        RecordingWriter(tmp_path / "x", "SIP", STOCKS)


def test_a_folder_that_cannot_be_cleared(tmp_path: Path) -> None:
    (tmp_path / "dataset=SIP" / ".part-x.tmp").mkdir(parents=True)
    with pytest.raises(RecordingError, match="cannot clear"):
        RecordingWriter(tmp_path, "SIP", STOCKS)
    (tmp_path / "dataset=SIP" / ".part-x.tmp").rmdir()
    RecordingWriter(tmp_path, "SIP", STOCKS).close()  # the lock was let go


def test_what_a_channel_does_not_hold_is_refused_at_once(writer: RecordingWriter) -> None:
    bar = Bar("A", "Minute", 1, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0)
    for channel, event in ((TRADES, bar), (QUOTES, trade()), (TRADES, None)):
        with pytest.raises(EventError, match="does not hold"):
            writer.add(channel, NOON, event)  # type: ignore[arg-type]
    for time in (-1, 2**63):
        with pytest.raises(EventError, match="is no time"):
            writer.add(TRADES, time, trade())
    writer.add(TRADES, NOON, Halt("A", 1, "x"))
    writer.add(QUOTES, NOON, Halt("A", 1, "x"))
    assert writer.waiting == 2


@pytest.mark.unmeasured
@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 3 * 86_400), st.booleans()), max_size=25), st.integers(1, 7))
def test_any_split_into_flushes_reads_back_equal(steps: list[tuple[int, bool]], part_rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, time = Path(name), NOON
        with RecordingWriter(folder, "Crypto", CRYPTO, WriterConfig(part_rows)) as writer:
            expected = []
            for n, (seconds, flush) in enumerate(steps):
                time += seconds * SECOND
                writer.add(TRADES, time, trade(float(n)))
                expected.append((time, trade(float(n))))
                if flush:
                    writer.flush()
                    assert read(folder) == expected
        assert not steps or read(folder) == expected
        assert all(pq.read_metadata(path).num_rows <= part_rows for path in parts(folder))


def test_many_small_flushes_are_put_together(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, "SIP", STOCKS) as writer:
        for n in range(100):
            add(writer, n)
            writer.flush()
    assert sizes(read(tmp_path)) == list(range(100))
    assert pq.read_metadata(parts(tmp_path)[0]).num_row_groups == 1
