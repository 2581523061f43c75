"""What can be read back: a recording is one dataset's ticks and bars on disk, whatever the files' format."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import attrs

from datafye_trio.model import AssetClass, Channel, Timed

__all__ = ["Recording", "Selection"]


@attrs.frozen
class Selection:
    """What to read of a recording; None is no limit.

    `start` and `end` are places in the recording's own time (`Timed`), in nanoseconds, half-open. `happened` is a
    half-open range of exchange time (of bars: of their starts), which that time may be any distance from: files that
    are known to hold nothing of it are passed over, but what is read may still lie outside.
    """

    channels: frozenset[Channel] | None = None
    symbols: frozenset[str] | None = None
    start: int | None = None
    end: int | None = None
    happened: tuple[int, int] | None = None


class Recording(Protocol):
    """One dataset at rest. Its own time is when events came in, where that is known, else when they happened."""

    @property
    def name(self) -> str:
        """The dataset's name."""

    @property
    def asset_class(self) -> AssetClass:
        """Stocks or crypto."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What there is, in the order of `Channel`."""

    @property
    def indexed(self) -> bool:
        """Whether `read` finds a `start` without reading, at once, all that lies before it."""

    def read(self, selection: Selection = Selection()) -> Generator[Timed]:
        """The events in order of time, merged over all files, with bounded memory: a few rows or batches a file.

        Equal times keep the order of their file; between files, trades precede quotes. Closing the generator closes
        the files.

        Raises:
            SourceError: a file cannot be read, or a row is malformed; all before it was yielded. The text names it.
        """
