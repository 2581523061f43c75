"""Where files lie, which day a time belongs to, and what is found again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings.kit import CRYPTO, NOON, SECOND, STOCKS

from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel
from datafye_trio.protocol.times import NEW_YORK
from datafye_trio.recordings.layout import Day, channel_folder, dataset_folder, new_part_path, parts_of


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("time", "asset_class", "day"),
    [
        ("2025-10-09T12:00:00+00:00", STOCKS, "2025-10-09"),
        ("2025-10-10T03:59:59+00:00", STOCKS, "2025-10-09"),
        ("2025-10-10T04:00:00+00:00", STOCKS, "2025-10-10"),
        ("2025-01-10T04:59:59+00:00", STOCKS, "2025-01-09"),  # winter: five hours
        ("2025-11-03T04:59:59+00:00", STOCKS, "2025-11-02"),  # the clocks went back on the 2nd, at 06:00 UTC
        ("2025-10-09T23:59:59+00:00", CRYPTO, "2025-10-09"),
        ("2025-10-10T00:00:00+00:00", CRYPTO, "2025-10-10"),
        ("1970-01-01T00:00:00+00:00", STOCKS, "1969-12-31"),
    ],
)
def test_a_day_is_the_datasets_own(time: str, asset_class: AssetClass, day: str) -> None:
    found = Day.of(at(time), asset_class)
    assert found.name == day
    assert found.start <= at(time) < found.end
    assert Day.of(found.end, asset_class).name > day


@given(st.integers(0, 2**63 - 1), st.sampled_from(list(AssetClass)))
def test_a_day_is_what_the_calendar_says(time: int, asset_class: AssetClass) -> None:
    day = Day.of(time, asset_class)
    zone = NEW_YORK if asset_class is STOCKS else None
    if zone is not None:
        assert datetime.fromtimestamp(time // SECOND, zone).date().isoformat() == day.name
    assert day.start <= time < day.end


@pytest.mark.parametrize("name", ["SIP", "My Set/1", "a=b", "ü", ".."])
def test_any_name_of_a_dataset_is_one_folder(tmp_path: Path, name: str) -> None:
    folder = dataset_folder(tmp_path, name)
    assert folder.parent == tmp_path
    folder.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_parts_go_by_their_numbers(tmp_path: Path) -> None:
    dataset = dataset_folder(tmp_path, "SIP")
    channel = channel_folder(dataset, Channel.TRADES)
    assert list(parts_of(dataset, Channel.TRADES)) == []
    for day, numbers in {"2025-01-02": (9, 100_000, 10), "2024-01-01": (0,)}.items():
        (channel / f"day={day}").mkdir(parents=True)
        for number in numbers:
            (channel / f"day={day}" / f"part-{number:05}.parquet").touch()
    (channel / "day=2024-01-01" / "part-x.parquet").touch()
    (channel / "other").mkdir()
    (channel / "day=2023-01-01").touch()
    names = [(path.parent.name, path.name) for path in parts_of(dataset, Channel.TRADES)]
    assert names == [
        ("day=2024-01-01", "part-00000.parquet"),
        ("day=2025-01-02", "part-00009.parquet"),
        ("day=2025-01-02", "part-00010.parquet"),
        ("day=2025-01-02", "part-100000.parquet"),
    ]
    assert new_part_path(channel, "2025-01-02").name == "part-100001.parquet"
    assert new_part_path(channel, "2026-01-02") == channel / "day=2026-01-02" / "part-00000.parquet"


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel_folder(tmp_path, Channel.TRADES).mkdir()

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match=r"cannot read the folder .*channel=trades: Permission denied"):
        list(parts_of(tmp_path, Channel.TRADES))


def test_noon_is_what_it_says() -> None:
    assert at("2025-10-09T12:00:00+00:00") == NOON
