"""What `record` does between a server and a recording: one task reads, one writes, a bounded channel between them.

The reader never waits for the disk. Where the channel is full it stops reading; the server then treats it as any slow
client, and says so. The writer moves rows to the recording many times a second and has them put on disk every half
second, so that a kill loses less than the last second. No threads: a part is written in the task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import attrs
import trio

from datafye_trio.cli.backoff import Backoff, comes_back
from datafye_trio.cli.intake import Intake, RefusedError, Row, Socket, Tally
from datafye_trio.cli.text import one_line
from datafye_trio.errors import ConnectError, EventError, RecordingError
from datafye_trio.model import AssetClass, Channel, Event
from datafye_trio.protocol import Subscribe, Subscribed
from datafye_trio.wire import ClientSocketClosed

__all__ = ["Recorder", "RecorderConfig", "Sink"]

_FLUSH_SECONDS: Final = 0.5
_MOVE_SECONDS: Final = 0.05
_ROWS: Final = 16_384
"""Rows between the two tasks: what a busy market sends in half a second."""
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
        connect: makes a connection, each time it is called.
        requests: what to subscribe to, each with an `id` of its own; all of one dataset.
        open_sink: opens the recording of a dataset, once the server has said which one it is.
        reconnect: whether to come back when the connection is lost.
        wall_clock: nanoseconds since 1970 UTC.
        random: numbers in [0, 1), for the backoff.
    """

    connect: Callable[[], AbstractAsyncContextManager[Socket]]
    requests: Sequence[Subscribe]
    open_sink: Callable[[str, AssetClass], Sink]
    reconnect: bool
    wall_clock: Callable[[], int]
    random: Callable[[], float]


class Recorder:
    """Records until `stop`, or until it cannot go on. What is public may be read at any time.

    Attributes:
        sink: the recording, None until the server has said what dataset it is.
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
        self._asset_class = ""
        self._blocked = False
        self._over = trio.Event()
        send, self._rows = trio.open_memory_channel[Row](_ROWS)
        self._intake = Intake(config.requests, send, tally, self._join, config.wall_clock)

    def stop(self) -> None:
        """Read no more; what was read is still written. Idempotent."""
        self.reading.cancel()

    async def run(self) -> None:
        """Record. When it returns, all that was read is on disk, or counted as lost.

        Raises:
            ConfigurationError: the folder cannot be recorded to.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            try:
                with self.reading:
                    await self._keep_connected()
            except (ConnectError, ClientSocketClosed, RefusedError) as error:
                self.failure = str(error)
            finally:
                self._over.set()

    async def _keep_connected(self) -> None:
        backoff = Backoff(self._config.random)
        while True:
            code = None
            try:
                async with self._config.connect() as socket:
                    await self._intake.follow(socket)
            except (ConnectError, ClientSocketClosed, RefusedError) as error:
                if not self._goes_on(error):
                    raise
                code = error.code if isinstance(error, ClientSocketClosed) else None
                why = str(error)
            since = self._intake.subscribed_at
            wait = backoff.next(0 if since is None else trio.current_time() - since, code)
            self._intake.subscribed_at = None
            self._tally.tell(one_line(f"{why}: trying again in {wait:.1f} s", 500))
            await trio.sleep(wait)

    def _goes_on(self, error: ConnectError | ClientSocketClosed | RefusedError) -> bool:
        # What never worked is more likely a wrong URL than a server that is down for a moment.
        if not self._config.reconnect or not self._intake.joined:
            return False
        if isinstance(error, ClientSocketClosed):
            return comes_back(error.code)
        return isinstance(error, ConnectError) or error.retryable

    def _join(self, message: Subscribed) -> None:
        if self.sink is None:
            try:
                asset_class = AssetClass(message.asset_class)
            except ValueError:
                raise RefusedError(f"the asset class {one_line(message.asset_class)} is unknown here") from None
            self.sink = self._config.open_sink(message.dataset, asset_class)
            self._asset_class = asset_class
        elif message.asset_class != self._asset_class:
            raise RefusedError(f"{message.dataset} is {message.asset_class} now: it was {self._asset_class}")

    async def _write(self) -> None:
        """Move rows and flush; to the end, cancelled or not, since what was received is not to be lost."""
        due = trio.current_time()
        try:
            while not self._over.is_set():
                with trio.move_on_after(_MOVE_SECONDS):
                    await self._over.wait()
                more = True
                while more:
                    more = self._move()
                    await trio.lowlevel.checkpoint()
                if trio.current_time() >= due:
                    due = trio.current_time() + _FLUSH_SECONDS
                    self._flush()
        finally:
            while self._move():
                pass
            self._close()

    def _move(self) -> bool:
        """Hand a batch of rows to the recording; whether there may be more."""
        if self.sink is None:
            return False
        try:
            for _ in range(_BATCH):
                row = self._rows.receive_nowait()
                try:
                    self.sink.add(*row)
                except EventError as error:
                    self._tally.puzzle(str(error))
        except trio.WouldBlock:
            return False
        return True

    def _flush(self) -> None:
        self._tally.tell_gaps()
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
        self._tally.tell_gaps()
        if self.sink is None:
            return
        try:
            self.sink.close()
        except RecordingError as error:
            self._tally.tell(one_line(str(error), 500))
        else:
            self.flushed_at = trio.current_time()
