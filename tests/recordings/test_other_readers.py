"""polars, pandas and DuckDB read a recording as it lies, and see the same rows, also while it is being written."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from recordings.kit import DAY, NOON, QUOTES, STOCKS, TRADES, record, trades

from datafye_trio.model import Channel, Quote, Trade
from datafye_trio.recordings.layout import IMPORT_MARK
from datafye_trio.recordings.writer import RecordingWriter

PRICE = 61837.63000000001
DAYS = {"2025-10-09": 3, "2025-10-10": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of trades, with what a kill and an unfinished import leave."""
    traded = Trade("A", NOON + 1, PRICE, 0.5, "XNAS", "7", conditions=("@", "I"))
    rows = [*trades(2), (TRADES, NOON + 10**10, traded), *trades(2, start=NOON + DAY)]
    record(tmp_path, [*rows, (QUOTES, NOON, Quote("A", NOON, None, 0, 1.5, 2))])
    (tmp_path / "dataset=SIP" / ".part-trades-2025-10-09-part-00000.tmp").write_bytes(b"PAR1 half of it")
    (tmp_path / "dataset=SIP" / IMPORT_MARK).touch()
    return tmp_path


def test_polars(folder: Path) -> None:
    frame = pl.scan_parquet(folder / "dataset=SIP" / "channel=trades").collect()
    assert {str(day): count for day, count in frame.group_by("day").len().iter_rows()} == DAYS
    row = frame.filter(pl.col("trade_id") == "7").row(0, named=True)
    assert (row["price"], row["size"], row["time"]) == (PRICE, 0.5, NOON + 10**10)
    assert (row["conditions"], row["exchange_timestamp"]) == (["@", "I"], NOON + 1)
    whole = pl.scan_parquet(
        f"{folder}/dataset=SIP/channel=*/**/*.parquet", missing_columns="insert", extra_columns="ignore"
    )
    assert whole.select(pl.len()).collect().item() == 6


def test_pandas(folder: Path) -> None:
    frame = pd.read_parquet(folder / "dataset=SIP" / "channel=trades")
    assert frame.groupby("day", observed=True).size().to_dict() == DAYS
    row = frame[frame["trade_id"] == "7"].iloc[0]
    assert (row["price"], row["size"], row["time"], list(row["conditions"])) == (PRICE, 0.5, NOON + 10**10, ["@", "I"])
    assert str(frame["time"].dtype) == "int64"


def test_duckdb(folder: Path) -> None:
    table = f"read_parquet('{folder}/dataset=SIP/channel=trades/**/*.parquet', hive_partitioning=true)"
    with duckdb.connect() as base:
        found = base.sql(
            f"select dataset, channel, cast(day as varchar), count(*) from {table} group by all"
        ).fetchall()
        assert sorted(found) == [("SIP", "trades", day, count) for day, count in DAYS.items()]
        query = f"select time, price, size, conditions from {table} where trade_id = '7'"
        assert base.sql(query).fetchall() == [(NOON + 10**10, PRICE, 0.5, ["@", "I"])]
        everything = f"read_parquet('{folder}/**/*.parquet', hive_partitioning=true, union_by_name=true)"
        counts = base.sql(f"select channel, count(*) from {everything} group by all").fetchall()
        assert sorted(counts) == [("quotes", 1), ("trades", 5)]


@pytest.mark.parametrize("channel", list(Channel))
def test_every_channel_can_be_read_while_it_is_written(folder: Path, channel: Channel) -> None:
    with RecordingWriter(folder, "SIP", STOCKS) as writer:
        for given, time, event in trades(3):
            writer.add(given, time, event)
        writer.flush()
        path = folder / "dataset=SIP" / f"channel={channel}"
        if path.is_dir():
            assert len(pl.read_parquet(path)) == len(pd.read_parquet(path)) == {TRADES: 8, QUOTES: 1}[channel]
