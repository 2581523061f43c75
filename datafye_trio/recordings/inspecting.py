"""What a recording holds: rows, span, symbols, and the holes in its sequence numbers, for each dataset and channel.

Footers give the rows and the span. Symbols, and positions where there are any, are read column by column, a row group
at a time, so that memory goes with the number of topics and not with that of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from datafye_trio.errors import SourceError
from datafye_trio.model import Channel
from datafye_trio.recordings.layout import IMPORT_MARK
from datafye_trio.recordings.opening import footer_of, parquet_files
from datafye_trio.recordings.parquet import BATCH_ROWS, Footer, open_parquet, statistics_of

__all__ = ["ChannelReport", "EpochReport", "FolderReport", "Hole", "inspect_folder"]

_LISTED: Final = 20


@attrs.frozen
class Hole:
    """Sequence numbers that are missing from a topic, `first` and `last` included."""

    epoch: str
    symbol: str
    frequency: str | None
    running: bool
    first: int
    last: int


@attrs.define
class EpochReport:
    """One life of a dataset's numbering: its rows, and the times of the first and the last (nanoseconds)."""

    epoch: str
    rows: int
    first: int
    last: int


@attrs.define
class ChannelReport:
    """One channel of a dataset. Times in nanoseconds; `bytes` on disk.

    Attributes:
        epochs: none where rows have no positions, as those that were imported.
        gaps: how many holes there are, and `holes` the first of them; `missing` numbers in all.
        repeated: rows whose number is not above the one before it in their topic.
    """

    dataset: str
    asset_class: str
    channel: str
    files: int
    rows: int
    symbols: int
    first: int
    last: int
    bytes: int
    epochs: list[EpochReport] = attrs.Factory(list)
    gaps: int = 0
    missing: int = 0
    holes: list[Hole] = attrs.Factory(list)
    repeated: int = 0


@attrs.frozen
class FolderReport:
    """All of a folder: its channels by dataset; files that cannot be read, and why; datasets half imported."""

    channels: tuple[ChannelReport, ...]
    broken: tuple[tuple[Path, str], ...]
    unfinished: tuple[Path, ...]


def inspect_folder(folder: Path) -> FolderReport:
    """What the files of a recording in a folder and below hold. Broken ones are reported, and no error.

    Raises:
        SourceError: there is no such folder, or nothing of a recording in it.
        ConfigurationError: pyarrow is not installed.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder: name one" if folder.exists() else f"there is no folder {folder}")
    unfinished = tuple(sorted({*folder.glob(f"dataset=*/{IMPORT_MARK}"), *folder.glob(IMPORT_MARK)}))
    paths = parquet_files(folder)
    if not paths and not unfinished:
        raise SourceError(f"there is no recording in {folder}: no Parquet file, there or below")
    broken: list[tuple[Path, str]] = []
    scans: dict[tuple[str, Channel], _Scan] = {}
    for path in paths:
        try:
            if (footer := footer_of(path)) is None:
                continue
            scan = scans.setdefault((footer.dataset, footer.channel), _Scan(footer))
            scan.take(footer)
        except SourceError as error:
            broken.append((path, str(error)))
    order = list(Channel)
    channels = [scans[key].report for key in sorted(scans, key=lambda key: (key[0], order.index(key[1])))]
    return FolderReport(tuple(channels), tuple(broken), tuple(mark.parent for mark in unfinished))


class _Scan:
    """One channel while its files are gone through, in their order."""

    def __init__(self, footer: Footer) -> None:
        names = (footer.dataset, str(footer.asset_class), str(footer.channel))
        self.report = ChannelReport(*names, 0, 0, 0, footer.first, footer.last, 0)
        self._symbols: set[str] = set()
        self._epochs: dict[str, EpochReport] = {}
        self._latest: dict[tuple[Any, ...], int] = {}

    def take(self, footer: Footer) -> None:
        """Add a file.

        Raises:
            SourceError: it cannot be read; some of its rows may have been looked at.
        """
        report = self.report
        with open_parquet(footer.path, footer.channel) as file:
            names = (
                ["symbol"]
                if _is_empty(footer.path, file, "epoch")
                else ["time", "symbol", "epoch", "seq", *_topic(footer)]
            )
            for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                self._symbols.update(batch.column("symbol").unique().to_pylist())
                if len(names) > 1:
                    self._follow(batch, footer)
        report.files += 1
        report.rows += footer.rows
        report.first, report.last = min(report.first, footer.first), max(report.last, footer.last)
        report.bytes += footer.path.stat().st_size
        report.symbols = len(self._symbols)

    def _follow(self, batch: Any, footer: Footer) -> None:
        """Go on with the numbers of each topic."""
        columns = {name: batch.column(name).to_pylist() for name in ("time", "symbol", "epoch", "seq")}
        topics = [batch.column(name).to_pylist() for name in _topic(footer)]
        keys = zip(columns["epoch"], columns["symbol"], *topics, strict=True)
        for key, time, seq in zip(keys, columns["time"], columns["seq"], strict=True):
            if key[0] is None or seq is None:
                continue
            self._count(key[0], time)
            before = self._latest.get(key, seq - 1)
            if seq <= before:
                self.report.repeated += 1
                continue
            self._latest[key] = seq
            if seq > before + 1:
                self._note(key, before + 1, seq - 1)

    def _count(self, epoch: str, time: int) -> None:
        found = self._epochs.get(epoch)
        if found is None:
            found = self._epochs[epoch] = EpochReport(epoch, 0, time, time)
            self.report.epochs.append(found)
        found.rows += 1
        found.last = time

    def _note(self, key: tuple[Any, ...], first: int, last: int) -> None:
        report = self.report
        report.gaps += 1
        report.missing += last - first + 1
        if len(report.holes) < _LISTED:
            epoch, symbol, frequency, final = (*key, None, True)[:4]
            report.holes.append(Hole(epoch, symbol, frequency, not final, first, last))


def _topic(footer: Footer) -> Sequence[str]:
    """The columns that tell the topics of a symbol apart: running bars are numbered for themselves."""
    if footer.channel is Channel.AGGREGATES:
        return ("frequency", "final")
    return ("frequency",) if footer.channel.has_frequency else ()


def _is_empty(path: Path, file: Any, name: str) -> bool:
    """Whether a column holds nothing, by the statistics."""
    at = file.schema_arrow.names.index(name)
    return all(
        statistics_of(path, file, group, at).null_count == file.metadata.row_group(group).num_rows
        for group in range(file.num_row_groups)
    )
