"""What a path may be, and which dataset it is of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from recordings.kit import CRYPTO, NOON, QUOTES, SECOND, STOCKS, TRADES, parts, read, record, sizes, trades

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.recordings.base import Selection
from datafye_trio.recordings.opening import default_asset_class, open_recordings, parquet_files

HEADER = "symbol,ts_ns,recv_ns,price,size\n"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A recording of two datasets, one of stocks and one of coins."""
    record(tmp_path, trades(3), part_rows=2)
    return record(tmp_path, trades(2), dataset="My Coins/1", asset_class=CRYPTO)


def test_a_root_stands_for_all_its_datasets(two: Path) -> None:
    found = {one.name: (one.asset_class, one.channels, sizes(one.read())) for one in open_recordings([two])}
    assert found == {"SIP": (STOCKS, (TRADES,), [0, 1, 2]), "My Coins/1": (CRYPTO, (TRADES,), [0, 1])}


def test_one_dataset_may_be_asked_for(two: Path) -> None:
    (one,) = open_recordings([two], dataset="SIP")
    assert (one.name, one.indexed) == ("SIP", True)
    with pytest.raises(SourceError, match="no dataset Other in .*: there is My Coins/1, SIP"):
        open_recordings([two], dataset="Other")


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_any_folder_on_the_way_down_and_any_file_will_do(two: Path, levels: int) -> None:
    first = next(path for path in parts(two) if "dataset=SIP" in path.parts)
    path = Path(*first.parts[: len(two.parts) + levels])
    assert sizes(read(path)) == ([0, 1] if levels == 4 else [0, 1, 2])


def test_a_file_by_itself_knows_its_dataset_and_a_folder_renames_it(two: Path, tmp_path: Path) -> None:
    sip = two / "dataset=SIP"
    alone = tmp_path / "alone.parquet"
    alone.write_bytes(parts(sip)[0].read_bytes())
    assert open_recordings([alone])[0].name == "SIP"
    sip.rename(two / "dataset=Other%20one")
    assert sizes(read(two, dataset="Other one")) == [0, 1, 2]
    assert sizes(read([alone, two / "dataset=Other%20one"], dataset="SIP")) == [0, 1]


def test_parts_go_by_their_numbers_and_hidden_files_are_none(tmp_path: Path) -> None:
    for name in ("part-100000", "part-99999", "part-00001", "x", ".part-00000"):
        (tmp_path / f"{name}.parquet").touch()
    (tmp_path / "notes.txt").touch()
    names = [path.stem for path in parquet_files(tmp_path)]
    assert names == ["x", "part-00001", "part-99999", "part-100000"]


def test_tick_files_must_be_given_a_dataset(write: Callable[[str, str], Path]) -> None:
    path = write("t.csv", HEADER + "A,5,6,1,2\n")
    with pytest.raises(ConfigurationError, match=r"t\.csv does not say what dataset it is of: give its name"):
        open_recordings([path])
    (one,) = open_recordings([path.parent], dataset="Crypto")
    assert (one.name, one.asset_class, one.channels, one.indexed) == ("Crypto", CRYPTO, (TRADES,), False)
    assert [time for time, _ in one.read()] == [6]


def test_the_asset_class_goes_by_the_dataset_unless_given(two: Path, write: Callable[[str, str], Path]) -> None:
    path = write("t.csv", HEADER)
    assert default_asset_class("Crypto") is CRYPTO
    assert open_recordings([path], dataset="Coins")[0].asset_class is STOCKS
    assert open_recordings([path], dataset="Coins", asset_class=CRYPTO)[0].asset_class is CRYPTO
    assert open_recordings([two, path], dataset="My Coins/1")[0].asset_class is CRYPTO
    with pytest.raises(SourceError, match="is of crypto, and My Coins/1 is to be stocks"):
        open_recordings([two], dataset="My Coins/1", asset_class=STOCKS)


def test_csv_and_parquet_of_one_dataset_are_merged(tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    path = write("t.csv", HEADER + f"A,1,{NOON + 1},1,10\nA,1,{NOON + SECOND},1,11\n")
    record(tmp_path / "rec", trades(3))
    assert sizes(read([tmp_path / "rec", path], dataset="SIP")) == [0, 10, 1, 11, 2]
    assert sizes(read([path, tmp_path / "rec"], dataset="SIP")) == [0, 10, 1, 11, 2]
    record(tmp_path, trades(1, start=NOON + 10 * SECOND))
    assert sizes(read(tmp_path, dataset="SIP")) == [0, 10, 1, 11, 2, 0]  # a folder with both stands for both


def test_other_csv_files_beside_parts_are_of_no_concern(tmp_path: Path) -> None:
    record(tmp_path, trades(1))
    (tmp_path / "bars.csv").write_text("symbol,open\n")
    assert sizes(read(tmp_path)) == [0]


def test_tick_files_are_limited_to_a_selection(write: Callable[[str, str], Path]) -> None:
    path = write("t.csv", HEADER + "A,5,5,1,1\nB,6,6,1,2\nA,7,7,1,3\n")
    assert sizes(read(path, Selection(symbols=frozenset({"A"}), start=6), dataset="X")) == [3]
    assert read(path, Selection(channels=frozenset({QUOTES})), dataset="X") == []


@pytest.mark.parametrize(("name", "text"), [("nowhere", "there is no file"), ("x.parquet", "there is no file")])
def test_a_path_that_is_not_there_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(SourceError, match=text) as caught:
        open_recordings([tmp_path / name], dataset="X")
    assert str(tmp_path / name) in str(caught.value)


def test_a_folder_with_nothing_in_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is empty: there is no recording in it, and no tick file"):
        open_recordings([tmp_path], dataset="X")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match="no tick file in the folder"):
        open_recordings([tmp_path], dataset="X")


def test_files_without_a_row_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, trades(1))
    monkeypatch.setattr("datafye_trio.recordings.opening.read_footer", lambda _: None)
    with pytest.raises(SourceError, match="there is not one row in"):
        open_recordings([tmp_path])


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, trades(1))

    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match="cannot read the folder .*: Permission denied"):
        parquet_files(tmp_path)
