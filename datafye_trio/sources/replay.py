"""Replay: recorded ticks, published again in their order, at the pace of the recording, N times that, or full speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from itertools import chain
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Final

import attrs
import trio

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Timed
from datafye_trio.recordings.csv_ticks import TIME_COLUMNS, TickFile, find_tick_files, read_ticks
from datafye_trio.sources.base import Publisher
from datafye_trio.sources.pacing import flood, pace

__all__ = ["Replay", "ReplayConfig"]

_SETTLING: Final = 0.2
"""Seconds between the last awaited subscription and the first row: time for the rest of a client's requests."""


def _paths(paths: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    return (Path(paths),) if isinstance(paths, (str, Path)) else tuple(map(Path, paths))


@attrs.frozen
class ReplayConfig:
    """What to replay, and how.

    Attributes:
        paths: tick files and folders of tick files; one path or several.
        dataset: the dataset's name on the wire.
        asset_class: by default crypto for the dataset `Crypto`, stocks for every other.
        speed: 1.0 is the pace of the recording, N is N times that, `math.inf` as fast as clients that read take it.
        loop: begin again at the end, for ever; timestamps stay those of the files.
        wait_for_client: hold the first row until so many topics have a subscriber, then 200 ms more.

    Raises:
        ConfigurationError: no path, a speed that is not above 0, or a count of topics below 1.
    """

    paths: tuple[Path, ...] = attrs.field(converter=_paths)
    dataset: str
    asset_class: AssetClass = attrs.field()
    speed: float = 1.0
    loop: bool = False
    wait_for_client: int | None = None

    @asset_class.default
    def _default_asset_class(self) -> AssetClass:
        return AssetClass.CRYPTO if self.dataset == "Crypto" else AssetClass.STOCKS

    def __attrs_post_init__(self) -> None:
        if not self.paths:
            raise ConfigurationError("a replay needs at least one file or folder")
        if not self.speed > 0:
            raise ConfigurationError(f"the speed of a replay is above 0, or inf for the highest; {self.speed} is not")
        if self.wait_for_client is not None and self.wait_for_client < 1:
            raise ConfigurationError(f"a replay waits for at least 1 topic, not for {self.wait_for_client}")


class Replay:
    """A source that reads tick CSV files (columns: see `csv_ticks`), merged in time with bounded memory.

    Rows merge by `recv_ns` where every file has it, else by `ts_ns`; ties go in file order, trades before quotes.
    Within a file rows keep their order. `exchange_timestamp` is `ts_ns`, else `recv_ns`.

    Raises:
        SourceError: a file is missing, unreadable or no tick file; a folder holds none; the files share no time column.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self._config = config
        files = find_tick_files(config.paths)
        self._key = _merge_column(files)
        # A stable sort: trades first, each kind in the order given. A file's place breaks ties between files.
        self._files = sorted(files, key=lambda file: file.channel is Channel.QUOTES)
        held = {file.channel for file in files}
        channels = tuple(channel for channel in Channel if channel in held)
        self._dataset = DatasetInfo(config.dataset, config.asset_class, channels)

    @property
    def dataset(self) -> DatasetInfo:
        """What the files hold. Their symbols are not known before they were read: any well-formed one will do."""
        return self._dataset

    async def run(self, publisher: Publisher) -> None:
        """Publish all rows once, or for ever with `loop`; returns at the end of the files.

        Raises:
            SourceError: a file cannot be read or a row is malformed; the rows before it were published. The text names
                file and line.
        """
        if self._config.wait_for_client is not None:
            await publisher.wait_subscribed(self._config.wait_for_client)
            await trio.sleep(_SETTLING)
        while await self._lap(publisher) and self._config.loop:
            # Files whose times do not span anything would else loop at any speed without ever giving clients a chance.
            await publisher.room()

    async def _lap(self, publisher: Publisher) -> int:
        """Once through the files; returns the number of rows (with none, a loop would spin)."""
        failures: list[SourceError] = []
        with ExitStack() as stack:
            readers = (read_ticks(file, self._config.asset_class, self._key) for file in self._files)
            streams = [stack.enter_context(closing(reader)) for reader in readers]
            # heapq.merge holds one event of each file, and on a tie takes the file that comes first.
            events = _up_to_failure(merge(*streams, key=itemgetter(0)), failures)
            if self._config.speed == inf:
                rows = await flood(events, publisher)
            else:
                first = next(events, None)
                origin = 0 if first is None else first[0]
                events = events if first is None else chain([first], events)
                rows = await pace(events, publisher, origin=origin, speed=self._config.speed)
        if failures:
            raise failures[0]
        return rows


def _up_to_failure(events: Iterator[Timed], failures: list[SourceError]) -> Iterator[Timed]:
    """End the events where they fail, and keep the failure for later: the rows before it must still go out."""
    try:
        yield from events
    except SourceError as failure:
        failures.append(failure)


def _merge_column(files: Sequence[TickFile]) -> str:
    """The column to merge by. The recorder's clock where possible: it is one clock for all files, and never empty."""
    for column in reversed(TIME_COLUMNS):
        if all(column in file.columns for file in files):
            return column
    lacking = next(file.path for file in files if "ts_ns" not in file.columns)
    other = next(file.path for file in files if "recv_ns" not in file.columns)
    raise SourceError(f"the files share no column of times: {lacking} lacks ts_ns, {other} lacks recv_ns")
