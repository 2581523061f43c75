"""Files that are damaged, foreign or gone: an error that names them, after the rows before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings.kit import NOON, SECOND, STOCKS, TRADES, parts, read, record, sizes, trades

from datafye_trio.errors import SourceError
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.inspecting import inspect_folder
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.recordings.parquet import read_footer
from datafye_trio.recordings.schema import make_schema

pa = load_arrow()
pq = pa.parquet


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    table = pq.ParquetFile(path).read()
    pq.write_table(change(table), path)


def without_mark(table: Any, **marks: str) -> Any:
    held = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    return table.replace_schema_metadata({key: value for key, value in (held | marks).items() if value})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda table: table.replace_schema_metadata(None), "does not bear the mark"),
        (lambda table: without_mark(table, **{"datafye.format": "x"}), "does not bear the mark"),
        (lambda table: without_mark(table, **{"datafye.format": "2"}), "is of format 2, and this version reads 1"),
        (lambda table: without_mark(table, **{"datafye.dataset": ""}), "its mark is incomplete"),
        (lambda table: without_mark(table, **{"datafye.channel": "news"}), "its mark is incomplete"),
        (lambda table: without_mark(table, **{"datafye.channel": "quotes"}), "has not the columns of quotes"),
        (lambda table: table.drop_columns(["size"]), "has not the columns of trades"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, change: Callable[[Any], Any], text: str) -> None:
    (path,) = parts(record(tmp_path, trades(3)))
    rewrite(path, change)
    with pytest.raises(SourceError, match=text) as caught:
        open_recordings([tmp_path])
    assert str(path) in str(caught.value)


def test_a_file_without_statistics_is_named(tmp_path: Path) -> None:
    (path,) = parts(record(tmp_path, trades(3)))
    pq.write_table(pq.ParquetFile(path).read(), path, write_statistics=False)
    with pytest.raises(SourceError, match="has no statistics"):
        open_recordings([tmp_path])


def test_a_file_without_rows_is_passed_over(tmp_path: Path) -> None:
    first, _ = parts(record(tmp_path, trades(3), part_rows=2))
    rewrite(first, lambda table: table.slice(0, 0))
    assert sizes(read(tmp_path)) == [2]
    assert read_footer(first) is None


def test_rows_out_of_order_are_named(tmp_path: Path) -> None:
    (path,) = parts(record(tmp_path, trades(3)))
    rewrite(path, lambda table: table.take([0, 2, 1]))
    with pytest.raises(SourceError, match="not in order of time"):
        read(tmp_path)


def test_a_row_that_makes_no_event_is_named(tmp_path: Path) -> None:
    (path,) = parts(record(tmp_path, trades(3)))
    schema = make_schema("SIP", STOCKS, TRADES)
    at_type = schema.get_field_index("type")
    rewrite(path, lambda table: table.set_column(at_type, schema.field(at_type), pa.array(["trade", "x", "trade"])))
    with pytest.raises(SourceError, match=r"part-00000.parquet: a row of type 'x'"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a parquet file at all", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_file_that_is_damaged_is_named(tmp_path: Path, content: bytes) -> None:
    (path,) = parts(record(tmp_path, trades(3)))
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot read") as caught:
        open_recordings([tmp_path])
    assert str(path) in str(caught.value)


def test_a_page_that_is_damaged_is_named_after_the_rows_before(tmp_path: Path) -> None:
    first, second = parts(record(tmp_path, trades(4), part_rows=2))
    content = bytearray(second.read_bytes())
    column = pq.read_metadata(second).row_group(0).column(6)  # a price: times are looked at on opening
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 0xFF
    second.write_bytes(content)
    rows = open_recordings([tmp_path])[0].read()
    assert [next(rows)[0], next(rows)[0]] == [NOON, NOON + SECOND]
    with pytest.raises(SourceError, match="cannot read") as caught:
        next(rows)
    assert str(second) in str(caught.value)
    assert str(first) not in str(caught.value)


@pytest.mark.unmeasured
@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_an_error_of_ours_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    (path,) = parts(record(folder, trades(20)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert len(read(folder)) <= 20
    except SourceError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("sound", "damaged", "text"),
    [
        (b"\x16\x28\x19", b"\x16\x00\x19", "its counts of rows differ"),  # 20 rows in all would be none: passed over
        (b"element", b"elemenu", "its footer is damaged"),
        (b"conditions", b"\x80onditions", "can't decode byte 0x80"),
    ],
)
def test_a_footer_that_contradicts_itself(tmp_path: Path, sound: bytes, damaged: bytes, text: str) -> None:
    (path,) = parts(record(tmp_path, trades(20)))
    content = path.read_bytes()
    assert sound in content
    path.write_bytes(content.replace(sound, damaged, 1))
    with pytest.raises(SourceError, match=text) as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("place", range(8))
def test_a_column_of_two_types_is_named_before_pyarrow_ends_the_process(tmp_path: Path, place: int) -> None:
    """In a footer, 15 04 is the type of a column (INT64), in the schema and in each row group; 15 00 is BOOLEAN."""
    (path,) = parts(record(tmp_path, trades(20)))
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    at = [n for n in range(footer, len(content) - 8) if content[n : n + 2] == b"\x15\x04"][-1 - place]
    content[at + 1] = 0
    path.write_bytes(content)
    try:
        assert len(read(tmp_path)) == 20
        assert not inspect_folder(tmp_path).broken
    except SourceError as error:
        assert str(path) in str(error)


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    (path,) = parts(record(tmp_path, trades(3)))
    (recording,) = open_recordings([tmp_path])
    path.unlink()
    with pytest.raises(SourceError, match=r"there is no file .*part-00000\.parquet"):
        list(recording.read())
