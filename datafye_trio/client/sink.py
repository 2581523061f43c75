"""What the book knows of one subscription: where its events go, and what the server says about it. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from datafye_trio.client.buffers import Buffer, Queue
from datafye_trio.errors import FeedError, SubscriptionError
from datafye_trio.model import Gap, TopicKey

if TYPE_CHECKING:
    from datafye_trio.client.board import Board
    from datafye_trio.client.topic import Topic

__all__ = ["Sink", "merged"]


class Sink:
    """One subscription's end of the book.

    Attributes:
        buffer: what waits for the program.
        put: the buffer's own, called for every message; False says that it was not taken, and `full` is to be called.
        queue: the buffer's own: where items may go as they are, as long as there is room.
        snapshots: whether the newest message of a topic is wanted when it is joined.
        partial: whether it goes on with what the server accepts.
        entered: whether the server has answered it once; what it refuses later ends it.
        paused: it was full, reads nothing, and keeps its places.
        pauses, gaps, missing: how often it was full; gaps that were put, and messages known to be lost in them.
        topics, stars: what it is subscribed to by symbol, and the boards of which it has every symbol.
        pending: what the server has not answered yet.
        refusals: what the server has refused.
        failure: why it has ended; raised by the iterator once the buffer is empty.
        complete: whether the data has ended, so that iterating does, once the buffer is empty.
    """

    def __init__(
        self,
        buffer: Buffer,
        *,
        snapshots: bool,
        partial: bool,
        on_full: Callable[[Sink], None],
        on_change: Callable[[], None],
    ) -> None:
        self.buffer = buffer
        self.put: Callable[[TopicKey, str, int | None, Any], bool] = buffer.put
        self.queue: Queue | None = buffer.queue
        self.snapshots = snapshots
        self.partial = partial
        self.entered = False
        self.paused = False
        self.pauses = self.gaps = self.missing = 0
        self.topics: dict[Topic, None] = {}
        self.stars: dict[Board, None] = {}
        self.pending: set[Topic | Board] = set()
        self.refusals: list[SubscriptionError] = []
        self.failure: FeedError | None = None
        self.complete = False
        self.changed = on_change
        """Something was put, answered or refused: wakes who waits for it."""
        self._on_full = on_full

    def use(self, buffer: Buffer) -> None:
        """From now on, what comes goes into another buffer."""
        self.buffer, self.put, self.queue = buffer, buffer.put, buffer.queue
        for topic in self.topics:
            topic.refresh()

    def put_gap(self, gap: Gap) -> bool:
        """As `put`, for a gap."""
        if not self.buffer.put_gap(gap):
            return False
        self.gaps += 1
        self.missing += gap.size
        return True

    def full(self) -> None:
        """Something was not taken."""
        self._on_full(self)

    def fail(self, failure: FeedError) -> None:
        """It ends here. The first reason wins."""
        if self.failure is None:
            self.failure = failure
        self.changed()


def merged(refusals: Sequence[SubscriptionError]) -> FeedError:
    """One error for all of the first kind; the others stand in its notes."""
    first = refusals[0]
    alike = [one for one in refusals if one.code == first.code and one.message == first.message]
    symbols = tuple(dict.fromkeys(symbol for one in alike for symbol in one.symbols))
    error = SubscriptionError(first.code, first.message, symbols)
    for other in refusals:
        if other not in alike:
            error.add_note(str(other))
    return error
