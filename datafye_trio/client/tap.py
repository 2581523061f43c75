"""A subscription that keeps each event's place: for a relay, which passes on topic, epoch and `seq` as they are.

It never waits: whoever holds it is told that there is news, and takes what there is. Its buffer is bounded like every
subscription's with the policy `wait`: when it is full, topics are left at the server and fetched later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import ALL
from datafye_trio.client.feed import WireFeed
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic
from datafye_trio.errors import FeedError, SubscriptionError
from datafye_trio.model import AssetClass, Gap, TopicKey
from datafye_trio.model.gaps import Live

__all__ = ["Placed", "Tap"]

Placed = tuple[TopicKey, str, int, Any]
"""Topic, epoch, `seq` and event; 0 for a snapshot and where the server numbers nothing, -1 for a gap for an event."""

_CAPACITY: Final = 65_536
_GAP: Final = -1


class _Places:
    """The buffer: full is full."""

    __slots__ = ("_on_news", "capacity", "items")

    dropped: Final = 0
    conflated: Final = 0
    queue: Final = None

    def __init__(self, on_news: Callable[[], None], capacity: int) -> None:
        self.items: deque[Placed] = deque()
        self.capacity = capacity
        self._on_news = on_news

    def __len__(self) -> int:
        return len(self.items)

    @property
    def drained(self) -> bool:
        return 2 * len(self.items) <= self.capacity

    def put(self, topic: TopicKey, epoch: str, seq: int | None, item: Any) -> bool:
        items = self.items
        if len(items) >= self.capacity:
            return False
        if not items:
            self._on_news()
        items.append((topic, epoch, seq or 0, item))
        return True

    def put_gap(self, gap: Gap) -> bool:
        return self.put(gap.topic, gap.epoch, _GAP, gap)

    def put_mark(self, item: Live) -> None:
        """No marks come here: nothing is subscribed with a past."""

    def pop(self) -> Any:
        return self.items.popleft()

    def pop_many(self, most: int) -> list[Any]:
        return [self.pop() for _ in range(min(most, len(self.items)))]


class Tap:
    """See the module. All sync. `on_news` is called when something has come, was answered, refused, or has ended.

    Args:
        feed: must be open, and have been connected once.
        on_news: sync; must not call the tap.
        capacity: the most items that wait.
        snapshots: whether the newest quote of a topic comes first when it is joined.
    """

    def __init__(
        self, feed: WireFeed[Any], on_news: Callable[[], None], capacity: int = _CAPACITY, *, snapshots: bool = True
    ) -> None:
        self._hub = feed._hub
        self._buffer = _Places(on_news, capacity)
        self._sink = Sink(self._buffer, snapshots=snapshots, partial=True, on_full=self._full, on_change=on_news)
        self._sink.entered = True
        self._hub.book.sinks[self._sink] = None

    @property
    def failure(self) -> FeedError | None:
        """What has ended the feed."""
        self._hub.failure_met |= self._sink.failure is not None  # told, and not to be raised by the feed's end again
        return self._sink.failure

    def take_refusals(self) -> list[SubscriptionError]:
        """What the server has refused since this was last called."""
        refusals = list(self._sink.refusals)
        self._sink.refusals.clear()
        return refusals

    def __len__(self) -> int:
        return len(self._buffer)

    def join(self, board: BoardKey, asset_class: AssetClass, symbols: Iterable[str] | None) -> None:
        """Subscribe to symbols; None is every symbol. What is there already goes on undisturbed."""
        self._hub.book.attach(self._sink, [(board, asset_class)], [ALL] if symbols is None else list(symbols))
        self._hub.wake()

    def join_after(self, topic: TopicKey, seq: int) -> bool:
        """Subscribe to a topic from after an earlier `seq` on; False where the feed does not know the topic yet."""
        found = self._find(topic)
        if found is None or not found.placed:
            return False
        self._sink.topics[found] = found.named[self._sink] = None
        found.join_from(self._sink, seq)
        self._hub.book.touch(found)
        self._hub.wake()
        return True

    def leave(self, topics: Iterable[TopicKey]) -> None:
        """Unsubscribe from these topics; what waits of them is still given out."""
        for key in topics:
            if (topic := self._find(key)) is not None and topic in self._sink.topics:
                self._hub.book.drop(self._sink, topic)
        self._hub.wake()

    def leave_all(self, board: BoardKey, asset_class: AssetClass, keep: Iterable[str]) -> None:
        """Be subscribed to every symbol no longer, but for `keep`, which go on without a hole."""
        if (found := self._hub.book.boards.get(board)) is not None and found in self._sink.stars:
            self._hub.book.drop_star(self._sink, found)
        self.join(board, asset_class, keep)

    def close(self) -> None:
        """Unsubscribe from everything. Idempotent."""
        self._hub.book.detach(self._sink)
        self._hub.wake()

    def take(self, most: int) -> list[Placed]:
        """The oldest items that wait, in order; once it is half empty, what was left at the server is asked for."""
        items = self._buffer.items
        found = list(islice(items, most))
        for _ in found:
            items.popleft()
        if self._sink.paused and self._buffer.drained:
            self._hub.book.unpause(self._sink)
            self._hub.wake()
        return found

    def has(self, topic: TopicKey) -> bool:
        """Whether it is subscribed to a topic, answered or not."""
        return (found := self._find(topic)) is not None and found in self._sink.topics

    def has_all(self, board: BoardKey) -> bool:
        """Whether it is subscribed to every symbol, answered or not."""
        return (found := self._hub.book.boards.get(board)) is not None and found in self._sink.stars

    def receives_all(self, board: BoardKey) -> bool:
        """Whether the server has answered that it sends every symbol."""
        found = self._hub.book.boards.get(board)
        return found is not None and found in self._sink.stars and found not in self._sink.pending

    def position(self, topic: TopicKey) -> tuple[str, int] | None:
        """Epoch and `seq` of the last item of a topic that was put, or never comes; None before the server's answer.

        Where the numbering has begun anew and nothing has come yet, that is 0.
        """
        found = self._find(topic)
        if found is None or not found.placed or found not in self._sink.topics or found in self._sink.pending:
            return None
        place = found.parked.get(self._sink, found.behind.get(self._sink, found.next - 1))
        return found.epoch, place or 0

    def is_level(self, topic: TopicKey) -> bool:
        """Whether it has got all of a topic that the feed has got."""
        found = self._find(topic)
        return found is None or any(one is self._sink for one in found.live)

    def known(self, board: BoardKey) -> list[TopicKey]:
        """The topics of a board to which it is subscribed."""
        found = self._hub.book.boards.get(board)
        return [topic.key for topic in found.topics.values() if topic in self._sink.topics] if found else []

    def _find(self, key: TopicKey) -> Topic | None:
        board = self._hub.book.boards.get(BoardKey(key.dataset, key.channel, key.frequency, key.running))
        return None if board is None else board.topics.get(key.symbol)

    def _full(self, sink: Sink) -> None:
        self._hub.book.pause(sink)
        self._hub.wake()
