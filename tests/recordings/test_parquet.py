"""Reading parts: order, ranges and symbols, what is passed over unread, and files that are damaged or foreign."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings.kit import BARS, NOON, QUOTES, SECOND, STOCKS, TRADES, parts, read, record, sizes, trade, trades

from datafye_trio.model import Bar, Channel, Halt
from datafye_trio.recordings import parquet
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.base import Selection
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.recordings.parquet import Footer, read_footer, strands_of
from datafye_trio.recordings.writer import RecordingWriter, WriterConfig

pa = load_arrow()
pq = pa.parquet


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty trades, one a second, in parts of ten; A in every part, B in the third alone."""
    rows = trades(60)
    rows[25] = (TRADES, NOON + 25 * SECOND, trade(25, symbol="B"))
    return record(tmp_path_factory.mktemp("sixty"), rows, part_rows=10)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the parts that are opened, in order; footers are read before."""
    numbers: list[int] = []
    real = parquet.open_parquet

    def note(path: Path, channel: Channel | None = None) -> Any:
        if channel is not None:
            numbers.append(int(path.stem[-5:]))
        return real(path, channel)

    monkeypatch.setattr(parquet, "open_parquet", note)
    return numbers


def at(second: float | None) -> int | None:
    return None if second is None else NOON + int(second * SECOND)


@pytest.mark.parametrize(
    ("start", "end", "numbers", "files"),
    [
        (None, None, range(60), [0, 1, 2, 3, 4, 5]),
        (20, 30, range(20, 30), [2]),
        (20, 30.5, range(20, 31), [2, 3]),
        (29.5, 30.5, [30], [3]),
        (59, None, [59], [5]),
        (None, 0.5, [0], [0]),
        (None, 0, [], []),
        (60, None, [], []),
        (40, 20, [], []),
    ],
)
def test_a_range_reads_the_parts_that_hold_it_alone(
    sixty: Path, opened: list[int], start: float | None, end: float | None, numbers: list[int], files: list[int]
) -> None:
    assert sizes(read(sixty, Selection(start=at(start), end=at(end)))) == list(numbers)
    assert opened == files


@pytest.mark.parametrize(
    ("happened", "files"), [((20, 30), [2]), ((29, 31), [2, 3]), ((20, 20.5), [2]), ((60, 99), []), ((-9, 0), [])]
)
def test_parts_that_hold_nothing_of_a_range_of_exchange_time_are_passed_over(
    tmp_path: Path, opened: list[int], happened: tuple[float, float], files: list[int]
) -> None:
    """Whatever the recording's own time: this one is of a replay, a year later."""
    rows = [(TRADES, NOON + (n + 31_536_000) * SECOND, trade(n, time=NOON + n * SECOND)) for n in range(60)]
    folder = record(tmp_path, rows, part_rows=10)
    first, end = (NOON + int(second * SECOND) for second in happened)
    assert sizes(read(folder, Selection(happened=(first, end)))) == [10 * n + m for n in files for m in range(10)]
    assert opened == files


def test_bars_are_passed_over_by_their_start(tmp_path: Path, opened: list[int]) -> None:
    bars = [(BARS, NOON, Bar("A", "Minute", NOON + n * SECOND, 1, 1, 1, 1, 1, 1, 1.0)) for n in range(8)]
    folder = record(tmp_path, bars, part_rows=4)
    assert len(read(folder, Selection(happened=(NOON + 5 * SECOND, NOON + 6 * SECOND)))) == 4
    assert opened == [1]


def test_symbols_are_looked_for_before_rows_are_made(sixty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = parquet.decode

    def note(batch: Any, *rest: Any) -> Any:
        made.append(batch.num_rows)
        return real(batch, *rest)

    monkeypatch.setattr(parquet, "decode", note)
    assert sizes(read(sixty, Selection(symbols=frozenset({"B", "C"})))) == [25]
    assert made == [1]
    assert sizes(read(sixty, Selection(symbols=frozenset({"A"}), start=at(24), end=at(27)))) == [24, 26]
    assert read(sixty, Selection(symbols=frozenset())) == []


@pytest.mark.unmeasured
@settings(max_examples=40)
@given(st.data())
def test_a_selection_is_a_filter_of_everything(sixty: Path, data: st.DataObject) -> None:
    places = st.none() | st.integers(NOON - SECOND, NOON + 61 * SECOND)
    wanted = Selection(
        symbols=data.draw(st.none() | st.frozensets(st.sampled_from("ABC"))),
        start=data.draw(places),
        end=data.draw(places),
    )
    expected = [
        (time, event)
        for time, event in read(sixty)
        if (wanted.start is None or time >= wanted.start)
        and (wanted.end is None or time < wanted.end)
        and (wanted.symbols is None or event.symbol in wanted.symbols)
    ]
    assert read(sixty, wanted) == expected


def test_row_groups_are_passed_over_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = parts(record(tmp_path, trades(60)))
    table = pq.ParquetFile(whole).read()
    pq.write_table(table, whole, row_group_size=10, use_dictionary=["type", "symbol"])
    groups: list[list[int]] = []
    real = pq.ParquetFile.iter_batches

    def note(self: Any, rows: int, wanted: list[int], **rest: Any) -> Any:
        if rows > 1:  # one is read before statistics are asked for
            groups.append(wanted)
        return real(self, rows, wanted, **rest)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", note)
    assert sizes(read(tmp_path, Selection(start=at(25), end=at(31)))) == list(range(25, 31))
    assert sizes(read(tmp_path, Selection(happened=(NOON + 25 * SECOND, NOON + 31 * SECOND)))) == list(range(20, 40))
    assert groups == [[2, 3], [2, 3]]


def test_batches_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in memory are those of a batch, however long the part is."""
    record(tmp_path, trades(20_000), part_rows=20_000)
    reader = open_recordings([tmp_path])[0].read()
    next(reader)
    tracemalloc.start()
    try:
        count = 1 + sum(1 for _ in reader)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 300 * 8_192


def test_a_file_of_each_day_is_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, trades(12), part_rows=2)
    count = {"open": 0, "most": 0}
    real = parquet.open_parquet

    class Counting:
        def __init__(self, *arguments: Any) -> None:
            self._inner = real(*arguments)

        def __enter__(self) -> Any:
            count["open"] += 1
            count["most"] = max(count.values())
            return self._inner.__enter__()

        def __exit__(self, *error: Any) -> Any:
            count["open"] -= 1
            return self._inner.__exit__(*error)

    monkeypatch.setattr(parquet, "open_parquet", Counting)
    reader = open_recordings([tmp_path])[0].read()
    assert sum(1 for _ in reader) == 12
    assert count == {"open": 0, "most": 1}
    reader = open_recordings([tmp_path])[0].read()
    next(reader)
    assert count["open"] == 1
    reader.close()
    assert count["open"] == 0


def test_parts_that_overlap_are_merged(tmp_path: Path) -> None:
    for start in (0, 2, 1):
        record(tmp_path, trades(4, start=NOON + start * SECOND), part_rows=2)
    assert [time for time, _ in read(tmp_path)] == sorted(
        NOON + (start + n) * SECOND for start in (0, 2, 1) for n in range(4)
    )


def footer(first: int, last: int, channel: Channel = TRADES) -> Footer:
    return Footer(Path(), "X", STOCKS, channel, 1, first, last, (first, last), has_halts=False)


def test_parts_that_follow_each_other_are_one_strand() -> None:
    spans = [(0, 5), (5, 7), (6, 9), (9, 9), (8, 8), (7, 8)]
    strands = strands_of([*(footer(*span) for span in spans), footer(0, 1, QUOTES)])
    assert [(one.channel, [(part.first, part.last) for part in one.parts]) for one in strands] == [
        (QUOTES, [(0, 1)]),
        (TRADES, [(0, 5), (5, 7), (8, 8)]),
        (TRADES, [(6, 9), (9, 9)]),
        (TRADES, [(7, 8)]),
    ]


def test_rows_of_one_time_keep_their_order_over_parts(tmp_path: Path) -> None:
    """Ten rows of one time in parts of two, beside others' parts that end before them."""
    record(tmp_path, trades(3), part_rows=1)
    record(tmp_path, [(TRADES, NOON + 2 * SECOND, trade(n)) for n in range(10, 20)], part_rows=2)
    assert [size for size in sizes(read(tmp_path)) if size >= 10] == list(range(10, 20))


def test_a_footer_says_what_a_file_is(tmp_path: Path) -> None:
    record(tmp_path, [*trades(3), (QUOTES, NOON, Halt("A", 1, "x"))])
    quotes, ticks = (read_footer(path) for path in parts(tmp_path))
    span = NOON, NOON + 2 * SECOND
    assert ticks == Footer(parts(tmp_path)[1], "SIP", STOCKS, TRADES, 3, *span, span, has_halts=False)
    assert quotes is not None
    assert quotes.has_halts


def test_a_part_that_grew_since_it_was_opened_is_read_as_it_is(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, "SIP", STOCKS, WriterConfig(4)) as writer:
        writer.add(TRADES, NOON, trade(0))
        writer.flush()
        (recording,) = open_recordings([tmp_path])
        for n in range(1, 6):
            writer.add(TRADES, NOON + n, trade(n))
        writer.flush()
        assert sizes(recording.read()) == [0, 1, 2, 3]
