"""Events on their way out by the clock: a test's own, or a recording's."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

import trio

from datafye_trio.aggregates import event_time
from datafye_trio.errors import ConfigurationError, EventError
from datafye_trio.model import AssetClass, DatasetInfo, Event, Timed
from datafye_trio.recordings.base import Recording
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.sources.pacing import Outlet, flood, pace

__all__ = ["Playable", "Playing", "timed"]

Playable: TypeAlias = "Iterable[Event] | str | os.PathLike[str]"
"""Events in the order in which they are to go out, or the path of a recording or of a tick CSV file."""


def timed(what: Playable, offer: Sequence[DatasetInfo], dataset: str | None) -> tuple[str, Iterator[Timed]]:
    """The dataset to publish to, and the events with their times.

    Args:
        what: see `Playable`.
        offer: the server's datasets.
        dataset: the one to publish to; None: that of the recording's name, where there is one, else the first.

    Raises:
        ConfigurationError: the server has no such dataset; one is to be picked.
        SourceError: the path cannot be read.
    """
    infos = {info.name: info for info in offer}
    if dataset is not None and dataset not in infos:
        raise ConfigurationError(f"this server has no dataset {dataset!r}: it has {', '.join(infos)}")
    if isinstance(what, str | os.PathLike):
        recording = _open(Path(what), infos, dataset)
        name = dataset or (recording.name if recording.name in infos else offer[0].name)
        return name, recording.read()
    name = dataset or offer[0].name
    asset_class: AssetClass = infos[name].asset_class
    return name, _with_times(what, asset_class)


def _with_times(events: Iterable[object], asset_class: AssetClass) -> Iterator[Timed]:
    for event in events:
        if not isinstance(event, Event):
            raise EventError(f"{type(event).__name__} is no market event: play Quotes, Trades, Bars and the like")
        yield event_time(event, asset_class), event


def _open(path: Path, infos: dict[str, DatasetInfo], dataset: str | None) -> Recording:
    """The recording at a path; of several, the one that the server has a dataset for."""
    # Tick files do not say what they are of; a recording does, and may be played to a dataset of another name.
    fallback = dataset or next(iter(infos))
    try:
        found = open_recordings([path])
    except ConfigurationError:
        found = open_recordings([path], dataset=fallback, asset_class=infos[fallback].asset_class)
    if len(found) == 1:
        return found[0]
    for recording in found:
        if recording.name == dataset:
            return recording
    names = ", ".join(recording.name for recording in found)
    raise ConfigurationError(f"{path} holds the datasets {names}: name one of them (dataset=)")


_APART: Final = 1e-6
"""Seconds between what a test does itself at a moment, the events of one play that are due then, and those of another:
which of two tasks is first would be chance, and no two logs equal."""


class Playing:
    """Events that go out in the background; made by `play` of a test server.

    Attributes:
        published: how many have gone out.
        error: what ended it, if anything went wrong: a file that cannot be read, an event that cannot be published.
        slot: what tells those apart that go on at once.
    """

    def __init__(self, slot: int = 0) -> None:
        self.slot = slot
        self.published = 0
        self.error: Exception | None = None
        self.told = False
        """Whether somebody was told of the error."""
        self._scope = trio.CancelScope()
        self._done = trio.Event()

    @property
    def done(self) -> bool:
        """Whether all has gone out, or it was cancelled, or failed."""
        return self._done.is_set()

    async def wait(self) -> int:
        """Wait until it is done; returns how many events have gone out. Cancel-safe.

        Raises:
            Exception: whatever went wrong.
        """
        await self._done.wait()
        if self.error is not None:
            self.told = True
            raise self.error
        return self.published

    def cancel(self) -> None:
        """Publish no more. Idempotent."""
        self._scope.cancel()

    async def run(self, events: Iterator[Timed], outlet: Outlet, *, at: float, speed: float) -> None:
        """Publish, and be done; what goes wrong is kept in `error`.

        Args:
            events: with their times.
            outlet: where they go.
            at: seconds until the first one.
            speed: how much faster than their times; infinity: as fast as clients read.
        """
        try:
            with self._scope:
                await trio.sleep(at + self.slot * _APART)
                await self._publish(events, _Counting(self, outlet), speed)
        except Exception as error:  # noqa: BLE001 -- it has a task to itself: whoever waits for it is told
            self.error = error
        finally:
            if isinstance(events, Generator):
                events.close()  # and with it its files
            self._done.set()

    async def _publish(self, events: Iterator[Timed], outlet: Outlet, speed: float) -> None:
        first = next(events, None)
        if first is None:
            return
        everything = chain([first], events)
        if speed == math.inf:
            await flood(everything, outlet)
        else:
            await pace(everything, outlet, origin=first[0], speed=speed)


class _Counting:
    """An outlet that counts."""

    def __init__(self, playing: Playing, outlet: Outlet) -> None:
        self._playing = playing
        self._outlet = outlet

    async def publish(self, events: Sequence[Event]) -> None:
        """See `Outlet`."""
        await self._outlet.publish(events)
        self._playing.published += len(events)

    async def room(self) -> None:
        """See `Outlet`."""
        await self._outlet.room()
