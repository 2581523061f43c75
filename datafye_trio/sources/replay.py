"""Replay: recorded events, published again in their order, at the recording's pace, N times that, or full speed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Final

import attrs
import trio

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Timed
from datafye_trio.recordings.csv_ticks import TIME_COLUMNS, TickFile, find_tick_files, read_ticks
from datafye_trio.sources.base import PlayState, Publisher
from datafye_trio.sources.controls import Controls
from datafye_trio.sources.player import Manner, Player

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
        loop: begin again at the end, for ever.
        wait_for_client: hold the first row until so many topics have a subscriber, then 200 ms more.
        start, end: replay only this part of the recording's own time (`Timed`), in nanoseconds, half-open.
        shift_to_now: move all timestamps by one constant, so that the first event that is published happens (a bar:
            begins) at that moment; with `loop`, each lap anew. Otherwise they stay those of the recording.
        paused: begin paused.

    Raises:
        ConfigurationError: no path, a speed that is not above 0, a count of topics below 1, or an empty range.
    """

    paths: tuple[Path, ...] = attrs.field(converter=_paths)
    dataset: str
    asset_class: AssetClass = attrs.field()
    speed: float = 1.0
    loop: bool = False
    wait_for_client: int | None = None
    start: int | None = None
    end: int | None = None
    shift_to_now: bool = False
    paused: bool = False

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
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ConfigurationError("a replay from one time to another needs the second to be the later one")


class Replay:
    """A source that reads tick CSV files (columns: see `csv_ticks`), merged in time with bounded memory.

    Rows merge by `recv_ns` where every file has it, else by `ts_ns`; ties go in file order, trades before quotes.
    Within a file rows keep their order. `exchange_timestamp` is `ts_ns`, else `recv_ns`. The same files, range and
    settings give the same events in the same order at any speed. It is `Controllable`.

    Raises:
        SourceError: a file is missing, unreadable or no tick file; a folder holds none; the files share no time column.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self._config = config
        self._controls = Controls(config.dataset, paused=config.paused)
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
        """Publish all rows once, or for ever with `loop`; returns at the end of the files, unless paused there.

        Raises:
            SourceError: a file cannot be read or a row is malformed; the rows before it were published. The text names
                file and line.
        """
        config = self._config
        try:
            if config.wait_for_client is not None:
                await publisher.wait_subscribed(config.wait_for_client)
                await trio.sleep(_SETTLING)
            manner = Manner(config.speed, config.loop, config.shift_to_now)
            await Player(self._read, publisher, self._controls, manner).play()
        finally:
            self._controls.end()

    # Control: see `datafye_trio.sources.Controllable`.

    @property
    def state(self) -> PlayState:
        """Whether it runs, is paused, or has ended."""
        return self._controls.state

    @property
    def position(self) -> int | None:
        """The place in the recording's time of the last event that was published, None before the first."""
        return self._controls.position

    def pause(self) -> None:
        """Publish nothing more, not even the rest of a batch or of a step.

        Raises:
            SourceError: the replay has ended. So for the three below.
        """
        self._controls.pause()

    def resume(self) -> None:
        """Go on from the next event, which is due at once."""
        self._controls.resume()

    def step(self, n: int = 1) -> None:
        """Publish the next `n` events as fast as clients read, then stay paused. At the end of the files it stops.

        Raises:
            ConfigurationError: `n` is below 1.
        """
        self._controls.step(n)

    def seek(self, to_ns: int) -> None:
        """Go on with the first event at or after this place in the recording's time, within `start` and `end`."""
        self._controls.seek(to_ns)

    async def wait_settled(self) -> None:
        """Wait until what was asked is done; `position` is exact then if the replay is paused. Cancel-safe."""
        await self._controls.wait_settled()

    def _read(self, start: int | None) -> Generator[Timed]:
        """The events from a time on. heapq.merge holds one event of each file, and on a tie takes the first file's."""
        begin, end = self._config.start, self._config.end
        if start is None or (begin is not None and start < begin):
            start = begin
        with ExitStack() as stack:
            readers = (read_ticks(file, self._config.asset_class, self._key) for file in self._files)
            streams = [stack.enter_context(closing(reader)) for reader in readers]
            for time, event in merge(*streams, key=itemgetter(0)):
                if end is not None and time >= end:
                    return
                if start is None or time >= start:
                    yield time, event


def _merge_column(files: Sequence[TickFile]) -> str:
    """The column to merge by. The recorder's clock where possible: it is one clock for all files, and never empty."""
    for column in reversed(TIME_COLUMNS):
        if all(column in file.columns for file in files):
            return column
    lacking = next(file.path for file in files if "ts_ns" not in file.columns)
    other = next(file.path for file in files if "recv_ns" not in file.columns)
    raise SourceError(f"the files share no column of times: {lacking} lacks ts_ns, {other} lacks recv_ns")
