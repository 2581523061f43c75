"""An outbox on its own, and chunks to put into it."""

from __future__ import annotations

from broker.kit import make_topic

from datafye_trio.broker.chunks import Budget, Chunk, OutboxLimits
from datafye_trio.broker.outbox import Outbox
from datafye_trio.broker.topic import Topic

TOPIC = make_topic()


class Probe:
    """An outbox and how often it called."""

    def __init__(self, budget: Budget | None = None, **limits: object) -> None:
        self.budget = budget or Budget(10**9)
        self.full = self.room = 0
        self.outbox = Outbox(OutboxLimits(**limits), self.budget, on_full=self._full, on_room=self._room)

    def _full(self) -> None:
        self.full += 1

    def _room(self) -> None:
        self.room += 1

    def put(self, *chunks: Chunk) -> None:
        for chunk in chunks:
            self.outbox.put(chunk)

    def drain(self) -> list[Chunk | dict[Topic, tuple[int, int]]]:
        """All that waits, gaps and held answers in their places; as a writer takes it."""
        found = self.outbox.take_held()
        while (chunk := self.outbox.next_nowait()) is not None:
            found.append(chunk)
        self.outbox.written()
        return found


def data(first: int, last: int | None = None, *, topic: Topic = TOPIC, size: int = 10) -> Chunk:
    """A chunk of one topic's messages."""
    last = first if last is None else last
    return Chunk(b"x" * size, last - first + 1, lambda: [(topic, first, last)])


def answer(size: int = 10) -> Chunk:
    return Chunk(b"a" * size)
