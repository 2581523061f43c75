"""Topics, and the boards that hold those of one channel: who is subscribed to what, `*` included."""

from __future__ import annotations

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
    is how it receives the topic from then on.
    """

    epoch: str
    after: int
    delivery: Delivery | None


@attrs.define(eq=False)
class Topic:
    """One sequence of messages: `seq` is that of the last one, 0 before the first.

    `pinned`: a publisher holds it, or it is of a closed list; it must not be forgotten and made anew.
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

    def topic(self, symbol: str) -> Topic:
        """The topic of a symbol, made and joined by every `*` subscription if it is new."""
        if (topic := self.topics.get(symbol)) is None:
            topic = self.topics[symbol] = Topic(self, symbol, Ring(self.store))
            for subscriber, wildcard in self.wildcards.items():
                if symbol not in wildcard.excluded:
                    subscriber.join(topic, wildcard.delivery)
        return topic

    def is_wanted(self, symbol: str) -> bool:
        """Whether anybody receives a symbol, or would from its first message on."""
        topic = self.topics.get(symbol)
        return bool(topic.subscribers) if topic is not None else bool(self.wildcards)

    def forget_unused(self, topic: Topic) -> None:
        """Drop a topic that nobody publishes or receives: a stranger's wish must not cost memory for ever."""
        if not topic.pinned and not topic.subscribers:
            self.topics.pop(topic.symbol, None)


Routed: TypeAlias = tuple[tuple[Topic, ...], Event]
"""An event and the topics that it goes out on."""
