"""Where a recording's files lie: `DIR/dataset=SIP/channel=trades/day=2018-01-02/part-00000.parquet`.

The folders are hive partitions, which polars, pandas and DuckDB read as columns. A folder `channel=...` and all below
it hold parts and nothing else, since polars refuses a folder with files of another kind, hidden ones too: what is
being written, and the mark of an unfinished import, lie as hidden files in the folder `dataset=...`.

A day is a day of the dataset's own calendar: UTC for crypto, New York for stocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs

from datafye_trio.aggregates.spans import span_of
from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol.times import NEW_YORK

__all__ = [
    "IMPORT_MARK", "PART_ROWS", "Day", "channel_folder", "dataset_folder", "new_part_path", "part_number",
    "parts_of",
]  # fmt: skip

PART_ROWS: Final = 65_536
"""The most rows of a part."""
IMPORT_MARK: Final = ".import-unfinished"
"""The file in a dataset's folder that is there while an import runs, and stays when it does not come to its end."""

_PART: Final = re.compile(r"part-([0-9]+)\.parquet")
_SECOND: Final = 10**9


@attrs.frozen
class Day:
    """A day of a dataset's calendar, and its span in nanoseconds, half-open."""

    name: str
    start: int
    end: int

    @classmethod
    def of(cls, time_ns: int, asset_class: AssetClass) -> Day:
        """The day that holds a time."""
        start, end = span_of(time_ns, Frequency.DAY, asset_class)
        zone = NEW_YORK if asset_class is AssetClass.STOCKS else UTC
        return cls(datetime.fromtimestamp(start // _SECOND, zone).date().isoformat(), start, end)


def dataset_folder(root: Path, dataset: str) -> Path:
    """The folder of a dataset; what its name holds besides letters, digits and `_.-~` is percent-encoded."""
    return root / f"dataset={quote(dataset, safe='')}"


def channel_folder(dataset: Path, channel: Channel) -> Path:
    """The folder of a channel in the folder of a dataset."""
    return dataset / f"channel={channel}"


def new_part_path(channel: Path, day: str) -> Path:
    """The path of the next part of a day, after all that are there. Padded, so that the names sort as the numbers do.

    Raises:
        SourceError: the folder cannot be read.
    """
    folder = channel / f"day={day}"
    taken = (number for number, _ in _numbered(folder)) if folder.is_dir() else ()
    return folder / f"part-{max(taken, default=-1) + 1:05}.parquet"


def parts_of(dataset: Path, channel: Channel) -> Iterator[Path]:
    """The parts of a channel, by day and number; none where the channel is not there.

    Raises:
        SourceError: a folder cannot be read.
    """
    folder = channel_folder(dataset, channel)
    if not folder.is_dir():
        return
    for inner in sorted(_listing(folder)):
        if inner.name.startswith("day=") and inner.is_dir():
            yield from (path for _, path in sorted(_numbered(inner)))


def part_number(path: Path) -> int | None:
    """The number in the name of a part; None for any other file."""
    named = _PART.fullmatch(path.name)
    return None if named is None else int(named[1])


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    return [(number, path) for path in _listing(folder) if (number := part_number(path)) is not None]


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read the folder {folder}: {error.strerror}") from error
