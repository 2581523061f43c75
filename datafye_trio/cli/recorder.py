"""What `record` does between a feed and a recording: rows as they come, on disk every half second.

The feed comes back by itself, and fetches what the server still holds; what it does not is a gap, and a hole in `seq`.
Rows go to the recording at once, which only keeps them, and are put on disk so often that a kill loses less than the
last second. No threads: a part is written in the task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import attrs
import trio

from datafye_trio.cli.tally import Tally
from datafye_trio.cli.telling import StateTeller
from datafye_trio.cli.text import one_line
from datafye_trio.client import FeedState, WireFeed
from datafye_trio.client.board import BoardKey
from datafye_trio.client.options import Wish, parse_symbols, resolve, resolve_plain
from datafye_trio.client.tap import Placed, Tap
from datafye_trio.errors import EventError, FeedError, RecordingError, SubscriptionError
from datafye_trio.model import AssetClass, Channel, Event, Gap
from datafye_trio.protocol import Connected, ErrorCode

__all__ = ["Recorder", "RecorderConfig", "Sink"]

_FLUSH_SECONDS: Final = 0.5
_BATCH: Final = 1_024


class Sink(Protocol):
    """What is needed of a recording that is being written (`recordings.writer.RecordingWriter`)."""

    written: int
    lost: int

    def add(self, channel: Channel, time: int, event: Event, epoch: str | None = None, seq: int | None = None) -> None:
        """Take a row. Raises EventError."""

    def flush(self) -> None:
        """Put all rows on disk. Raises RecordingError; what can be written later is kept for a later call."""

    def close(self) -> None:
        """Flush, and count as lost what is not written then. Raises RecordingError."""


@attrs.frozen
class RecorderConfig:
    """How to record.

    Attributes:
        opening: opens the feed.
        wishes: what to subscribe to; all of one dataset.
        open_sink: opens the recording of a dataset, once the server has taken something of what is wished.
        wall_clock: nanoseconds since 1970 UTC.
    """

    opening: AbstractAsyncContextManager[WireFeed[Any]]
    wishes: Sequence[Wish]
    open_sink: Callable[[str, AssetClass], Sink]
    wall_clock: Callable[[], int]


class Recorder:
    """Records until `stop`, or until it cannot go on. What is public may be read at any time.

    Attributes:
        sink: the recording, None until the server has taken something of what is wished.
        flushed_at: when the disk last took everything, in trio's time; None before.
        failure: why it has ended by itself.
        reading: the scope of all that has to do with the server; its deadline may be set.
    """

    def __init__(self, config: RecorderConfig, tally: Tally) -> None:
        self.sink: Sink | None = None
        self.flushed_at: float | None = None
        self.failure: str | None = None
        self.reading = trio.CancelScope()
        self._config = config
        self._tally = tally
        self._boards: list[tuple[BoardKey, AssetClass]] = []
        self._refusals: list[SubscriptionError] = []
        self._news = trio.Event()
        self._time = 0
        self._blocked = False

    def stop(self) -> None:
        """Read no more; what was read is still written. Idempotent."""
        self.reading.cancel()

    async def run(self) -> None:
        """Record. When it returns, all that was read is on disk, or counted as lost.

        Raises:
            ConfigurationError, RecordingError: the folder cannot be recorded to; in an exception group.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_flushing)
                with self.reading:
                    await self._read(nursery)
                nursery.cancel_scope.cancel()
        finally:
            self._close()

    async def _read(self, nursery: trio.Nursery) -> None:
        try:
            async with self._config.opening as feed:
                nursery.start_soon(self._follow_states, feed)  # ends by itself when the feed does
                await self._take_from(feed)
        except FeedError as error:
            self.failure = self.failure or str(error)

    async def _take_from(self, feed: WireFeed[Any]) -> None:
        """Take all that comes, until the feed ends; cancelled, what has come is still taken.

        Raises:
            FeedError: it has ended, or the server takes nothing of what is wished.
        """
        connected = await feed.wait_connected()
        tap = Tap(feed, self._wake, snapshots=False)  # a snapshot was sent before, or is not ours to have
        try:
            self._join(tap, connected)
            while True:
                more = self._take(tap)
                await trio.lowlevel.checkpoint()
                if more:
                    continue
                self._check_refusals(tap)
                if tap.failure is not None:
                    raise tap.failure
                await self._news.wait()
                self._news = trio.Event()
        except trio.Cancelled:
            while self._take(tap):
                pass
            raise
        finally:
            tap.close()

    def _join(self, tap: Tap, connected: Connected | None) -> None:
        for wish in self._config.wishes:
            boards = resolve_plain(wish) if connected is None else resolve(wish, connected.datasets)
            self._boards += boards
            for key, asset_class in boards:
                sound, wrong = parse_symbols(wish.symbols, asset_class)
                if wrong:
                    what = "no well-formed symbols: 1 to 32 characters of A-Z 0-9 . - _ : /"
                    self._refusals.append(SubscriptionError(ErrorCode.UNKNOWN_SYMBOL, what, tuple(wrong)))
                tap.join(key, asset_class, None if sound == ["*"] else sound)

    def _check_refusals(self, tap: Tap) -> None:
        """Raise what was refused where nothing is left; say it once something else was taken."""
        self._refusals += tap.take_refusals()
        if not any(tap.has_all(key) or tap.known(key) for key, _ in self._boards):
            raise self._refusals[-1]
        if self.sink is not None:
            self._tally.refuse(self._refusals)
            self._refusals.clear()

    def _take(self, tap: Tap) -> bool:
        """Hand what has come to the recording; whether there may be more."""
        if self.sink is None and not self._open_sink(tap):
            return False
        items = tap.take(_BATCH)
        self._time = max(self._time, self._config.wall_clock())
        for item in items:
            self._add(item)
        return bool(items)

    def _open_sink(self, tap: Tap) -> bool:
        """Open the recording once the server has taken something; whether it has."""
        for key, asset_class in self._boards:
            if tap.receives_all(key) or any(tap.position(topic) is not None for topic in tap.known(key)):
                self.sink = self._config.open_sink(key.dataset, asset_class)
                return True
        return False

    def _add(self, placed: Placed) -> None:
        topic, epoch, seq, item = placed
        if isinstance(item, Gap):
            self._tally.gaps.take([item])
            return
        assert self.sink is not None  # noqa: S101 -- opened before anything is taken
        try:
            self.sink.add(topic.channel, self._time, item, epoch or None, seq or None)
        except EventError as error:
            self._tally.puzzle(str(error))
            return
        self._tally.rows += 1
        self._tally.symbols.add(topic.symbol)

    async def _follow_states(self, feed: WireFeed[Any]) -> None:
        states = StateTeller()
        async for change in feed.states():
            if change.state is FeedState.DISCONNECTED and self.sink is None:
                # What never worked is more likely a wrong URL than a server that is down for a moment.
                self._fail(str(change.why))
            words = states.words(change)
            if words is not None and self.sink is not None and states.is_news(change):
                self._tally.tell(words)
            if change.state is FeedState.LIVE and feed.server is not None:
                self._check_dataset(feed.server)
                self._wake()  # something may have been refused

    def _check_dataset(self, server: Connected) -> None:
        """A server that comes back may have another dataset of the same name."""
        for key, asset_class in self._boards:
            for offer in server.datasets:
                if offer.dataset == key.dataset and offer.asset_class != asset_class:
                    self._fail(f"{key.dataset} is {one_line(offer.asset_class)} now: it was {asset_class}")

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self.reading.cancel()

    def _wake(self) -> None:
        self._news.set()

    async def _keep_flushing(self) -> None:
        while True:
            due = trio.current_time() + _FLUSH_SECONDS
            self._flush()
            await trio.sleep_until(due)

    def _flush(self) -> None:
        self._tally.gaps.tell()
        if self.sink is None:
            return
        lost = self.sink.lost
        try:
            self.sink.flush()
        except RecordingError as error:
            if not self._blocked or self.sink.lost > lost:  # once while it lasts, but each time something is lost
                self._tally.tell(one_line(str(error), 500))
            self._blocked = True
            return
        if self._blocked:
            self._tally.tell(f"the recording can be written again; rows lost so far: {self.sink.lost:,}")
        self._blocked = False
        self.flushed_at = trio.current_time()

    def _close(self) -> None:
        self._tally.gaps.tell()
        if self.sink is None:
            return
        try:
            self.sink.close()
        except RecordingError as error:
            self._tally.tell(one_line(str(error), 500))
        else:
            self.flushed_at = trio.current_time()
