"""Replay: recorded events, published again in their order, at the recording's pace, N times that, or full speed."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import trio

from datafye_trio.aggregates import Aggregation, default_aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.logs import get_logger
from datafye_trio.model import Channel, DatasetInfo, Frequency, Timed
from datafye_trio.recordings.base import Recording, Selection
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.sources.base import PlayState, Publisher
from datafye_trio.sources.controls import Controls
from datafye_trio.sources.history import RecordedHistory
from datafye_trio.sources.player import Manner, Player
from datafye_trio.sources.replay_config import ReplayConfig

__all__ = ["Replay", "ReplayConfig"]

log = get_logger("source")

_SETTLING: Final = 0.2
"""Seconds between the last awaited subscription and the first row: time for the rest of a client's requests."""


class Replay:
    """A source that reads recordings (Parquet) and tick CSV files, merged in time with bounded memory.

    The same files, range and settings give the same events in the same order at any speed. It is `Controllable`,
    `Aggregating` and `Historical`.

    Raises:
        SourceError: a file is missing, unreadable or nothing that can be replayed; the dataset is not in the recording.
        ConfigurationError: the dataset must be named; pyarrow is needed and not installed.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self._config = config
        self._recording = recording = _open(config)
        held = set(recording.channels)
        self._aggregation: Aggregation | None = None
        if Channel.TRADES in held:
            default = default_aggregation(recording.name)
            self._aggregation = default if config.aggregation == "default" else config.aggregation
        if self._aggregation is not None:
            held -= {channel for channel in Channel if channel.has_frequency}
        self._history = RecordedHistory(recording, self._aggregation, config.symbols) if config.history else None
        offered = held if config.channels is None else held & set(config.channels)
        folded = {Channel.TRADES} if self._aggregation is not None else set()
        symbols = None if config.symbols is None else frozenset(config.symbols)
        self._selection = Selection(frozenset(offered | folded), symbols, end=config.end)
        self._controls = Controls(recording.name, paused=config.paused)
        self._dataset = DatasetInfo(
            recording.name,
            recording.asset_class,
            tuple(channel for channel in Channel if channel in offered),
            # Which of them were recorded is not known before the bars were read.
            tuple(Frequency) if any(channel.has_frequency for channel in offered) else (),
            symbols,
        )

    @property
    def dataset(self) -> DatasetInfo:
        """What the recording holds. Unless they were given, its symbols are not known: any well-formed one will do."""
        return self._dataset

    @property
    def aggregation(self) -> Aggregation | None:
        """How bars are made of the trades; None without trades, or where none are to be made."""
        return self._aggregation

    @property
    def history(self) -> RecordedHistory | None:
        """The recording as stored data: all of it, at its own times, whatever of it is replayed. None if so wished."""
        return self._history

    async def run(self, publisher: Publisher) -> None:
        """Publish all events once, or for ever with `loop`; returns at the end, unless paused there.

        Raises:
            SourceError: a file cannot be read or a row is malformed; what is before it was published. The text names
                the file, and the line where there are lines.
        """
        config = self._config
        try:
            if config.wait_for_client is not None:
                await publisher.wait_subscribed(config.wait_for_client)
                await trio.sleep(_SETTLING)
            manner = Manner(config.speed, config.loop, config.shift_to_now, config.start)
            await Player(self._read, publisher, self._controls, manner).play()
            if self._controls.position is None:
                log.warning("nothing was replayed: no event lies in the range", dataset=self._dataset.name)
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
        """Publish the next `n` events as fast as clients read, then stay paused. At the end of the data it stops.

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
        # Without an index, the way to the start is long: the player takes it in parts.
        begin = start if self._recording.indexed else None
        selection = self._selection
        return self._recording.read(Selection(selection.channels, selection.symbols, begin, selection.end))


def _open(config: ReplayConfig) -> Recording:
    found = open_recordings(config.paths, dataset=config.dataset, asset_class=config.asset_class)
    if len(found) == 1:
        return found[0]
    where, names = ", ".join(map(str, config.paths)), ", ".join(recording.name for recording in found)
    raise ConfigurationError(f"{where} holds several datasets: name one of {names}")
