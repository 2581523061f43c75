"""Importing tick CSV files into a recording: rows in order, with bounded memory, and no row left out in silence.

All files of an import are merged by time as a replay would merge them, so that each part follows the one before it. A
malformed row is left out and reported. While it runs, a mark lies in the dataset's folder; it stays if the import does
not come to its end, so that half a dataset is never taken for a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from datafye_trio.errors import ConfigurationError, RecordingError, SourceError
from datafye_trio.model import AssetClass, Channel, Timed, Trade
from datafye_trio.protocol.names import normalise_symbol
from datafye_trio.recordings.base import Selection
from datafye_trio.recordings.csv_ticks import (
    COLUMN_MEANINGS,
    TickFile,
    TickFormat,
    find_tick_files,
    merge_column,
    read_ticks,
)
from datafye_trio.recordings.layout import IMPORT_MARK, PART_ROWS, Day, parts_of
from datafye_trio.recordings.merging import MergedRecording
from datafye_trio.recordings.opening import default_asset_class
from datafye_trio.recordings.writer import RecordingWriter

__all__ = ["ImportConfig", "Reject", "Tally", "TickImport"]

_SHOWN: Final = 20
_STEP: Final = 4_096
"""Rows between two reports."""


@attrs.frozen
class ImportConfig:
    """What to import, and where to.

    Attributes:
        paths: tick files and folders of them.
        folder: the root of the recording.
        dataset: the dataset's name.
        asset_class: by default crypto for the dataset `Crypto`, stocks for every other.
        columns: their column for each of our names that is another one there.
        time: the unit of their times: `ns`, `us`, `ms`, `s` or `iso`.
        append: write although the recording has rows of these channels already.
        symbol: what is traded in files without a column that says so.

    Raises:
        ConfigurationError: a name that is none of ours, a column of theirs that is given twice, no symbol, or a
            dataset without a name.
    """

    paths: tuple[Path, ...]
    folder: Path
    dataset: str
    asset_class: AssetClass = attrs.field()
    columns: Mapping[str, str] = attrs.Factory(dict)
    time: str = "ns"
    append: bool = False
    symbol: str | None = None

    @asset_class.default
    def _default_asset_class(self) -> AssetClass:
        return default_asset_class(self.dataset)

    def __attrs_post_init__(self) -> None:
        if not self.dataset.strip():
            raise ConfigurationError("a dataset needs a name: SIP, Crypto or any other")
        if unknown := [name for name in self.columns if name not in COLUMN_MEANINGS]:
            raise ConfigurationError(f"column {unknown[0]!r} is none of ours: use one of {', '.join(COLUMN_MEANINGS)}")
        theirs = list(self.columns.values())
        if twice := [name for name in theirs if theirs.count(name) > 1]:
            raise ConfigurationError(f"column {twice[0]!r} stands for two of ours")
        if self.symbol is not None:
            try:
                normalise_symbol(self.symbol, self.asset_class)
            except ValueError as error:
                raise ConfigurationError(str(error)) from None


@attrs.frozen
class Reject:
    """A row that was left out: the lines of its file (one, but where a quoted cell goes on for more), and why."""

    path: Path
    first: int
    last: int
    why: str


class Tally:
    """What an import has done so far; the `Watch` of its files."""

    def __init__(self) -> None:
        self.rows: Final[dict[Channel, int]] = {}
        """Rows taken, by channel."""
        self.days: Final[dict[Channel, int]] = {}
        """Days with rows, by channel."""
        self.first: int | None = None
        """The time of the first row."""
        self.written = 0
        """Rows on disk; when all has ended well, those that were taken."""
        self.left_out = 0
        """Lines of malformed rows."""
        self.rejects: Final[list[Reject]] = []
        """The first malformed rows."""
        self._positions: list[tuple[Path, Callable[[], int]]] = []

    @property
    def bytes_read(self) -> int:
        """Bytes read of all files, as they lie on disk."""
        return sum(_position(path, position) for path, position in self._positions)

    def opened(self, path: Path, position: Callable[[], int]) -> None:
        """As `Watch.opened`."""
        self._positions.append((path, position))

    def rejected(self, path: Path, first: int, last: int, why: str) -> None:
        """As `Watch.rejected`."""
        self.left_out += last - first + 1
        if len(self.rejects) < _SHOWN:
            self.rejects.append(Reject(path, first, last, why))


class TickImport:
    """One import: its files are found when it is made, and read by `run`; `tally` can be looked at at any time.

    Raises:
        SourceError: a path is missing or no tick file; the files share no column of times.
        ConfigurationError: a column that was given is in none of the files.
    """

    def __init__(self, config: ImportConfig) -> None:
        self._config = config
        theirs = {ours: name.strip().lower() for ours, name in config.columns.items()}
        self.files: Final = find_tick_files(config.paths, TickFormat(theirs, config.time, config.symbol))
        for ours, name in theirs.items():
            if not any(name in file.header for file in self.files):
                raise ConfigurationError(f"no file has a column {name!r}, which is to be {ours}")
        self._key = merge_column(self.files)
        self.bytes: Final = sum(_size(file.path) for file in self.files)
        """Bytes of all files, as they lie on disk."""
        self.tally: Final = Tally()
        self.marked = False
        """Whether this import has left its mark: before that, nothing was touched."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Columns of the files that are not kept, by name."""
        unused = {"recv_ns"} if self._key == "ts_ns" else set()
        kept = {name for file in self.files for name in file.columns} & unused
        return tuple(sorted(kept.union(*(file.ignored for file in self.files))))

    def run(self, report: Callable[[], None] = lambda: None) -> None:
        """Import; calls `report` every few thousand rows.

        Ended by an exception, KeyboardInterrupt included, what is written is whole, and marked as unfinished.

        Raises:
            ConfigurationError: the dataset has rows of these channels, or an unfinished import, and it is not to
                append; pyarrow is not installed.
            RecordingError: the recording cannot be written: a full disk, another writer.
            SourceError: a file cannot be read any further; the rows before are written. The text names it.
        """
        config = self._config
        with RecordingWriter(config.folder, config.dataset, config.asset_class) as writer:
            mark = writer.folder / IMPORT_MARK
            marked = mark.exists()
            if not config.append:
                self._refuse_a_second(writer.folder, marked)
            _write_mark(mark)
            self.marked = True
            try:
                self._copy(writer, report)
            except SourceError:
                writer.flush()
                raise
            finally:
                self.tally.written = writer.written
            if not marked:  # a mark of an import before this one says what is still true
                mark.unlink()

    def _refuse_a_second(self, folder: Path, marked: bool) -> None:
        if marked:
            raise ConfigurationError(
                f"an import into {folder} did not come to its end: delete the folder to begin anew, or its file "
                f"{IMPORT_MARK} to keep what is there; to add to it all the same, append"
            )
        for channel in sorted({file.channel for file in self.files}):
            if next(parts_of(folder, channel), None) is not None:
                raise ConfigurationError(
                    f"{folder} has {channel} already, and what is imported twice is there twice: "
                    "choose another folder or dataset, delete it, or append"
                )

    def _copy(self, writer: RecordingWriter, report: Callable[[], None]) -> None:
        rows, days = self.tally.rows, self.tally.days
        asset_class = self._config.asset_class
        ends = dict.fromkeys(Channel, 0)
        strands = tuple(_WatchedStrand(file, asset_class, self._key, self.tally) for file in self.files)
        with closing(MergedRecording(self._config.dataset, asset_class, strands).read()) as events:
            for count, (time, event) in enumerate(events, 1):
                channel = Channel.TRADES if type(event) is Trade else Channel.QUOTES
                if self.tally.first is None:
                    self.tally.first = time
                writer.add(channel, time, event)
                rows[channel] = rows.get(channel, 0) + 1
                if time >= ends[channel]:
                    ends[channel] = Day.of(time, asset_class).end
                    days[channel] = days.get(channel, 0) + 1
                if not count % _STEP:
                    if not count % PART_ROWS:
                        writer.flush(whole_parts=True)
                    self.tally.written = writer.written
                    report()
        writer.flush()


@attrs.frozen
class _WatchedStrand:
    """A tick file whose malformed rows are reported and left out."""

    file: TickFile
    asset_class: AssetClass
    key: str
    watch: Tally
    has_halts: bool = False
    indexed: bool = False

    @property
    def channel(self) -> Channel:
        return self.file.channel

    def read(self, _: Selection) -> Generator[Timed]:
        return read_ticks(self.file, self.asset_class, self.key, self.watch)


def _write_mark(mark: Path) -> None:
    try:
        mark.write_text("An import into this dataset has not come to its end: rows are missing.\n")
    except OSError as error:
        raise RecordingError(f"cannot write {mark}: {error.strerror}") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it was there a moment ago: reading it will tell


def _position(path: Path, position: Callable[[], int]) -> int:
    try:
        return position()
    except ValueError:  # closed: read to its end, or given up
        return _size(path)
