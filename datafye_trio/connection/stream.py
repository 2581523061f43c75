"""One stream of stored data: reads a batch, waits for leave to send, sends a chunk; and the ways in which it ends.

Its state changes only in sync code: whoever ends a stream (`stop`, the end of the data, a failure) does so once, and
from then on nothing of it is put, even if its task was just about to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Literal

import attrs
import trio

from datafye_trio.broker import Broker, Chunk, Subscriber
from datafye_trio.broker.outbox import STREAM_MESSAGES
from datafye_trio.connection.answers import Answers
from datafye_trio.connection.stream_pace import StreamPace
from datafye_trio.connection.stream_query import Stored
from datafye_trio.errors import RequestError, SourceError
from datafye_trio.logs import get_logger
from datafye_trio.model import Event
from datafye_trio.protocol import ErrorCode, StreamEnd, StreamError, StreamStart

__all__ = ["Outlet", "Stream", "StreamOrder"]

log = get_logger("stream")


@attrs.frozen
class StreamOrder:
    """What a client ordered: `stream` names it, `request_id` is the name that the client gave, if it did.

    `skip` is the number of messages at the beginning that it does not want.
    """

    stream: str | int
    request_id: str | int | None
    stored: Stored
    rate: float | None = None
    window: int | None = None
    ignored: tuple[str, ...] = ()
    skip: int = 0


class Outlet:
    """The way to one client, for all of its streams: they take turns in waiting for room, and so share it evenly."""

    def __init__(self, broker: Broker, subscriber: Subscriber, answers: Answers) -> None:
        self.answers = answers
        self.outbox = subscriber.outbox
        self.turn = trio.Lock()  # fair: first come, first served
        self.reading = broker.reading
        self._broker = broker
        self._encoding = subscriber.encoding

    def frame(self, event: Event, order: StreamOrder) -> bytes:
        """The frame of one data message."""
        info = order.stored.dataset.info
        codec = self._broker.codec
        data = codec.stored(event, info.name, info.asset_class, order.stream)
        return self._broker.frame(codec.write(data, self._encoding), self._encoding)


class Stream:
    """A stream under way. `on_end` is called once, when it has ended by itself or by `stop`."""

    def __init__(self, order: StreamOrder, outlet: Outlet, on_end: Callable[[Stream], None]) -> None:
        self.order = order
        self.ended = False
        self._outlet = outlet
        self._on_end = on_end
        self._scope = trio.CancelScope()
        self._granted = trio.lowlevel.ParkingLot()
        self._grant = order.window
        self._begun = False
        self._count = 0

    async def run(self) -> None:
        """Send all there is and say so, unless cancelled. Never raises: a failure ends this stream only."""
        stored = self.order.stored
        try:
            with self._scope, closing(stored.history.read(stored.query)) as batches:
                await self._send(batches)
        except SourceError as failure:
            log.warning("stored data cannot be read", dataset=stored.dataset.info.name, why=str(failure))
            self._fail(str(failure))
        except Exception:
            log.exception("stream failed", dataset=stored.dataset.info.name)
            self._fail("the server failed at this stream: start it again later")

    def grant(self, count: int) -> None:
        """Let so many messages more be sent.

        Raises:
            RequestError: INVALID_MESSAGE, the stream has no window.
        """
        if self._grant is None:
            raise RequestError(
                ErrorCode.INVALID_MESSAGE,
                "this stream has no window: it sends without being asked for more",
                field="id",
            )
        self._grant += count
        self._granted.unpark_all()

    def stop(self) -> None:
        """End it now; what was queued before still comes before `stream_end`, and nothing after."""
        self.cancel()
        self._end("stopped")

    def cancel(self) -> None:
        """End it without a word: the connection ends."""
        self._scope.cancel()

    async def _send(self, batches: Iterator[Sequence[Event]]) -> None:
        pace = None if self.order.rate is None else StreamPace(self.order.rate)
        skip = self.order.skip
        while True:
            async with self._outlet.reading:
                if (batch := next(batches, None)) is None:
                    break
            place = min(skip, len(batch))
            skip -= place
            while place < len(batch):
                allowed = await self._wait_granted()
                if pace is not None:
                    allowed = min(allowed, await pace.wait_due())
                async with self._outlet.turn:
                    await self._outlet.outbox.wait_room()
                    async with self._outlet.reading:
                        sent = self._put(batch, place, allowed)
                place += sent
                if pace is not None:
                    pace.sent(sent)
        self._end("complete")

    async def _wait_granted(self) -> int:
        """How many messages may be sent; waits until it is more than none."""
        if self._grant is None:
            return STREAM_MESSAGES
        while not self._grant:
            await self._granted.park()
        return min(self._grant, STREAM_MESSAGES)

    def _put(self, batch: Sequence[Event], place: int, allowed: int) -> int:
        """Queue one chunk of a batch, from a place on; returns the number of messages in it."""
        if self.ended:  # stopped while this task was already on its way here
            return len(batch) - place
        self._begin()
        frames: list[bytes] = []
        size = 0
        for event in islice(batch, place, place + min(allowed, STREAM_MESSAGES)):
            frame = self._outlet.frame(event, self.order)
            size += len(frame)
            if frames and size > self._outlet.outbox.stream_bytes:
                break
            frames.append(frame)
        self._outlet.outbox.put(Chunk(b"".join(frames), len(frames)))
        self._count += len(frames)
        if self._grant is not None:
            self._grant -= len(frames)
        return len(frames)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            ignored = self.order.ignored or None
            self._outlet.answers.send(StreamStart(self.order.stream, self.order.stored.symbols, ignored))

    def _end(self, reason: Literal["complete", "stopped"]) -> None:
        if self._close():
            return
        if reason == "complete" and not self._begun:
            # Not counted among the errors that end a connection: only the answer shows that the range is empty.
            refusal = RequestError(ErrorCode.NO_DATA, "there is no data in this range: ask for another")
            self._outlet.answers.error(refusal, self.order.request_id)
            return
        self._begin()
        self._outlet.answers.send(StreamEnd(self.order.stream, self.order.stored.symbols, self._count, reason))

    def _fail(self, why: str) -> None:
        if not self._close():
            self._begin()
            self._outlet.answers.send(
                StreamError(self.order.stream, self.order.stored.symbols, ErrorCode.INTERNAL, why)
            )

    def _close(self) -> bool:
        """Nothing is sent from now on. True if it was so before."""
        before, self.ended = self.ended, True
        if not before:
            self._on_end(self)
        return before
