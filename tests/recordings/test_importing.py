"""Imports: what comes out equals what a replay of the files would read, and nothing is lost or doubled in silence."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NoReturn

import pytest
from recordings.kit import BARS, CRYPTO, QUOTES, STOCKS, TRADES, parts, read, record, sizes

from datafye_trio.errors import ConfigurationError, RecordingError, SourceError
from datafye_trio.model import AssetClass, Bar
from datafye_trio.recordings import importing
from datafye_trio.recordings.importing import ImportConfig, Reject, TickImport
from datafye_trio.recordings.layout import IMPORT_MARK

Write = Callable[[str, str], Path]
HEADER = "symbol,ts_ns,price,size\n"
MARK = Path("dataset=SIP") / IMPORT_MARK


def run(folder: Path, *paths: Path, **settings: object) -> TickImport:
    work = TickImport(ImportConfig(paths, folder, **{"dataset": "SIP"} | settings))  # type: ignore[arg-type]
    work.run()
    return work


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where to."""
    return tmp_path / "recording"


FIRST = 4_000
"""Rows of each file of the sample data that are imported here; the whole of them is in `scripts/verify_bars`' tests."""
SETS = [
    ("crypto_btcusdt_binance_spot_20240808", CRYPTO, {TRADES: FIRST, QUOTES: FIRST}),
    ("crypto_usdm_running_bars_20210722", CRYPTO, {TRADES: 91, QUOTES: 613}),
    ("crypto_xrpeth_trades_20191011", CRYPTO, {TRADES: FIRST}),
    ("equity_qqq_databento_20230328", STOCKS, {TRADES: 4, QUOTES: 4}),
    ("equity_xxx_taq_20180102", STOCKS, {TRADES: FIRST, QUOTES: FIRST}),
]


def beginnings(folder: Path, to: Path) -> Path:
    """A folder with the header and the first rows of each tick file of a set."""
    to.mkdir()
    for path in folder.glob("*.csv*"):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as file:
            (to / path.name.removesuffix(".gz")).write_text("".join(islice(file, FIRST + 1)))
    return to


@pytest.mark.parametrize(("name", "asset_class", "rows"), SETS)
def test_a_set_reads_back_as_its_files_do(
    name: str, asset_class: AssetClass, rows: dict[object, int], tmp_path: Path, sample: Callable[[str], Path]
) -> None:
    files, to = beginnings(sample(name), tmp_path / "ticks"), tmp_path / "recording"
    work = run(to, files, dataset="X", asset_class=asset_class)
    assert (work.tally.rows, work.tally.left_out) == (rows, 0)
    assert work.tally.written == sum(rows.values())
    assert read(to) == read(files, dataset="X", asset_class=asset_class)


def test_rows_keep_the_order_of_their_file_where_times_go_back(write: Write, to: Path) -> None:
    run(to, write("t.csv", HEADER + "A,5,1,1\nA,9,1,2\nA,3,1,3\nA,10,1,4\n"))
    assert [(time, event.exchange_timestamp) for time, event in read(to)] == [(5, 5), (9, 9), (9, 3), (10, 10)]  # type: ignore[union-attr]


def test_files_are_merged(write: Write, to: Path) -> None:
    work = run(to, write("b.csv", HEADER + "A,1,1,1\nA,4,1,4\n"), write("a.csv", HEADER + "B,2,1,2\nB,3,1,3\n"))
    assert sizes(read(to)) == [1, 2, 3, 4]
    assert len(parts(to)) == 1
    assert (work.tally.days, work.bytes) == ({TRADES: 1}, work.tally.bytes_read)


def test_columns_and_times_are_mapped(write: Write, to: Path) -> None:
    path = write("t.csv", "symbol,Timestamp,price,size,side,recv_ns\nA,2024-08-08T23:54:15.5Z,1,1,buy,\n")
    work = run(to, path, write("u.csv", "symbol,ts_ns,price,size\n"), columns={"ts_ns": "Timestamp"}, time="iso")
    assert [time for time, _ in read(to)] == [1_723_161_255_500_000_000]
    assert work.ignored == ("recv_ns", "side")


def test_files_without_a_symbol_are_told_what_is_traded(write: Write, to: Path) -> None:
    trades = write("t.csv", "ts_ns,price,size\n5,1.5,2\n")
    quotes = write("q.csv", "symbol,ts_ns,bid_price,bid_size,ask_price,ask_size\nETHUSD,6,1,1,2,1\n")
    run(to, trades, quotes, dataset="Crypto", symbol="btc-usd")
    assert [event.symbol for _, event in read(to, dataset="Crypto")] == ["BTCUSD", "ETHUSD"]


def test_what_is_traded_must_be_a_symbol(write: Write, to: Path) -> None:
    with pytest.raises(ConfigurationError, match="'B C' is no symbol"):
        run(to, write("t.csv", HEADER), symbol="B C")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"when": "x"}, "column 'when' is none of ours: use one of symbol, ts_ns, recv_ns"),
        ({"ts_ns": "x", "recv_ns": "x"}, "column 'x' stands for two of ours"),
        ({"price": "x"}, "no file has a column 'x', which is to be price"),
    ],
)
def test_a_wrong_mapping_is_named(write: Write, to: Path, columns: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        run(to, write("t.csv", HEADER), columns=columns)


def test_malformed_rows_are_left_out_counted_and_named(write: Write, to: Path) -> None:
    rows = "".join(f"A,{n},{'x' if n % 2 else 1},1\n" for n in range(60))
    path = write("t.csv", HEADER + rows)
    work = run(to, path)
    assert (work.tally.rows, work.tally.left_out, len(work.tally.rejects)) == ({TRADES: 30}, 30, 20)
    assert work.tally.rejects[0] == Reject(path, 3, 3, "'x' is no price")
    assert not (to / MARK).exists()


def test_nothing_is_doubled_in_silence(write: Write, to: Path) -> None:
    path = write("t.csv", HEADER + "A,1,1,1\n")
    quotes = write("q.csv", "symbol,ts_ns,bid_price,bid_size,ask_price,ask_size\nA,1,1,1,2,1\n")
    run(to, path)
    with pytest.raises(ConfigurationError, match="dataset=SIP has trades already"):
        run(to, path)
    assert sizes(read(to)) == [1]
    run(to, quotes)
    run(to, path, dataset="Other")
    run(to, path, append=True)
    assert sizes(read(to, dataset="SIP")) == [1, 1]
    assert not (to / MARK).exists()


def test_a_recording_with_other_channels_is_no_obstacle(write: Write, to: Path) -> None:
    record(to, [(BARS, 1, Bar("A", "Minute", 1, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0))])
    run(to, write("t.csv", HEADER + "A,1,1,1\n"))
    assert len(read(to)) == 2


@pytest.fixture
def long(write: Write) -> Path:
    """More rows than a part."""
    return write("t.csv", HEADER + "".join(f"A,{n},1,{n}\n" for n in range(70_000)))


@pytest.mark.unmeasured
def test_an_interrupt_leaves_what_is_written_whole_and_marked(long: Path, write: Write, to: Path) -> None:
    work = TickImport(ImportConfig((long,), to, "SIP"))

    def report() -> None:
        assert work.tally.bytes_read <= work.bytes
        if work.tally.written:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.run(report)
    assert work.tally.written == 65_536
    assert sizes(read(to)) == list(range(65_536))
    assert (to / MARK).exists()
    with pytest.raises(ConfigurationError, match="an import into .* did not come to its end: delete"):
        run(to, long)
    run(to, write("more.csv", HEADER + "A,70000,1,1\n"), append=True)
    assert (to / MARK).exists()  # what is missing of the first is still missing


def test_a_file_that_is_cut_short_is_imported_so_far_and_marked(tmp_path: Path, to: Path) -> None:
    path = tmp_path / "t.csv.gz"
    whole = gzip.compress((HEADER + "".join(f"A,{n},1,{n * n % 7919}\n" for n in range(3_000))).encode())
    path.write_bytes(whole[:-2_000])
    work = TickImport(ImportConfig((path,), to, "SIP"))
    with pytest.raises(SourceError, match=r"cannot read .*t\.csv\.gz"):
        work.run()
    assert 0 < work.tally.written == sum(work.tally.rows.values()) == len(read(to))
    assert (to / MARK).exists()


@pytest.mark.unmeasured
def test_a_full_disk_stops_it(long: Path, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    work = TickImport(ImportConfig((long,), to, "SIP"))
    with pytest.raises(RecordingError, match="No space left on device"):
        work.run()
    assert (parts(to), work.tally.written) == ([], 0)
    assert (to / MARK).exists()


def test_a_mark_that_cannot_be_written(write: Write, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    work = TickImport(ImportConfig((write("t.csv", HEADER),), to, "SIP"))
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RecordingError, match=r"cannot write .*unfinished: No space left"):
        work.run()


def test_a_file_that_vanishes_is_an_error(write: Write, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("t.csv", HEADER + "A,1,1,1\n")
    work = TickImport(ImportConfig((path,), to, "SIP"))
    path.unlink()
    with pytest.raises(SourceError, match="cannot read"):
        work.run()
    work.tally.opened(path, lambda: 1 // 1)
    assert work.tally.bytes_read == 1
    assert importing._size(path) == 0


def test_crypto_by_its_name(write: Write, to: Path) -> None:
    run(to, write("t.csv", HEADER + "btc-usd,1,1,1\n"), dataset="Crypto")
    assert read(to)[0][1].symbol == "BTCUSD"


@pytest.mark.parametrize("name", ["", " "])
def test_a_dataset_has_a_name(write: Write, to: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="a dataset needs a name"):
        run(to, write("t.csv", HEADER), dataset=name)
