"""Answers to requests: into the outbox, in order with the data."""

from __future__ import annotations

from collections.abc import Iterable

from datafye_trio.broker import Broker, Chunk, Subscriber, Topic
from datafye_trio.errors import RequestError
from datafye_trio.protocol import ErrorCode, ErrorReply, Message

__all__ = ["Answers"]


class Answers:
    """Writes to one subscriber's outbox. Everything here is sync and never raises."""

    def __init__(self, broker: Broker, subscriber: Subscriber) -> None:
        self._broker = broker
        self._subscriber = subscriber

    def send(self, message: Message) -> None:
        """Queue an answer. What the subscriber gets conflated later on must not overtake it, hence the seal."""
        encoding = self._subscriber.encoding
        self._subscriber.latest.seal()
        self._subscriber.outbox.put(Chunk(self._broker.frame(self._broker.codec.encode(message, encoding), encoding)))

    def error(self, refusal: RequestError, request_id: str | int | None) -> None:
        """Queue a refusal."""
        code = ErrorCode(refusal.code)
        self.send(
            ErrorReply(
                code=code,
                message=refusal.message,
                retryable=code.retryable,
                id=request_id,
                field=refusal.field,
                symbols=refusal.symbols or None,
            )
        )

    def snapshots(self, topics: Iterable[Topic]) -> None:
        """Queue the latest message of each of a few topics once more."""
        encoding = self._subscriber.encoding
        frames = [frame for topic in topics if (frame := self._broker.snapshot(topic, encoding)) is not None]
        if frames:
            self._subscriber.outbox.put(Chunk(b"".join(frames)))
