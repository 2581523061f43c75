"""The only task that writes data: it takes what waits in the outbox, as much as fits a write, and sends it."""

from __future__ import annotations

from typing import Final

import trio

from datafye_trio.broker import Broker, Chunk, Gaps, Subscriber
from datafye_trio.broker.chunks import CHUNK_BYTES
from datafye_trio.protocol import Session, State, Trigger
from datafye_trio.wire import ServerSocket

__all__ = ["Writer"]

_SLOW: Final = "slow_consumer"


class Writer:
    """Drains one outbox into one socket."""

    def __init__(self, socket: ServerSocket, subscriber: Subscriber, broker: Broker, session: Session) -> None:
        self._socket = socket
        self._subscriber = subscriber
        self._outbox = subscriber.outbox
        self._latest = subscriber.latest
        self._broker = broker
        self._session = session
        self._idle = trio.CancelScope()
        self._stopped = False

    def stop(self, *, drain: bool) -> None:
        """Take nothing new; write what waits first (`drain`) or not at all. The frames under way are finished."""
        self._stopped = True
        if drain:
            self._outbox.seal()
        else:
            self._outbox.close()
            self._latest.cut = False
        self._idle.cancel()

    async def run(self) -> None:
        """Write until stopped.

        Raises:
            SocketClosed: the peer is gone, or does not read.
        """
        while not self._stopped or self._outbox.pending() or self._latest.cut or self._socket.unsent:
            frames, messages = await self._collect()
            if frames or self._socket.unsent:
                await self._socket.send(frames[0] if len(frames) == 1 else b"".join(frames))
                self._outbox.written()
                self._outbox.sent += messages
        if self._session.state is State.DRAINING:
            self._session.step(Trigger.DRAINED)

    async def _collect(self) -> tuple[list[bytes], int]:
        """What goes out with the next write, and how many data messages it holds."""
        chunk = None if self._latest.cut else await self._first()
        frames = self._outbox.take_express()
        messages = self._take_held(frames)
        size = sum(map(len, frames))
        while chunk is not None:
            messages += self._take(chunk, frames)
            size += len(chunk.data)
            if self._latest.cut:
                return frames, messages
            if size >= CHUNK_BYTES:
                break
            chunk = self._outbox.next_nowait()
        return frames, messages + self._take_due(frames)

    async def _first(self) -> Chunk | None:
        if (chunk := self._outbox.next_nowait()) is not None:
            return chunk
        due = self._latest.next_due()
        if self._stopped or (due is not None and due <= trio.current_time()):
            return None
        with trio.CancelScope(deadline=float("inf") if due is None else due) as self._idle:
            return await self._outbox.next()
        return None

    def _take_held(self, frames: list[bytes]) -> int:
        messages = 0
        for held in self._outbox.take_held():
            while self._latest.cut:
                messages += self._take_due(frames)
            if isinstance(held, Chunk):
                messages += self._take(held, frames)
            else:
                frames.extend(self._gap_frames(held))
        return messages

    def _take(self, chunk: Chunk, frames: list[bytes]) -> int:
        if chunk.latest is not None:
            # Here, and not at the end of the write: the batch stands before the answers that follow its marker.
            self._latest.open_batch(chunk.latest)
            return self._take_due(frames)
        if chunk.data:
            frames.append(chunk.data)
        return chunk.messages

    def _take_due(self, frames: list[bytes]) -> int:
        due = self._latest.take_due()
        frames.extend(due)
        return len(due)

    def _gap_frames(self, gaps: Gaps) -> list[bytes]:
        encoding = self._subscriber.encoding
        return [self._broker.gap(topic, _SLOW, lost, encoding) for topic, lost in gaps.items()]
