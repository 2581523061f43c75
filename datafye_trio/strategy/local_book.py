"""What is subscribed to in this process, and the handing out of events. No I/O, all sync.

There is no server in between, and so nothing to ask, to wait for, or to lose but by a program's own slowness: a message
goes straight into the buffers of those who listen. Who has no room says so, and the host decides how long to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import attrs

from datafye_trio.client.board import Board, BoardKey
from datafye_trio.client.book import ALL
from datafye_trio.client.decoding import TypedIntake
from datafye_trio.client.line import Line
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic
from datafye_trio.errors import FeedError, SubscriptionError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Gap, TopicKey
from datafye_trio.protocol import ErrorCode

__all__ = ["EPOCH", "LocalBook", "LocalTopic"]

EPOCH: Final = "local"


@attrs.define(eq=False)
class LocalTopic(Topic):
    """A topic whose messages come from this process, numbered from 1 since somebody has first asked for it."""

    def came(self, item: Any) -> list[Sink]:
        """A message; returns those who have no room for it."""
        seq = self._next
        self._next = seq + 1
        self.latest = item
        # Mostly nobody refuses: the list is made all the same, and is cheaper than a generator.
        return [sink for sink in self.live if not sink.put(self.key, EPOCH, seq, item)]

    def again(self, sink: Sink) -> bool:
        """Hand the newest message to one who had no room for it; whether it has now, or is not subscribed any more."""
        return all(one is not sink for one in self.live) or sink.put(self.key, EPOCH, self._next - 1, self.latest)

    def leave_behind(self, sink: Sink, *, lacks_newest: bool) -> None:
        """One who does not read is passed over from now on, and keeps its place."""
        if any(one is sink for one in self.live):
            self.live = [one for one in self.live if one is not sink]
            self.parked[sink] = self._next - 1 - lacks_newest

    def take_along(self, sink: Sink) -> None:
        """One who was passed over reads again: what it has missed is gone, and it is told what."""
        place, last = self.parked[sink], self._next - 1
        if place is not None and place < last and not sink.put_gap(Gap(self.key, EPOCH, place + 1, last, "expired")):
            sink.full()  # it is told when it has room again
            return
        del self.parked[sink]
        self.live = [*self.live, sink]


@attrs.define(eq=False)
class _LocalLine(Line):
    def new_topic(self, key: TopicKey) -> LocalTopic:
        return LocalTopic(key, EPOCH, placed=True)


class LocalBook:
    """The subscriptions to some datasets. `offers` are the boards that each of them has, by its name."""

    def __init__(self, datasets: Iterable[tuple[DatasetInfo, Collection[BoardKey]]]) -> None:
        self.sinks: dict[Sink, None] = {}
        self.waiting: set[Sink] = set()
        self.failure: FeedError | None = None
        self.complete = False
        self._infos: dict[str, DatasetInfo] = {}
        self._boards: dict[BoardKey, Board] = {}
        line = _LocalLine(TypedIntake())
        for info, keys in datasets:
            self._infos[info.name] = info
            self._boards |= {key: Board(key, info.asset_class, line) for key in keys}

    # What subscriptions call: see `Account`.

    def attach(self, sink: Sink, boards: Iterable[tuple[BoardKey, AssetClass]], symbols: Sequence[str]) -> None:
        """Subscribe a sink to symbols (in normal form) of boards; with `*` among them, to every symbol."""
        self.sinks[sink] = None
        sink.complete, sink.failure = self.complete, sink.failure or self.failure
        unknown: dict[str, None] = {}
        for key, _ in boards:
            if (board := self._boards.get(key)) is None:
                sink.refusals.append(self._not_offered(key))
            elif ALL in symbols:
                board.stars[sink], sink.stars[board] = set(), None
                for topic in list(board.topics.values()):
                    board.include(topic)
            else:
                unknown |= dict.fromkeys(self._attach_named(sink, board, symbols))
        if unknown:
            what = f"{len(unknown)} of the symbols are not offered by dataset {key.dataset}: leave them out"
            sink.refusals.append(SubscriptionError(ErrorCode.UNKNOWN_SYMBOL, what, tuple(unknown)))

    def detach(self, sink: Sink, symbols: Iterable[str] | None = None) -> None:
        """Unsubscribe a sink from these symbols (`*`: from every symbol), or from everything. Idempotent."""
        gone = None if symbols is None else set(symbols)
        everything = gone is None or ALL in gone
        for board in list(sink.stars):
            if everything:
                del board.stars[sink], sink.stars[board]
            else:
                board.stars[sink] |= gone or set()
        for topic in list(sink.topics):
            if everything or topic.key.symbol in (gone or ()):
                topic.leave(sink)
                del sink.topics[topic]
        if gone is None:
            self.sinks.pop(sink, None)
            self.waiting.discard(sink)
            sink.paused = False

    def take_back(self, sink: Sink) -> None:
        """Nothing: what was asked is answered at once."""

    def pause(self, sink: Sink) -> None:
        """A sink is full."""
        sink.paused = True
        sink.pauses += 1

    def unpause(self, sink: Sink) -> None:
        """A sink has room again."""
        sink.paused = False
        for topic in list(sink.topics):
            if sink.paused:
                break  # full again; the rest is still parked
            if isinstance(topic, LocalTopic) and sink in topic.parked:
                topic.take_along(sink)

    # What the host calls.

    def topic(self, key: BoardKey, symbol: str) -> LocalTopic | None:
        """The topic of a message, None where nobody can want it: nobody listens, and it is no quote.

        The newest quote of a symbol is kept for those who come later.
        """
        board = self._boards[key]
        topic = board.topics.get(symbol)
        if topic is None and (board.stars or key.channel is Channel.QUOTES):
            topic = board.topic(symbol)
            board.include(topic)
        assert topic is None or isinstance(topic, LocalTopic)  # noqa: S101 -- as the line makes them
        return topic

    def is_wanted(self, key: BoardKey, symbol: str) -> bool:
        """Whether somebody listens to a topic."""
        board = self._boards[key]
        topic = board.topics.get(symbol)
        return bool(topic.live) if topic is not None else bool(board.stars)

    def subscribed_topics(self, dataset: str) -> int:
        """The topics of a dataset that somebody listens to; `*` counts as one until the first symbol appears."""
        boards = [board for key, board in self._boards.items() if key.dataset == dataset]
        return sum(sum(1 for topic in board.topics.values() if topic.live) or bool(board.stars) for board in boards)

    def ending(self, failure: FeedError | None) -> list[Callable[[], None]]:
        """Nothing more comes: the data has ended, or what gave it has failed. Returns what wakes the programs."""
        self.complete, self.failure = True, failure
        for sink in self.sinks:
            sink.complete, sink.failure = True, sink.failure or failure
        return [sink.changed for sink in self.sinks]

    def _attach_named(self, sink: Sink, board: Board, symbols: Sequence[str]) -> list[str]:
        """Returns the symbols that there are not."""
        offered = self._infos[board.key.dataset].symbols
        for symbol in symbols:
            if offered is not None and symbol not in offered:
                continue
            if (unwanted := board.stars.get(sink)) is not None:
                unwanted.discard(symbol)
            if symbol not in board.topics:
                board.include(board.topic(symbol))  # those who want every symbol want this one
            topic = board.topic(symbol)
            if topic not in sink.topics:
                sink.topics[topic] = topic.named[sink] = None
                topic.join(sink)
        return [] if offered is None else [symbol for symbol in symbols if symbol not in offered]

    def _not_offered(self, key: BoardKey) -> SubscriptionError:
        name, info = key.dataset, self._infos[key.dataset]
        frequencies = [one.frequency for one in self._boards if one.dataset == name and one.channel is key.channel]
        if key.channel not in info.channels:
            what = f"dataset {name} has no {key.channel}: it offers {', '.join(info.channels)}"
            return SubscriptionError(ErrorCode.CHANNEL_NOT_AVAILABLE, what)
        offered = ", ".join(dict.fromkeys(one for one in frequencies if one is not None))
        what = f"dataset {name} has {key.channel} by {offered}: name one of these as frequency"
        return SubscriptionError(ErrorCode.INVALID_FREQUENCY, what)
