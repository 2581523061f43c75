"""Writing a recording as events come in, so that a kill at any moment loses at most what came since the last flush.

A flush writes the current part of each channel whole: to a hidden file, to the disk, then by an atomic rename over the
part's own name. So every file that is seen opens and holds each row once, there is no journal to replay and nothing to
put together afterwards. A part that holds `part_rows` is never written again. What a flush costs is bounded by one
part a channel: 65,536 trades take some 50 ms and a megabyte.

No trio and no threads: `add` takes two microseconds, `flush` blocks for as long as the disk does.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import attrs

from datafye_trio.errors import EventError, RecordingError, SourceError
from datafye_trio.model import AssetClass, Channel, Event
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.files import lock_folder, make_folders, replace_file
from datafye_trio.recordings.layout import PART_ROWS, Day, channel_folder, dataset_folder, new_part_path, parts_of
from datafye_trio.recordings.parquet import read_footer
from datafye_trio.recordings.schema import CHANNELS, COMMON_COLUMNS, Row, batch_of, make_schema

__all__ = ["RecordingWriter", "WriterConfig"]

_LATEST: Final = 2**63 - 1
_UNFIT: Final = (ValueError, TypeError, OverflowError, AttributeError)
"""What Arrow and Python say of a value that its column does not take."""
_CHUNKS: Final = 32
"""So many small batches of a part are put together: each costs time in every flush after it."""


@attrs.frozen
class WriterConfig:
    """Bounds of a writer, in rows: of one part, and of what waits for the next flush, all channels together."""

    part_rows: int = PART_ROWS
    waiting_rows: int = 262_144


@attrs.define
class _Part:
    """The part of a channel that is being filled: what is on disk of it, as Arrow batches."""

    day: str
    path: Path
    batches: list[Any] = attrs.Factory(list)
    rows: int = 0


@attrs.define
class _Lane:
    """One channel: rows that wait, each with its day, and the part that they go to."""

    channel: Channel
    schema: Any
    day: Day
    latest: int
    waiting: deque[tuple[str, Row]] = attrs.Factory(deque)
    part: _Part | None = None


class RecordingWriter:
    """Writes one dataset of a recording; a context manager that flushes at its end. Not for two tasks at once.

    A folder that already has parts is continued with the next number; parts are never overwritten.

    Raises:
        RecordingError: another process writes this dataset in this folder, or the folder cannot be made or read, or
            holds this dataset as one of another asset class.
        ConfigurationError: pyarrow is not installed.
    """

    def __init__(
        self, folder: Path, dataset: str, asset_class: AssetClass, config: WriterConfig = WriterConfig()
    ) -> None:
        load_arrow()
        self.folder: Final = dataset_folder(folder, dataset)
        self.written = 0
        """Rows on disk, of those that this writer was given."""
        self.lost = 0
        """Rows dropped: the oldest that waited, where the disk took none for too long, and such as fit no column."""
        self.waiting = 0
        """Rows that the next flush will write."""
        self._dataset = dataset
        self._asset_class = asset_class
        self._config = config
        self._lanes: dict[Channel, _Lane] = {}
        self._lock = lock_folder(self.folder)
        try:
            self._check_asset_class()
            for stale in self.folder.glob(".part-*.tmp"):
                stale.unlink()
        except OSError as error:
            self._release()
            raise RecordingError(f"cannot clear {self.folder}: {error.strerror}") from error
        except SourceError as error:
            self._release()
            raise RecordingError(str(error)) from error
        except BaseException:
            self._release()
            raise

    def add(self, channel: Channel, time: int, event: Event, epoch: str | None = None, seq: int | None = None) -> None:
        """Take a row; it is on disk after the next flush that succeeds. A time that falls is set to the one before it.

        Where more rows than `waiting_rows` wait, the oldest are dropped and counted in `lost`.

        Raises:
            EventError: the channel does not hold such events, or the time is none.
        """
        if channel not in CHANNELS.get(type(event), ()):
            raise EventError(f"{channel} does not hold a {type(event).__name__}")
        if not 0 <= time <= _LATEST:
            raise EventError(f"{time} is no time: nanoseconds since 1970 are wanted")
        lane = self._lanes.get(channel) or self._open_lane(channel, time)
        if time < lane.latest:
            time = lane.latest
        lane.latest = time
        if time >= lane.day.end:
            lane.day = Day.of(time, self._asset_class)
        lane.waiting.append((lane.day.name, (time, event, epoch, seq)))
        self.waiting += 1
        if self.waiting > self._config.waiting_rows:
            self._drop_oldest()

    def flush(self, *, whole_parts: bool = False) -> None:
        """Write what waits to disk. With `whole_parts`, leave what does not fill a part yet, unless its day is over.

        Raises:
            RecordingError: the disk is full or fails; rows that are not written wait for the next flush, all others
                are as they were. Or rows fit no column: these are dropped, counted in `lost`, and all others written.
        """
        refused: list[str] = []
        for lane in self._lanes.values():
            while self._worth_writing(lane, whole_parts):
                self._write(lane, refused)
        if refused:
            raise RecordingError(f"{len(refused)} rows cannot be written and are lost; the first: {refused[0]}")

    def close(self) -> None:
        """Flush, and let others write the folder. Closing twice is allowed.

        Raises:
            RecordingError: as `flush`; the writer is closed all the same, and what waited is counted in `lost`.
        """
        try:
            self.flush()
        finally:
            self._release()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close. While an exception is on its way only let go: what an interrupted flush left waits in vain."""
        if error is None:
            self.close()
        else:
            self._release()

    def _check_asset_class(self) -> None:
        """What is there must be of the same kind: nobody could open the two together."""
        for path in (path for channel in Channel for path in parts_of(self.folder, channel)):
            try:
                footer = read_footer(path)
            except SourceError:
                continue  # damaged: it tells nothing, and a damaged part must not keep others from being written
            if footer is not None and footer.asset_class is not self._asset_class:
                raise RecordingError(
                    f"{self.folder} is of {footer.asset_class}, and {self._asset_class} is to be written: "
                    "choose another folder or dataset, or the other asset class"
                )
            if footer is not None:
                return

    def _release(self) -> None:
        self.lost += self.waiting
        self.waiting = 0
        self._lanes.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open_lane(self, channel: Channel, time: int) -> _Lane:
        schema = make_schema(self._dataset, self._asset_class, channel)
        lane = _Lane(channel, schema, Day.of(time, self._asset_class), time)
        self._lanes[channel] = lane
        return lane

    def _drop_oldest(self) -> None:
        oldest = min((lane for lane in self._lanes.values() if lane.waiting), key=lambda lane: lane.waiting[0][1][0])
        oldest.waiting.popleft()
        self.waiting -= 1
        self.lost += 1

    def _worth_writing(self, lane: _Lane, whole_parts: bool) -> bool:
        if not lane.waiting:
            return False
        day = lane.waiting[0][0]
        held = lane.part.rows if lane.part is not None and lane.part.day == day else 0
        return not whole_parts or day != lane.day.name or held + len(lane.waiting) >= self._config.part_rows

    def _write(self, lane: _Lane, refused: list[str]) -> None:
        """Write the oldest rows that wait, as many as one part takes. They stop waiting only when they are on disk."""
        day = lane.waiting[0][0]
        try:
            part = self._part(lane, day)
            rows = list(islice(_of_day(lane.waiting, day), self._config.part_rows - part.rows))
            try:
                fresh = batch_of(rows, lane.channel, lane.schema)
            except _UNFIT:
                refused += self._refuse(lane, len(rows))
                return
            self._replace(part, lane, [*part.batches, fresh])
        except (OSError, SourceError) as error:
            why = f"{error.strerror}" if isinstance(error, OSError) else f"{error}"
            raise RecordingError(
                f"cannot write {channel_folder(self.folder, lane.channel)}: {why}; {self.waiting} rows wait"
            ) from error
        part.batches.append(fresh)
        part.rows += len(rows)
        for _ in rows:
            lane.waiting.popleft()
        self.waiting -= len(rows)
        self.written += len(rows)
        if len(part.batches) > _CHUNKS:
            pa = load_arrow()
            part.batches = pa.Table.from_batches(part.batches).combine_chunks().to_batches()
        if part.rows >= self._config.part_rows:
            lane.part = None

    def _refuse(self, lane: _Lane, count: int) -> list[str]:
        """Drop those of the oldest rows that no column takes, and say why."""
        rows = [lane.waiting.popleft() for _ in range(count)]
        bad = dict(_unfit([row for _, row in rows], lane))
        lane.waiting.extendleft(row for at, row in reversed([*enumerate(rows)]) if at not in bad)
        self.waiting -= len(bad)
        self.lost += len(bad)
        return list(bad.values())

    def _part(self, lane: _Lane, day: str) -> _Part:
        """The part that rows of a day go to; a new one where there is none, or where it is another day's."""
        if lane.part is None or lane.part.day != day:
            path = new_part_path(channel_folder(self.folder, lane.channel), day)
            make_folders(path.parent, self.folder.parent)
            lane.part = _Part(day, path)
        return lane.part

    def _replace(self, part: _Part, lane: _Lane, batches: list[Any]) -> None:
        """Put a whole file in the place of a part, or leave all as it is.

        Raises:
            OSError: the disk is full or fails.
        """
        pa = load_arrow()

        def write(file: BinaryIO) -> None:
            table = pa.Table.from_batches(batches, lane.schema)
            common, rows = COMMON_COLUMNS[lane.channel], self._config.part_rows
            pa.parquet.write_table(
                table, file, compression="zstd", use_dictionary=common, row_group_size=rows, write_page_checksum=True
            )

        temporary = self.folder / f".part-{lane.channel}-{part.day}-{part.path.stem}.tmp"
        replace_file(part.path, temporary, write)


def _of_day(waiting: deque[tuple[str, Row]], day: str) -> Iterator[Row]:
    for name, row in waiting:
        if name != day:
            return
        yield row


def _unfit(rows: Sequence[Row], lane: _Lane, first: int = 0) -> Iterator[tuple[int, str]]:
    """The places of rows that no column takes, and why: by halves, so that one among thousands is found at once."""
    try:
        batch_of(rows, lane.channel, lane.schema)
    except _UNFIT as error:
        if len(rows) == 1:
            yield first, f"{rows[0][1]!r:.300}: {error}"
            return
        half = len(rows) // 2
        found = [*_unfit(rows[:half], lane, first), *_unfit(rows[half:], lane, first + half)]
        # Together they do not fit and each half does: none may be tried again for ever.
        yield from found or [(first + at, f"{row[1]!r:.300}: {error}") for at, row in enumerate(rows)]
