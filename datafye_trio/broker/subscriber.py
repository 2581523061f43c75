"""One client, as the broker sees it: its outbox, its encoding, and what it is subscribed to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence

from datafye_trio.broker.latest import Delivery, Latest, Slot
from datafye_trio.broker.outbox import Outbox
from datafye_trio.broker.topic import Board, CatchUp, Topic, Wildcard
from datafye_trio.protocol import Encoding

__all__ = ["Subscriber"]


class Subscriber:
    """Subscribing and unsubscribing are sync, and so atomic: no message can come between."""

    def __init__(self, outbox: Outbox, encoding: Encoding, render: Callable[[Topic, Slot, Encoding], bytes]) -> None:
        self.outbox = outbox
        self.encoding = encoding
        self.latest = Latest(outbox, lambda topic, slot: render(topic, slot, encoding))
        self.topics: dict[Topic, None] = {}
        # An OrderedDict, since finding the first key of a dict costs more the more was deleted before it.
        self.behind: OrderedDict[Topic, CatchUp] = OrderedDict()
        """The topics whose past is still to be sent, in the order they were asked for."""
        self._boards: dict[Board, None] = {}

    @property
    def boards(self) -> list[Board]:
        """The boards of which something is subscribed, in the order they were first asked for."""
        return list(dict.fromkeys([*self._boards, *(topic.board for topic in self.topics)]))

    @property
    def wildcards(self) -> list[Board]:
        """The boards of which every symbol is subscribed."""
        return list(self._boards)

    def exclusions(self) -> int:
        """The symbols that were taken out of `*` subscriptions by name."""
        return sum(len(board.wildcards[self].excluded) for board in self._boards)

    def join(self, topic: Topic, delivery: Delivery | None) -> bool:
        """Receive a topic from its next message on, or change how. True if it is new."""
        new = topic not in self.topics
        if (past := self.behind.get(topic)) is not None:
            past.delivery = delivery
            return False
        if not new and topic.subscribers[self] is not None:
            self.latest.release(topic)
        topic.subscribers[self] = delivery
        self.topics[topic] = None
        return new

    def fall_behind(self, topic: Topic, past: CatchUp) -> None:
        """Receive a topic that was just joined only once its past was sent: see `catch_up`."""
        topic.subscribers[self] = self.behind[topic] = past

    def catch_up(self, topic: Topic) -> None:
        """Receive a topic from its next message on: its past was sent."""
        topic.subscribers[self] = self.behind.pop(topic).delivery

    def positions(self, topics: Iterable[Topic]) -> dict[str, int]:
        """By symbol the last `seq` of a topic that this client was sent, or that is none of its business."""
        if not self.behind:
            return {topic.symbol: topic.seq for topic in topics}
        return {topic.symbol: self._position(topic) for topic in topics}

    def _position(self, topic: Topic) -> int:
        past = self.behind.get(topic)
        return topic.seq if past is None or past.epoch != topic.board.epoch else past.after

    def congested_until(self, now: float) -> float | None:
        """The time up to which this client holds up a source at full speed; None if it does not.

        One that catches up does so while it reads: else such a source would outrun it, and the ring forget.
        """
        return self.outbox.congested_until(now, behind=bool(self.behind))

    def leave(self, topic: Topic) -> bool:
        """Receive a topic no longer. False if it was not subscribed."""
        if topic not in self.topics:
            return False
        del self.topics[topic]
        del topic.subscribers[self]
        self.behind.pop(topic, None)
        self.latest.forget(topic)
        topic.board.forget_unused(topic)
        return True

    def join_all(self, board: Board, delivery: Delivery | None) -> list[Topic]:
        """Receive every topic of a board, those that appear later included. Returns those that are new to it."""
        board.wildcards[self] = Wildcard(delivery)
        board.had_wildcards = True
        self._boards[board] = None
        everything = [topic for topic in board.topics.values() if topic.pinned or topic in self.topics]
        return [topic for topic in everything if self.join(topic, delivery)]

    def exclude(self, board: Board, symbol: str) -> bool:
        """Leave a symbol by name: out of a `*` subscription too, and when it appears later. False if not subscribed."""
        left = False
        if (wildcard := board.wildcards.get(self)) is not None and symbol not in wildcard.excluded:
            wildcard.excluded.add(symbol)
            left = True
        if (topic := board.topics.get(symbol)) is not None:
            left |= self.leave(topic)
        return left

    def include(self, board: Board, symbol: str, delivery: Delivery | None) -> tuple[Topic, bool]:
        """Join a symbol by name, back into a `*` subscription that it was taken out of. True if it is new."""
        if (wildcard := board.wildcards.get(self)) is not None:
            wildcard.excluded.discard(symbol)
        topic = board.topic(symbol)
        return topic, self.join(topic, delivery)

    def include_many(
        self, board: Board, symbols: Sequence[str], delivery: Delivery | None
    ) -> tuple[list[Topic], list[Topic]]:
        """As `include`, of ten thousand in a few milliseconds. Returns their topics, and those that are new to it."""
        if (wildcard := board.wildcards.get(self)) is not None:
            wildcard.excluded.difference_update(symbols)
        topics = list(map(board.topic, symbols))
        fresh = [topic for topic in topics if topic not in self.topics]
        for topic in topics if len(fresh) < len(topics) else ():
            if topic in self.topics:
                self.join(topic, delivery)
        for topic in fresh:
            topic.subscribers[self] = delivery
        self.topics |= dict.fromkeys(fresh)
        return topics, fresh

    def leave_all(self, board: Board, keep: Collection[str]) -> None:
        """Receive no topic of a board but those of `keep` that were subscribed, which go on without a hole.

        Under a `*` subscription that includes symbols that have not appeared yet.
        """
        self.keep(board, self.to_keep(board, keep))
        self.leave_wildcard(board)
        for topic in [topic for topic in self.topics if topic.board is board and topic.symbol not in keep]:
            self.leave(topic)

    def to_keep(self, board: Board, symbols: Iterable[str]) -> list[str]:
        """Of these symbols, those that only a `*` subscription has, as they have not appeared yet."""
        if (wildcard := board.wildcards.get(self)) is None:
            return []
        return [
            symbol
            for symbol in symbols
            if symbol not in wildcard.excluded
            and ((topic := board.topics.get(symbol)) is None or topic not in self.topics)
        ]

    def keep(self, board: Board, symbols: Iterable[str]) -> None:
        """Join what `to_keep` has found: it goes on when the `*` subscription ends."""
        delivery = wildcard.delivery if (wildcard := board.wildcards.get(self)) is not None else None
        for symbol in symbols:
            self.join(board.topic(symbol), delivery)

    def leave_wildcard(self, board: Board) -> None:
        """Receive no symbol any more that appears later; those that are there go on."""
        board.wildcards.pop(self, None)
        self._boards.pop(board, None)

    def leave_wildcards(self) -> None:
        """As `leave_wildcard`, of every board."""
        for board in list(self._boards):
            self.leave_wildcard(board)

    def leave_topics(self, topics: Iterable[Topic]) -> None:
        """Leave each of these."""
        for topic in topics:
            self.leave(topic)

    def leave_everything(self) -> None:
        """The client is gone."""
        self.leave_wildcards()
        self.leave_topics(list(self.topics))
