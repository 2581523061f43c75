"""Tick files with other names of columns and other times, and reading on behind malformed rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from recordings.kit import QUOTES, STOCKS, TRADES

from datafye_trio.errors import SourceError
from datafye_trio.model import Trade
from datafye_trio.recordings.csv_ticks import TickFormat, find_tick_files, merge_column, read_ticks, tick_files_in

Write = Callable[[str, str], Path]
HEADER = "symbol,ts_ns,price,size\n"


@attrs.define
class Notes:
    """A watch that notes."""

    positions: list[Callable[[], int]] = attrs.Factory(list)
    lines: list[tuple[int, int, str]] = attrs.Factory(list)

    def opened(self, path: Path, position: Callable[[], int]) -> None:
        self.positions.append(position)

    def rejected(self, path: Path, first: int, last: int, why: str) -> None:
        self.lines.append((first, last, why))


def test_columns_of_other_names(write: Write) -> None:
    path = write("t.csv", "Ticker,When,Last,price,Qty\nA,5,1.5,9,2\n")
    form = TickFormat({"symbol": "ticker", "ts_ns": "when", "price": "last", "size": "qty"}, "ms")
    (file,) = find_tick_files([path], form)
    assert list(read_ticks(file, STOCKS, "ts_ns")) == [(5_000_000, Trade("A", 5_000_000, 1.5, 2))]
    assert file.header == ("ticker", "when", "last", "price", "qty")
    assert file.ignored == ("price",)


def test_a_mapping_that_a_file_lacks_leaves_it_as_it_is(write: Write) -> None:
    (file,) = find_tick_files([write("t.csv", HEADER)], TickFormat({"price": "last"}))
    assert file.columns == ("symbol", "ts_ns", "price", "size")


@pytest.mark.parametrize(
    ("header", "ignored"),
    [
        ("symbol,ts_ns,price,size,side", ("side",)),
        ("symbol,ts_ns,price,size,first_trade_id,last_trade_id", ("first_trade_id",)),
        ("symbol,ts_ns,price,size,trade_id,last_trade_id", ("last_trade_id",)),
        ("symbol,recv_ns,bid_price,bid_size,ask_price,ask_size,price,exchange", ("price",)),
        ("symbol,ts_ns,price,size,bid_price", ("bid_price",)),
    ],
)
def test_columns_that_are_not_read(write: Write, header: str, ignored: tuple[str, ...]) -> None:
    (file,) = find_tick_files([write("t.csv", header + "\n")])
    assert file.ignored == ignored


def test_a_folder_may_hold_no_tick_file(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("symbol,open\n")
    assert tick_files_in(tmp_path) == []


def test_the_column_that_files_merge_by(write: Write) -> None:
    both, one = write("a.csv", "symbol,ts_ns,recv_ns,price,size\n"), write("b.csv", HEADER)
    other = write("c.csv", "symbol,recv_ns,price,size\n")
    assert merge_column(find_tick_files([both])) == "recv_ns"
    assert merge_column(find_tick_files([both, one])) == "ts_ns"
    with pytest.raises(SourceError, match=r"c\.csv lacks ts_ns, .*b\.csv lacks recv_ns"):
        merge_column(find_tick_files([both, one, other]))


def test_malformed_rows_are_told_with_their_lines_and_the_rest_is_read(write: Write) -> None:
    rows = ["A,1,1,1", "A,2,x,1", "", "A,3", 'A,4,1,"1"x', "A,5,1,1", 'A,6,"1\n2",1', "A,7,1,1", "A,8,nan,1"]
    (file,) = find_tick_files([write("t.csv", HEADER + "\n".join(rows) + "\n")])
    notes = Notes()
    assert [event.exchange_timestamp for _, event in read_ticks(file, STOCKS, "ts_ns", notes)] == [1, 5, 7]  # type: ignore[union-attr]
    assert [(first, last) for first, last, _ in notes.lines] == [(3, 3), (5, 5), (6, 6), (8, 9), (11, 11)]
    assert notes.lines[0][2] == "'x' is no price"


def test_a_quote_that_is_never_closed_takes_no_row_in_silence(write: Write) -> None:
    rows = ["A,1,1,1", 'A,2,"1,1', *(f"A,{n},1,1" for n in range(3, 100))]
    (file,) = find_tick_files([write("t.csv", HEADER + "\n".join(rows) + "\n")])
    notes = Notes()
    assert len(list(read_ticks(file, STOCKS, "ts_ns", notes))) == 1
    assert [(first, last) for first, last, _ in notes.lines] == [(3, 100)]


def test_the_time_of_a_malformed_row_counts_for_nothing(write: Write) -> None:
    (file,) = find_tick_files([write("t.csv", HEADER + "A,1,1,1\nA,9,x,1\nA,2,1,1\n")])
    assert [time for time, _ in read_ticks(file, STOCKS, "ts_ns", Notes())] == [1, 2]


def test_text_that_is_not_utf_8_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(HEADER.encode() + b"A,1,1,1\n" * 10_000 + b"\xff,2,1,1\n")
    (file,) = find_tick_files([tmp_path])
    with pytest.raises(SourceError, match="cannot read"):
        list(read_ticks(file, STOCKS, "ts_ns", Notes()))


def test_the_position_in_a_file_is_told(write: Write) -> None:
    path = write("t.csv", HEADER + "A,1,1,1\n" * 20_000)
    (file,) = find_tick_files([path])
    notes = Notes()
    places = [notes.positions[0]() for _ in read_ticks(file, STOCKS, "ts_ns", notes)]
    assert places == sorted(places)
    assert 0 < places[0] < places[10_000] < places[-1] == path.stat().st_size
    with pytest.raises(ValueError, match="closed"):
        notes.positions[0]()


def test_trades_and_quotes_are_told_apart_by_mapped_names(write: Write) -> None:
    path = write("q.csv", "symbol,ts_ns,b,bs,a,as\n")
    form = TickFormat({"bid_price": "b", "bid_size": "bs", "ask_price": "a", "ask_size": "as"})
    assert find_tick_files([path], form)[0].channel is QUOTES
    assert find_tick_files([write("t.csv", HEADER)], form)[0].channel is TRADES
