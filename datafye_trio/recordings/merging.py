"""A recording as a bundle of strands: each one channel of some files in order of time, merged as they are read."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from heapq import merge
from operator import itemgetter
from typing import Final, Protocol

import attrs

from datafye_trio.model import AssetClass, Channel, Event, Halt, Resume, Timed
from datafye_trio.recordings.base import Selection

__all__ = ["MergedRecording", "Strand", "limited"]

EVERYTHING: Final = Selection()
_MOST_HALTS: Final = 1_024
"""Halts that may wait for their like of the other channel; normally there are none."""


class Strand(Protocol):
    """Rows of one channel in order of time."""

    @property
    def channel(self) -> Channel:
        """What they are rows of."""

    @property
    def has_halts(self) -> bool:
        """Whether halts or resumptions may be among them."""

    @property
    def indexed(self) -> bool:
        """See `Recording.indexed`."""

    def read(self, selection: Selection, /) -> Generator[Timed]:
        """Those of the selection, whatever its channels. Closing the generator closes the files.

        Raises:
            SourceError: a file cannot be read; all before it was yielded. The text names it.
        """


@attrs.frozen
class MergedRecording:
    """A `Recording` of any number of strands. Ties between strands go in their order, trades before quotes."""

    name: str
    asset_class: AssetClass
    strands: tuple[Strand, ...]

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What there is, in the order of `Channel`."""
        held = {strand.channel for strand in self.strands}
        return tuple(channel for channel in Channel if channel in held)

    @property
    def indexed(self) -> bool:
        """See `Recording.indexed`."""
        return all(strand.indexed for strand in self.strands)

    def read(self, selection: Selection = EVERYTHING) -> Generator[Timed]:
        """As `Recording.read`. A halt that was recorded on quotes and on trades comes once where both are read."""
        wanted = [one for one in self.strands if selection.channels is None or one.channel in selection.channels]
        # A stable sort: trades first, each channel in the order given. A strand's place breaks ties between strands.
        wanted.sort(key=lambda strand: strand.channel is not Channel.TRADES)
        twice = {one.channel for one in wanted if one.has_halts} == {Channel.TRADES, Channel.QUOTES}
        halts = _Halts()
        with ExitStack() as stack:
            streams: list[Iterable[Timed]] = []
            for strand in wanted:
                stream = stack.enter_context(closing(strand.read(selection)))
                streams.append(halts.once(stream, strand.channel) if twice and strand.has_halts else stream)
            # heapq.merge holds one event of each strand, and on a tie takes the strand that comes first.
            yield from streams[0] if len(streams) == 1 else merge(*streams, key=itemgetter(0))


class _Halts:
    """Halts seen on one channel whose like on the other channel is still to come."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Channel, Event]] = []

    def once(self, stream: Iterable[Timed], channel: Channel) -> Generator[Timed]:
        """A stream of a channel, without the halts that the other channel's stream had."""
        other = Channel.QUOTES if channel is Channel.TRADES else Channel.TRADES
        for timed in stream:
            event = timed[1]
            if type(event) is Halt or type(event) is Resume:
                if (other, event) in self._waiting:
                    self._waiting.remove((other, event))
                    continue
                self._waiting.append((channel, event))
                del self._waiting[:-_MOST_HALTS]
            yield timed


def limited(stream: Generator[Timed], selection: Selection) -> Generator[Timed]:
    """Those events of a stream that a selection's symbols, start and end let through; ends at the end."""
    symbols, start, end = selection.symbols, selection.start, selection.end
    with closing(stream):
        for time, event in stream:
            if end is not None and time >= end:
                return
            if (start is None or time >= start) and (symbols is None or event.symbol in symbols):
                yield time, event
