"""Resume (protocol.md section 5): what a client that comes back has missed, out of the rings; then live.

A topic that has a past to be sent is joined at once, as a `CatchUp`: subscribed in every respect, but passed by in the
fan-out. Its past goes out in chunks, topic by topic, in the order they were asked for. The chunk that ends it and the
change to live are one sync step, so that there is no hole and no repeat. The first chunk goes out with the answer
itself, which is all for a short absence; the rest is fed by a task, as the client reads, because a long past would
overflow any outbox: close 4008, resume, overflow, for ever.

A ring may forget what a slow reader has not got to yet. The rest of that topic is then one `expired` gap, up to the
head, and the topic goes on live; rejected: close 4008, after which the client would come back for the same gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs
import msgspec
import trio

from datafye_trio.broker import Broker, CatchUp, Chunk, Delivery, Subscriber, Topic
from datafye_trio.broker.chunks import CHUNK_BYTES
from datafye_trio.broker.outbox import STREAM_MESSAGES
from datafye_trio.connection.selection import Selection
from datafye_trio.errors import RequestError
from datafye_trio.protocol import ErrorCode, ResumeFrom, normalise_symbol

__all__ = ["Resuming", "ResumePoint", "find_point"]

_EXPIRED: Final = "expired"
_EPOCH_CHANGED: Final = "epoch_changed"
_MOST: Final = CHUNK_BYTES * 3 // 2
"""Bytes that may wait together with a chunk of the past. Less than of stored data, since here their age counts: so a
client that takes 30 KiB a second keeps within the 5 s."""


@attrs.frozen
class ResumePoint:
    """What a client has: the last `seq` of each symbol, in normal form, within `epoch`.

    With `everything` (a `*` request) it has nothing of the symbols that are not named; else those are none of it.
    """

    epoch: str
    positions: dict[str, int]
    everything: bool

    def after(self, topic: Topic) -> int | None:
        """The `seq` to resume a topic after; None for one that is subscribed afresh."""
        return self.positions.get(topic.symbol, 0 if self.everything else None)

    def is_level(self, topic: Topic) -> bool:
        """Whether nothing of a topic is missing, in the numbering that the client knows, if it knows one."""
        if topic.symbol not in self.positions and not topic.seq:
            return True
        return self.epoch == topic.board.epoch and self.after(topic) == topic.seq

    def unheard(self, chosen: Selection) -> list[str]:
        """The symbols of a `*` request of which the client has messages and the server has no topic (any more).

        They are joined by name: the client must be told that their numbers start anew.
        """
        if not (self.everything and chosen.boards):
            return []
        offered = chosen.dataset.info.symbols
        topics = chosen.boards[0].topics
        return [
            symbol
            for symbol, seq in self.positions.items()
            if seq
            and ((topic := topics.get(symbol)) is None or not topic.pinned)
            and (offered is None or symbol in offered)
        ]


def find_point(resume: ResumeFrom, chosen: Selection) -> ResumePoint:
    """The point that a request names.

    Raises:
        RequestError: INVALID_MESSAGE: several channels, or two positions of one symbol.
    """
    if len(chosen.boards) > 1:
        raise RequestError(
            ErrorCode.INVALID_MESSAGE,
            f"resume is for one channel, this request names {len(chosen.boards)}: send one request for each",
            field="resume",
        )
    positions: dict[str, int] = {}
    for text, seq in resume.positions.items():
        try:
            symbol = normalise_symbol(text, chosen.dataset.info.asset_class)
        except ValueError:
            continue  # no symbol, and so none of this request
        if symbol in positions:
            raise RequestError(
                ErrorCode.INVALID_MESSAGE, f"{symbol} has two positions: give one", field="resume.positions"
            )
        positions[symbol] = seq
    return ResumePoint(resume.epoch, positions, chosen.everything)


class Resuming:
    """The topics of one connection that are catching up. `nursery` is set before the first request is served."""

    def __init__(self, broker: Broker, subscriber: Subscriber) -> None:
        self.nursery: trio.Nursery | None = None
        self._broker = broker
        self._subscriber = subscriber
        self._outbox = subscriber.outbox
        self._ended = False
        self._scope: trio.CancelScope | None = None
        """Of the task that feeds what waits, while there is one."""

    def begin(self, topics: Sequence[Topic], point: ResumePoint, delivery: Delivery | None) -> list[Topic]:
        """Resume topics that were joined in this very step, and answered. Returns those that start afresh."""
        afresh = []
        for topic in topics:
            if (after := point.after(topic)) is None:
                afresh.append(topic)
            elif not point.is_level(topic):
                self._subscriber.fall_behind(topic, CatchUp(point.epoch, after, delivery))
        self._send()
        return afresh

    def show(self, topics: Sequence[Topic], delivery: Delivery | None) -> None:
        """Begin many topics that were joined in this very step, and answered, with snapshots, as the client reads.

        All at once, those of 40,000 topics would overflow any outbox, and take a while.
        """
        for topic in topics:
            self._subscriber.fall_behind(topic, CatchUp(topic.board.epoch, topic.seq, delivery, snapshot=True))
        self._send()

    def start(self) -> None:
        """Feed what waits, if there is a nursery to do it in yet."""
        if self._subscriber.behind and self.nursery is not None and self._scope is None and not self._ended:
            self._scope = trio.CancelScope()
            self.nursery.start_soon(self._feed, self._scope)

    def _send(self) -> None:
        # One chunk, and not all there is room for: a thousand clients that come back at once must not block the rest.
        if self._subscriber.behind and self._outbox.has_room(_MOST):
            self._step()
        self.start()

    def cancel(self) -> None:
        """The connection ends: send no more."""
        self._ended = True
        if self._scope is not None:
            self._scope.cancel()

    async def _feed(self, scope: trio.CancelScope) -> None:
        with scope:
            while self._subscriber.behind:
                await self._outbox.wait_room(_MOST)
                async with self._broker.turn:
                    if self._outbox.has_room(_MOST):  # live messages may have come before our turn
                        self._step()
        self._scope = None

    def _step(self) -> None:
        """Send one chunk, for as many topics as it takes; those that it ends go on live."""
        load = _Load(self._outbox.stream_bytes)
        while load.has_room() and (topic := next(iter(self._subscriber.behind), None)) is not None:
            if not self._advance(topic, self._subscriber.behind[topic], load):
                break
            self._subscriber.catch_up(topic)
        if load.told:
            # Apart from the data, since an outbox that drops its oldest keeps answers. What is conflated comes after.
            self._outbox.put(Chunk(b"".join(load.told)))
            self._subscriber.latest.seal()
        if load.frames:
            frames = load.frames
            if self._subscriber.encoding == "msgpack":
                frames = [self._repacked(frame) for frame in frames]
            self._outbox.put(Chunk(b"".join(frames), len(frames), partial(iter, load.spans)))

    def _advance(self, topic: Topic, past: CatchUp, load: _Load) -> bool:
        """Add what fits of a topic's past to a chunk. True if that is all of it."""
        load.topics += 1
        if past.epoch != topic.board.epoch or past.after > topic.seq:
            self._tell(topic, _EPOCH_CHANGED, None, load)
            return True
        if past.snapshot and past.after == topic.seq:
            if (snapshot := self._broker.snapshot(topic, self._subscriber.encoding)) is not None:
                load.tell(snapshot)
            return True
        if past.delivery is not None and topic.latest is not None:
            # Of a past, `latest` wants the newest message; a ring that has forgotten the others is no loss to it.
            self._subscriber.latest.offer(topic, topic.latest, topic.seq - past.after, past.delivery)
            return True
        frames = topic.ring.after(past.after, load.messages_left(), load.bytes_left())
        if not frames:  # gone, or never here: a feed that is passed on may skip numbers
            self._tell(topic, _EXPIRED, (past.after + 1, topic.seq), load)
            return True
        if not load.take(topic, past.after + 1, frames):
            return False
        past.after += len(frames)
        return past.after == topic.seq

    def _tell(self, topic: Topic, reason: str, lost: tuple[int, int] | None, load: _Load) -> None:
        """A gap, and the latest message as a snapshot, which shows where the numbers stand."""
        encoding = self._subscriber.encoding
        load.tell(self._broker.gap(topic, reason, lost, encoding))
        if (snapshot := self._broker.snapshot(topic, encoding)) is not None:
            load.tell(snapshot)

    def _repacked(self, frame: bytes) -> bytes:
        """The MessagePack frame of a JSON frame: a ring keeps one kind, since few clients resume by MessagePack."""
        fields = msgspec.json.decode(frame[_HEADS.get(frame[1], 2) :])
        return self._broker.frame(self._broker.codec.write(fields, "msgpack"), "msgpack")


_HEADS: Final = {126: 4, 127: 10}
"""Bytes of a server's frame before its payload, by the second of them; 2 for all others."""


@attrs.define
class _Load:
    """A chunk in the making: answers (gaps, snapshots) and data, together of at most `limit` bytes, or one frame."""

    limit: int
    topics: int = 0
    size: int = 0
    told: list[bytes] = attrs.Factory(list)
    frames: list[bytes] = attrs.Factory(list)
    spans: list[tuple[Topic, int, int]] = attrs.Factory(list)

    def has_room(self) -> bool:
        """Whether to go on with the next topic; their number is bounded too, since one may add next to nothing."""
        return self.size < self.limit and self.topics < STREAM_MESSAGES and len(self.frames) < STREAM_MESSAGES

    def messages_left(self) -> int:
        return STREAM_MESSAGES - len(self.frames)

    def bytes_left(self) -> int:
        return self.limit - self.size

    def tell(self, frame: bytes) -> None:
        self.told.append(frame)
        self.size += len(frame)

    def take(self, topic: Topic, first: int, frames: list[bytes]) -> bool:
        """Add messages of a topic; False, and nothing added, where not even the first of them fits."""
        if self.size and len(frames[0]) > self.bytes_left():
            return False
        self.frames += frames
        self.spans.append((topic, first, first + len(frames) - 1))
        self.size += sum(map(len, frames))
        return True
