"""Reading the Parquet files of a recording: what their footers say, and their rows in batches of 2,048 at most.

A file that does not bear this program's mark, is of a newer format, lacks columns, or whose pages do not fit their
checksums is named in a SourceError. Files are opened when their turn comes; what lies outside a selection's time or
symbols is passed over by the statistics of the footers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel, Event, Timed
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.base import Selection
from datafye_trio.recordings.decoding import decode
from datafye_trio.recordings.schema import COLUMNS, COMMON_COLUMNS, FORMAT, make_schema

__all__ = ["BATCH_ROWS", "Footer", "ParquetStrand", "open_parquet", "read_footer", "statistics_of", "strands_of"]

BATCH_ROWS: Final = 2_048
"""Some two milliseconds of decoding. Larger ones are slower, and cost each open reader megabytes more."""
_HALTS: Final = frozenset({"halt", "resume"})
"""First and last of the kinds of their channels, by the alphabet: the range of a file's kinds shows them."""


@attrs.frozen
class Footer:
    """What a file of a recording says of itself: the times of its first and last row, and when its rows happened."""

    path: Path
    dataset: str
    asset_class: AssetClass
    channel: Channel
    rows: int
    first: int
    last: int
    happened: tuple[int, int]
    has_halts: bool


@contextmanager
def open_parquet(path: Path, channel: Channel | None = None) -> Iterator[Any]:
    """A file as `pyarrow.parquet.ParquetFile`, texts of `channel` as dictionaries; what fails is a SourceError."""
    pa = load_arrow()
    common = [] if channel is None else COMMON_COLUMNS[channel]
    try:
        with _opened(path, common) as file:
            yield file
    except FileNotFoundError as error:
        raise SourceError(f"there is no file {path}") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SourceError(f"cannot read {path}: {why}") from error


def _opened(path: Path, common: Sequence[str]) -> Any:
    pa = load_arrow()
    try:
        return pa.parquet.ParquetFile(path, read_dictionary=common, page_checksum_verification=True)
    except LookupError as error:  # pyarrow's own bookkeeping stumbles over a damaged footer
        raise SourceError(f"cannot read {path}: its footer is damaged ({error})") from error


def read_footer(path: Path) -> Footer | None:
    """What a file says of itself; None if it holds no row.

    Raises:
        SourceError: the file cannot be read, or is no file of a recording; the text names it.
        ConfigurationError: pyarrow is not installed.
    """
    with open_parquet(path) as file:
        return _footer(path, file)


def _footer(path: Path, file: Any) -> Footer | None:
    metadata, schema = file.metadata, file.schema_arrow
    marks = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items() if key[:8] == b"datafye."}
    version = marks.get("datafye.format", "")
    if not version.isdecimal():
        raise SourceError(f"{path} is no file of a recording: it does not bear the mark of one (datafye.format)")
    if int(version) > FORMAT:
        raise SourceError(f"{path} is of format {version}, and this version reads {FORMAT}: update datafye-trio")
    try:
        dataset = marks["datafye.dataset"]
        asset_class, channel = AssetClass(marks["datafye.asset_class"]), Channel(marks["datafye.channel"])
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path} is no file of a recording: its mark is incomplete ({error})") from None
    if not schema.equals(make_schema(dataset, asset_class, channel)):
        raise SourceError(f"{path} has not the columns of {channel}: it was changed by another program")
    if metadata.num_rows != sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)):
        raise SourceError(f"cannot read {path}: its footer is damaged (its counts of rows differ)")
    if metadata.num_rows == 0:
        return None
    groups = range(metadata.num_row_groups)
    times = [_range(path, file, group, 0) for group in groups]
    happened = [_range(path, file, group, _happened_column(channel)) for group in groups]
    kinds = {kind for group in groups for kind in _range(path, file, group, 1)}
    return Footer(
        path, dataset, asset_class, channel, metadata.num_rows, *_hull(times), _hull(happened), bool(kinds & _HALTS)
    )


def _hull(ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _happened_column(channel: Channel) -> int:
    """The place of the column that tells when a row happened: by the exchange, or the start of a bar."""
    names = [column.name for column in COLUMNS[channel]]
    return next(names.index(name) for name in ("exchange_timestamp", "start", "timestamp") if name in names)


def statistics_of(path: Path, file: Any, group: int, column: int) -> Any:
    """The statistics of a column in a row group.

    A row is read first (0.1 to 0.2 ms): where a footer contradicts itself, that is an error, but asked for statistics
    pyarrow ends the process.

    Raises:
        SourceError: the footer says two things of the column, or has no statistics of it.
        OSError, pyarrow.ArrowException: likewise, as pyarrow puts it; `open_parquet` makes a SourceError of it.
    """
    next(file.iter_batches(1, [group], columns=[file.schema_arrow.names[column]], use_threads=False), None)
    chunk = file.metadata.row_group(group).column(column)
    if chunk.physical_type != file.metadata.schema.column(column).physical_type:
        raise SourceError(f"cannot read {path}: its footer is damaged (a column is of two types)")
    if (found := chunk.statistics) is None:
        raise SourceError(f"{path} has no statistics of its columns: it was changed by another program")
    return found


def _range(path: Path, file: Any, group: int, column: int) -> tuple[Any, Any]:
    """The lowest and the highest value of a column in a row group, by the statistics that our writer keeps."""
    found = statistics_of(path, file, group, column)
    if not found.has_min_max:
        raise SourceError(f"{path} has no statistics of its columns: it was changed by another program")
    return found.min, found.max


def strands_of(footers: Sequence[Footer]) -> list[ParquetStrand]:
    """Files of one dataset, in their order, as strands.

    Files of a channel that follow each other in time make one strand, read one after the other, so that a year of
    parts needs one open file. Where a file begins before the end of the last one (ticks that were appended to a day
    later on), another strand begins, and the two are merged.
    """
    found: list[ParquetStrand] = []
    for channel in Channel:
        strands: list[list[tuple[int, Footer]]] = []
        for place, footer in enumerate(footers):
            if footer.channel is channel:
                ended = [parts for parts in strands if parts[-1][1].last <= footer.first]
                # The one that ended last, and of equals the one of the file before: rows of the same time that one
                # writer spread over two files stay in their order.
                best = max(ended, key=lambda parts: (parts[-1][1].last, parts[-1][0]), default=None)
                if best is None:
                    strands.append([(place, footer)])
                else:
                    best.append((place, footer))
        found += [ParquetStrand(channel, tuple(part for _, part in parts)) for parts in strands]
    return found


@attrs.frozen
class ParquetStrand:
    """Files of one channel that follow each other in time; at least one."""

    channel: Channel
    parts: tuple[Footer, ...]

    @property
    def has_halts(self) -> bool:
        """Whether halts or resumptions are among them."""
        return any(part.has_halts for part in self.parts)

    @property
    def indexed(self) -> bool:
        """Statistics tell which parts and row groups hold a time."""
        return True

    def read(self, selection: Selection) -> Generator[Timed]:
        """As `Strand.read`."""
        for part in self.parts:
            if selection.end is not None and part.first >= selection.end:
                return
            if selection.start is not None and part.last < selection.start:
                continue
            if _overlap(part.happened, selection.happened):
                yield from _read_part(part, selection)


def _overlap(held: tuple[int, int], wanted: tuple[int, int] | None) -> bool:
    return wanted is None or (held[0] < wanted[1] and held[1] >= wanted[0])


def _read_part(part: Footer, selection: Selection) -> Generator[Timed]:
    start, end, symbols = selection.start, selection.end, selection.symbols
    latest = part.first
    with open_parquet(part.path, part.channel) as file:
        groups = [group for group in range(file.num_row_groups) if _worth_reading(file, group, part, selection)]
        for batch in file.iter_batches(BATCH_ROWS, groups, use_threads=False):
            times = batch.column(0).to_pylist()
            if times[0] < latest or sorted(times) != times:
                raise SourceError(f"{part.path}: its rows are not in order of time")
            latest = times[-1]
            low = 0 if start is None else bisect_left(times, start)
            high = len(times) if end is None else bisect_left(times, end)
            batch = batch.slice(low, high - low)
            if symbols is not None:
                batch = _of_symbols(batch, symbols)
            if batch.num_rows:
                yield from zip(batch.column(0).to_pylist(), _events(batch, part), strict=True)


def _events(batch: Any, part: Footer) -> Iterator[Event]:
    try:
        return decode(batch, part.channel, part.asset_class)
    except ValueError as error:
        raise SourceError(f"{part.path}: {error}") from error


def _worth_reading(file: Any, group: int, part: Footer, selection: Selection) -> bool:
    """Whether a row group may hold what is wanted. Symbols are looked at themselves: their range says little."""
    first, last = _range(part.path, file, group, 0)
    if selection.start is not None and last < selection.start:
        return False
    if selection.end is not None and first >= selection.end:
        return False
    if not _overlap(_range(part.path, file, group, _happened_column(part.channel)), selection.happened):
        return False
    if selection.symbols is None:
        return True
    held = file.read_row_group(group, columns=["symbol"], use_threads=False).column(0).unique().to_pylist()
    return not selection.symbols.isdisjoint(held)


def _of_symbols(batch: Any, symbols: frozenset[str]) -> Any:
    pa = load_arrow()
    column = batch.column("symbol")
    wanted = pa.array([text in symbols for text in column.dictionary.to_pylist()], pa.bool_())
    return batch.filter(wanted.take(column.indices))
