"""What inspect says of a recording: rows, span, symbols, holes in the numbers, and files that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings.kit import BARS, NOON, SECOND, STOCKS, TRADES, parts, record, trade, trades

from datafye_trio.errors import SourceError
from datafye_trio.model import Bar, Channel, Event
from datafye_trio.recordings.inspecting import ChannelReport, EpochReport, Hole, inspect_folder
from datafye_trio.recordings.layout import IMPORT_MARK
from datafye_trio.recordings.writer import RecordingWriter, WriterConfig

Numbered = tuple[str, Event, int]


def bar(symbol: str, frequency: str, *, final: bool = True) -> Bar:
    return Bar(symbol, frequency, NOON, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0, final)


def live(folder: Path, channel: Channel, rows: list[Numbered], part_rows: int = 3) -> ChannelReport:
    """What is said of rows with positions, a second apart."""
    with RecordingWriter(folder, "SIP", STOCKS, WriterConfig(part_rows)) as writer:
        for n, (epoch, event, seq) in enumerate(rows):
            writer.add(channel, NOON + n * SECOND, event, epoch, seq)
    (report,) = inspect_folder(folder).channels
    return report


def test_an_import_has_no_positions(tmp_path: Path) -> None:
    record(tmp_path, [*trades(3), *trades(2, start=NOON + 5 * SECOND, symbol="B")], part_rows=2)
    report = inspect_folder(tmp_path)
    size = sum(path.stat().st_size for path in parts(tmp_path))
    assert report.channels == (ChannelReport("SIP", "stocks", "trades", 3, 5, 2, NOON, NOON + 6 * SECOND, size),)
    assert (report.broken, report.unfinished) == ((), ())


def test_holes_are_those_within_an_epoch_and_a_topic(tmp_path: Path) -> None:
    a, b = trade(symbol="A"), trade(symbol="B")
    rows = [("x", a, 5), ("x", b, 1), ("x", a, 6), ("x", a, 9), ("x", b, 3), ("y", a, 1), ("y", a, 2), ("y", b, 40)]
    report = live(tmp_path, TRADES, rows)
    assert report.holes == [Hole("x", "A", None, False, 7, 8), Hole("x", "B", None, False, 2, 2)]
    assert (report.gaps, report.missing, report.repeated) == (2, 3, 0)
    assert report.epochs == [
        EpochReport("x", 5, NOON, NOON + 4 * SECOND),
        EpochReport("y", 3, NOON + 5 * SECOND, NOON + 7 * SECOND),
    ]


def test_bars_are_numbered_by_frequency_and_running_ones_for_themselves(tmp_path: Path) -> None:
    rows: list[Numbered] = [
        ("x", bar("A", "Second"), 1),
        ("x", bar("A", "Minute"), 1),
        ("x", bar("A", "Second", final=False), 1),
        ("x", bar("A", "Second", final=False), 5),
        ("x", bar("A", "Second"), 2),
        ("x", bar("A", "Minute"), 3),
    ]
    report = live(tmp_path, BARS, rows)
    assert report.holes == [Hole("x", "A", "Second", True, 2, 4), Hole("x", "A", "Minute", False, 2, 2)]


def test_repeats_are_counted(tmp_path: Path) -> None:
    report = live(tmp_path, TRADES, [("x", trade(), seq) for seq in (1, 2, 2, 1, 3)])
    assert (report.repeated, report.gaps) == (2, 0)


def test_rows_without_a_position_among_others(tmp_path: Path) -> None:
    record(tmp_path, trades(2))
    report = live(tmp_path, TRADES, [("x", trade(), 1), (None, trade(), 1), ("x", trade(), 2)])  # type: ignore[list-item]
    assert (report.rows, report.epochs[0].rows, report.gaps) == (5, 2, 0)


def test_twenty_holes_are_listed_and_all_counted(tmp_path: Path) -> None:
    report = live(tmp_path, TRADES, [("x", trade(), 2 * seq) for seq in range(30)], part_rows=100)
    assert (len(report.holes), report.gaps, report.missing) == (20, 29, 29)


@settings(max_examples=20)
@given(st.sets(st.integers(1, 60), min_size=2))
def test_the_numbers_that_are_missing_are_those_not_there(
    tmp_path_factory: pytest.TempPathFactory, seqs: set[int]
) -> None:
    report = live(tmp_path_factory.mktemp("live"), TRADES, [("x", trade(), seq) for seq in sorted(seqs)], 10)
    missing = set(range(min(seqs), max(seqs) + 1)) - seqs
    assert report.missing == len(missing)
    listed = {seq for hole in report.holes for seq in range(hole.first, hole.last + 1)}
    assert listed <= missing
    assert report.gaps > 20 or listed == missing


def test_datasets_and_channels_are_in_order(tmp_path: Path) -> None:
    for name in ("B", "A"):
        record(tmp_path, [*trades(1), (BARS, NOON, bar("A", "Minute"))], dataset=name)
    names = [(one.dataset, one.channel) for one in inspect_folder(tmp_path).channels]
    assert names == [("A", "trades"), ("A", "aggregates"), ("B", "trades"), ("B", "aggregates")]
    assert len(inspect_folder(tmp_path / "dataset=B").channels) == 2
    assert len(inspect_folder(tmp_path / "dataset=B" / "channel=trades").channels) == 1


def test_broken_files_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    record(tmp_path, trades(6), part_rows=2)
    first, second, third = parts(tmp_path)
    first.write_bytes(b"")
    content = bytearray(third.read_bytes())
    content[20:40] = b"\0" * 20
    third.write_bytes(content)
    report = inspect_folder(tmp_path)
    assert report.channels[0].files + len(report.broken) == 3
    assert report.broken[0][0] == first
    assert str(first) in report.broken[0][1]
    assert second not in [path for path, _ in report.broken]


def test_files_without_rows_and_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, trades(1))
    monkeypatch.setattr("datafye_trio.recordings.inspecting.footer_of", lambda _: None)
    assert inspect_folder(tmp_path).channels == ()


def test_an_unfinished_import_is_told(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset=SIP"
    dataset.mkdir()
    (dataset / IMPORT_MARK).touch()
    assert inspect_folder(tmp_path).unfinished == (dataset,)
    assert inspect_folder(dataset).unfinished == (dataset,)


def test_a_folder_without_a_recording(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        inspect_folder(tmp_path / "x")
    with pytest.raises(SourceError, match="there is no recording in"):
        inspect_folder(tmp_path)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(SourceError, match=r"a.parquet is no folder: name one"):
        inspect_folder(tmp_path / "a.parquet")
