"""Events that come with a position: they keep it, and what was lost before they came is told on. All sync.

The broker numbers nothing here. A topic's `seq` follows what its source says; where that leaves numbers out, everybody
who is subscribed gets an exact gap in its place, and the ring begins anew: who resumes from before gets one `expired`
gap up to the head (protocol.md section 5: never part of a hole).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import trio

from datafye_trio.broker.chunks import Chunk
from datafye_trio.broker.fanout import fan_out
from datafye_trio.broker.topic import BoardKey, CatchUp, Routed, Topic
from datafye_trio.broker.validate import check_event
from datafye_trio.errors import EventError, RequestError
from datafye_trio.logs import get_logger, is_told
from datafye_trio.model import Channel, Event, Frequency, Gap, TopicKey
from datafye_trio.protocol import ErrorCode, ErrorReply
from datafye_trio.sources.positions import Positioned

if TYPE_CHECKING:
    from datafye_trio.broker.broker import Broker
    from datafye_trio.broker.dataset import Dataset
    from datafye_trio.broker.subscriber import Subscriber

__all__ = ["DatasetPositions"]

log = get_logger("broker")

_ALL = "*"
_EPOCH_CHANGED = "epoch_changed"
_EXPIRED = "expired"
_UNEXPLAINED = "unexplained"


class DatasetPositions:
    """The `Positions` of one dataset; see there."""

    def __init__(self, dataset: Dataset, broker: Broker) -> None:
        self._dataset = dataset
        self._broker = broker
        self.malformed = 0
        """Events that cannot be passed on; a gap stands in their place."""

    @property
    def epoch(self) -> str:
        """See `Positions.epoch`."""
        return self._dataset.epoch

    def place(self, topic: TopicKey, epoch: str, seq: int) -> None:
        """See `Positions.place`."""
        self._follow(epoch)
        found = self._topic(topic)
        if found.subscribers and seq > found.seq:
            self._lose(found, seq, _EXPIRED)
        elif seq != found.seq:
            found.seq, found.latest = seq, None
            found.ring.restart(seq + 1)

    def relay(self, items: Sequence[Positioned]) -> None:
        """See `Positions.relay`."""
        run: list[Routed] = []
        stands: dict[Topic, int] = {}
        for key, epoch, seq, item in items:
            topic = self._topic(key)
            if epoch == self._dataset.epoch and seq == stands.get(topic, topic.seq) + 1:
                if self._is_sound(item):
                    run.append(((topic,), item))  # type: ignore[arg-type]  # with a seq, it is an event
                    stands[topic] = seq
                continue
            self._flush(run, stands)
            self._follow(epoch)
            if isinstance(item, Gap):
                self._gap(topic, item)
            elif seq == 0:
                self._show(topic, item)
            elif seq > topic.seq and self._is_sound(item):
                if seq > topic.seq + 1:
                    self._lose(topic, seq - 1, _UNEXPLAINED)
                run.append(((topic,), item))
                stands[topic] = seq
        self._flush(run, stands)

    def prepend(self, topic: TopicKey, first: int, events: Sequence[Event]) -> None:
        """See `Positions.prepend`."""
        found = self._topic(topic)
        missing = found.ring.first - first
        if 0 < missing <= len(events):
            encode = self._broker.encode
            frames = [encode(found, event, first + n, "json") for n, event in enumerate(events[:missing])]
            found.ring.prepend(trio.current_time(), frames)

    def lacks(self, topic: TopicKey, after: int) -> bool:
        """See `Positions.lacks`."""
        found = self._topic(topic)
        return after < found.seq and after + 1 < found.ring.first

    def wants_all(self, channel: Channel, frequency: Frequency | None, running: bool) -> bool:
        """See `Positions.wants_all`."""
        return bool(self._dataset.boards[BoardKey(channel, frequency, running)].wildcards)

    def wanted(self, channel: Channel, frequency: Frequency | None, running: bool) -> Collection[str]:
        """See `Positions.wanted`."""
        board = self._dataset.boards[BoardKey(channel, frequency, running)]
        return {symbol for symbol, topic in board.topics.items() if topic.subscribers}

    def forget(self, topic: TopicKey) -> None:
        """See `Positions.forget`."""
        self._drop(self._topic(topic))

    def withdraw(
        self, channel: Channel, frequency: Frequency | None, running: bool, symbols: Collection[str], why: RequestError
    ) -> None:
        """See `Positions.withdraw`."""
        board = self._dataset.boards[BoardKey(channel, frequency, running)]
        told: dict[Subscriber, list[str]] = {}
        for subscriber in list(board.wildcards) if _ALL in symbols else ():
            subscriber.leave_all(board, ())
            told[subscriber] = [_ALL]
        for topic in [board.topics[symbol] for symbol in symbols if symbol in board.topics]:
            for subscriber in list(topic.subscribers):
                subscriber.leave(topic)
                told.setdefault(subscriber, []).append(topic.symbol)
            self._drop(topic)
        for subscriber, gone in told.items():
            self._refuse(subscriber, why, tuple(gone))

    def _drop(self, topic: Topic) -> None:
        topic.pinned = False
        topic.ring.restart(1)
        topic.board.forget_unused(topic)

    def _refuse(self, subscriber: Subscriber, why: RequestError, symbols: tuple[str, ...]) -> None:
        """An error that answers no request, and so has no `id`."""
        code = ErrorCode(why.code)
        reply = ErrorReply(code, why.message, code.retryable, field=why.field, symbols=symbols)
        frame = self._broker.frame(self._broker.codec.encode(reply, subscriber.encoding), subscriber.encoding)
        subscriber.latest.seal()
        subscriber.outbox.put(Chunk(frame))

    def _topic(self, key: TopicKey) -> Topic:
        return self._dataset.boards[BoardKey(key.channel, key.frequency, key.running)].pin(key.symbol)

    def _is_sound(self, item: Event | Gap) -> bool:
        try:
            check_event(item)  # type: ignore[arg-type]  # a gap has no seq, and never comes here
        except EventError as error:
            self.malformed += 1
            if is_told(self.malformed):
                log.warning("an event cannot be relayed: a gap stands for it", why=str(error)[:200])
            return False
        return True

    def _flush(self, run: list[Routed], stands: dict[Topic, int]) -> None:
        if run:
            fan_out(run, self._broker.encode, trio.current_time())
            run.clear()
            stands.clear()

    def _follow(self, epoch: str) -> None:
        """A new life of the numbering is one for all topics of the dataset: none of them goes on in the old one."""
        dataset = self._dataset
        if epoch == dataset.epoch:
            return
        log.warning("the numbering begins anew", dataset=dataset.info.name, epoch=epoch)
        dataset.epoch = epoch
        for board in dataset.boards.values():
            board.epoch = epoch
        for board in dataset.boards.values():
            for topic in board.topics.values():
                self._restart(topic)

    def _restart(self, topic: Topic) -> None:
        topic.seq, topic.latest = 0, None
        topic.ring.restart(1)
        self._tell(topic, _EPOCH_CHANGED, None)

    def _gap(self, topic: Topic, gap: Gap) -> None:
        if gap.last is None:
            if topic.seq:  # else it has begun anew with its whole dataset, and that was told
                self._restart(topic)
        elif gap.last > topic.seq:
            self._lose(topic, gap.last, gap.reason)

    def _show(self, topic: Topic, newest: Event) -> None:
        """The newest event of a topic of which none is known here: its subscribers were answered before it came."""
        if topic.latest is not None or not topic.seq:
            return
        topic.latest = newest
        for subscriber, delivery in topic.subscribers.items():
            if not isinstance(delivery, CatchUp) and (frame := self._broker.snapshot(topic, subscriber.encoding)):
                subscriber.latest.seal()
                subscriber.outbox.put(Chunk(frame))

    def _lose(self, topic: Topic, last: int, reason: str) -> None:
        first = topic.seq + 1
        topic.seq, topic.latest = last, None
        topic.ring.restart(last + 1)
        self._tell(topic, reason, (first, last))

    def _tell(self, topic: Topic, reason: str, lost: tuple[int, int] | None) -> None:
        """Put a gap in its place, to all who are up to it; who still catches up finds it in the ring."""
        for subscriber, delivery in topic.subscribers.items():
            if not isinstance(delivery, CatchUp):
                subscriber.latest.seal()  # what is conflated from now on comes after it
                subscriber.outbox.put(Chunk(self._broker.gap(topic, reason, lost, subscriber.encoding)))
