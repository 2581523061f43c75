"""Topics, and the boards that hold those of one channel: who is subscribed to what, `*` included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import attrs

from datafye_trio.broker.latest import Delivery
from datafye_trio.broker.ring import Ring, RingStore
from datafye_trio.model import Channel, Event, Frequency

if TYPE_CHECKING:
    from datafye_trio.broker.subscriber import Subscriber

__all__ = ["Board", "BoardKey", "CatchUp", "Routed", "Topic", "Wildcard"]


class BoardKey(NamedTuple):
    """What tells the boards of one dataset apart: bars of each frequency, final or running, are numbered apart."""

    channel: Channel
    frequency: Frequency | None = None
    running: bool = False


@attrs.define(eq=False)
class CatchUp:
    """In place of a delivery: a client that has joined a topic, but is still being sent its past, out of the ring.

    The fan-out passes it by. `after` is the `seq` that the client has got to, in the numbering of `epoch`; `delivery`
    is how it receives the topic from then on. `snapshot`: unless something has come after `after`, the latest message
    is sent once more first.
    """

    epoch: str
    after: int
    delivery: Delivery | None
    snapshot: bool = False


@attrs.define(eq=False)
class Topic:
    """One sequence of messages: `seq` is that of the last one, 0 before the first.

    `pinned`: a publisher holds it, or it is of a closed list; it must not be forgotten and made anew. One that is not
    was only asked for: no `*` subscription has it.
    """

    board: Board
    symbol: str
    ring: Ring
    seq: int = 0
    latest: Event | None = None
    pinned: bool = False
    subscribers: dict[Subscriber, Delivery | CatchUp | None] = attrs.Factory(dict)


@attrs.define
class Wildcard:
    """A `*` subscription: symbols that were unsubscribed by name stay out of it, also when they appear later."""

    delivery: Delivery | None
    excluded: set[str] = attrs.Factory(set)


@attrs.define(eq=False)
class Board:
    """The topics of one dataset and `BoardKey`."""

    dataset: str
    asset_class: str
    epoch: str
    key: BoardKey
    store: RingStore
    topics: dict[str, Topic] = attrs.Factory(dict)
    wildcards: dict[Subscriber, Wildcard] = attrs.Factory(dict)
    had_wildcards: bool = False

    def topic(self, symbol: str) -> Topic:
        """The topic of a symbol, made if it is new: somebody asks for it."""
        if (topic := self.topics.get(symbol)) is None:
            topic = self.topics[symbol] = Topic(self, symbol, Ring(self.store))
        return topic

    def pin(self, symbol: str) -> Topic:
        """The topic of a symbol of the dataset, which every `*` subscription joins if it has just become one.

        Not before: what one client asks for, whether there is such a symbol or not, must not become everybody's, count
        among their topics and, as nobody leaves it, last.
        """
        topic = self.topics.get(symbol)
        if topic is not None and topic.pinned:
            return topic
        topic = self.topic(symbol)
        topic.pinned = True
        for subscriber, wildcard in self.wildcards.items():
            if topic not in subscriber.topics and symbol not in wildcard.excluded:
                subscriber.join(topic, wildcard.delivery)
        return topic

    def is_wanted(self, symbol: str) -> bool:
        """Whether anybody receives a symbol, or would from its first message on."""
        topic = self.topics.get(symbol)
        if topic is not None and (topic.pinned or topic.subscribers):
            return bool(topic.subscribers)
        return bool(self.wildcards)

    def was_wanted(self, symbol: str) -> bool:
        """Whether somebody has received a symbol, or would have: he may come back for what there was meanwhile."""
        topic = self.topics.get(symbol)
        return self.had_wildcards or (topic is not None and topic.pinned)

    def forget_unjoined(self, symbols: Iterable[str]) -> None:
        """As `forget_unused`, of topics that were made to be joined, and were not."""
        for symbol in symbols:
            if (topic := self.topics.get(symbol)) is not None:
                self.forget_unused(topic)

    def forget_unused(self, topic: Topic) -> None:
        """Drop a topic that nobody publishes or receives: a stranger's wish must not cost memory for ever."""
        if not topic.pinned and not topic.subscribers:
            self.topics.pop(topic.symbol, None)


Routed: TypeAlias = tuple[tuple[Topic, ...], Event]
"""An event and the topics that it goes out on."""
