"""What a strategy can be run on: a recording on disk, one that is open, or a list of events."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from datafye_trio.aggregates import Aggregation, event_time
from datafye_trio.broker.validate import check_event
from datafye_trio.errors import ConfigurationError, EventError
from datafye_trio.model import (
    EVENT_CHANNELS,
    AssetClass,
    Channel,
    DatasetInfo,
    Event,
    Frequency,
    Timed,
)
from datafye_trio.recordings.base import Recording, Selection
from datafye_trio.recordings.opening import default_asset_class, open_recordings
from datafye_trio.sources import RecordedHistory

__all__ = ["Recorded", "RecordedSource", "open_recorded"]

Recorded: TypeAlias = str | os.PathLike[str] | Recording | Iterable[Event]
"""A path (a folder or file of Parquet, a tick CSV file), a recording that is open, or events, in any order."""

_EVERYTHING: Final = Selection()


@attrs.frozen
class EventList:
    """A `Recording` of events in memory, each at the time from which on it can be known."""

    name: str
    asset_class: AssetClass
    timed: tuple[Timed, ...]
    indexed: bool = True

    @classmethod
    def of(cls, events: Iterable[Event], name: str, asset_class: AssetClass) -> EventList:
        """Events, sorted by time; those of one time stay in their order.

        Raises:
            EventError: one of them is no event, or not a sound one.
        """
        found = []
        for event in events:
            check_event(event)
            try:
                found.append((event_time(event, asset_class), event))
            except ValueError as error:
                raise EventError(f"{event}: {error}") from None
        return cls(name, asset_class, tuple(sorted(found, key=lambda timed: timed[0])))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What there is, in the order of `Channel`; of an empty list, ticks, of which there are none."""
        if not self.timed:
            return (Channel.QUOTES, Channel.TRADES)
        held = {channel for kind in {type(event) for _, event in self.timed} for channel in EVENT_CHANNELS[kind]}
        return tuple(channel for channel in Channel if channel in held)

    def read(self, selection: Selection = _EVERYTHING) -> Generator[Timed]:
        """See `Recording.read`."""
        first = 0 if selection.start is None else bisect_left(self.timed, selection.start, key=lambda timed: timed[0])
        for time, event in self.timed[first:]:
            if selection.end is not None and time >= selection.end:
                return
            wanted = selection.channels is None or not selection.channels.isdisjoint(EVENT_CHANNELS[type(event)])
            if wanted and (selection.symbols is None or event.symbol in selection.symbols):
                yield time, event


@attrs.define
class _Until:
    """A recording of which only what came in before a time can be read."""

    recording: Recording
    end: int

    @property
    def name(self) -> str:
        return self.recording.name

    @property
    def asset_class(self) -> AssetClass:
        return self.recording.asset_class

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.recording.channels

    @property
    def indexed(self) -> bool:
        return self.recording.indexed

    def read(self, selection: Selection = _EVERYTHING) -> Generator[Timed]:
        end = self.end if selection.end is None else min(self.end, selection.end)
        return self.recording.read(attrs.evolve(selection, end=end))


class RecordedSource:
    """A recording as the source of a local feed: what it offers, and its stored data up to where it stands.

    Bars and indicators are made of the trades where there are any, as a replay makes them, else they are those that
    were recorded. No wall clock finishes a bar here: it is over when a later trade of the dataset comes, or at the end.
    """

    def __init__(self, recording: Recording, aggregation: Aggregation | None) -> None:
        self.recording = recording
        held = set(recording.channels)
        self.aggregation = aggregation if Channel.TRADES in held else None
        if self.aggregation is not None:
            held -= {channel for channel in Channel if channel.has_frequency}
        self.selection = Selection(frozenset(held))
        channels = tuple(channel for channel in Channel if channel in held)
        frequencies = tuple(Frequency) if any(channel.has_frequency for channel in held) else ()
        self.dataset = DatasetInfo(recording.name, recording.asset_class, channels, frequencies)
        self._read_until = _Until(recording, 0)

    def reached(self, time_ns: int) -> None:
        """What came in up to this time may be asked for as stored data."""
        self._read_until.end = time_ns + 1

    @property
    def history(self) -> RecordedHistory:
        """What has been played so far."""
        return RecordedHistory(self._read_until, self.aggregation)


def open_recorded(
    recorded: Recorded, *, dataset: str | None = None, asset_class: AssetClass | None = None
) -> Recording:
    """The recording that is meant.

    Raises:
        SourceError: a path is missing, or cannot be read, or is no recording.
        ConfigurationError: it holds several datasets, or tick files, and `dataset` does not say which; or it is
            something else than a recording.
        EventError: something in a list is no event.
    """
    if isinstance(recorded, str | os.PathLike):
        found = open_recordings([Path(recorded)], dataset=dataset, asset_class=asset_class)
        if len(found) > 1:
            names = ", ".join(recording.name for recording in found)
            raise ConfigurationError(f"{recorded} holds several datasets: name one of {names} (dataset)")
        return found[0]
    if isinstance(recorded, Iterable):
        name = dataset or ("Crypto" if asset_class is AssetClass.CRYPTO else "SIP")
        return EventList.of(recorded, name, asset_class or default_asset_class(name))
    if not hasattr(recorded, "read"):
        raise ConfigurationError(f"a recording is a path, or a list of events, not {recorded!r}"[:200])
    return recorded
