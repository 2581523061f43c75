"""The topics of one dataset, channel and frequency, and how to get from what is on the wire to what is wanted. No I/O.

The rules of this file. What was asked is answered before more is asked about the same: a board with a `*` request under
way asks nothing, and a `*` request waits until every topic has settled. So each answer has one meaning, and stands at
one place of the stream. Requests hold one channel, as `resume` needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import attrs

from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic, Wire
from datafye_trio.model import AssetClass, Channel, Frequency, TopicKey
from datafye_trio.protocol import Request, ResumeFrom, Subscribe, Unsubscribe

__all__ = ["Ask", "Board", "BoardKey", "RequestBudget"]

_ALL: Final = "*"
_OVERHEAD: Final = 1_024
"""Bytes of a request beside its symbols."""
_SEQ_DIGITS: Final = 20


class BoardKey(NamedTuple):
    """What tells boards apart. Spelled like the wire's: `frequency` is None for ticks."""

    dataset: str
    channel: Channel
    frequency: Frequency | None = None
    running: bool = False


@attrs.frozen
class RequestBudget:
    """What one request may hold (`connected.limits`)."""

    bytes: int = 128 * 1024
    symbols: int = 10_000


@attrs.define(eq=False)
class Ask:
    """One request under way. `topics` are those that it is about and that were not answered yet.

    Attributes:
        star: whether it is about `*`.
        leave: whether it unsubscribes.
        resume: the `seq` by symbol after which the server was asked to send again; None for a fresh start.
        epoch: the life of the numbering that these are of.
        keep: with `star` and `leave`, the symbols that stay.
    """

    board: Board
    topics: dict[str, Topic]
    star: bool = False
    leave: bool = False
    resume: dict[str, int] | None = None
    epoch: str = ""
    keep: tuple[str, ...] = ()

    def request(self, number: int) -> Request:
        """As the wire has it; `number` is its id."""
        key = self.board.key
        symbols = (_ALL,) if self.star else tuple(self.topics)
        shared = (symbols, (key.channel,), number, key.dataset, None, key.frequency, key.running or None)
        if self.leave:
            return Unsubscribe(*shared, except_=self.keep or None)
        return Subscribe(
            *shared,
            snapshot=self.board.snapshots,
            resume=None if self.resume is None else ResumeFrom(self.epoch, self.resume),
        )


@attrs.define(eq=False)
class Board:
    """See the module. `star` is where the request for every symbol stands, `stars` are those that want it."""

    key: BoardKey
    asset_class: AssetClass
    epoch: str = ""
    topics: dict[str, Topic] = attrs.Factory(dict)
    stars: dict[Sink, None] = attrs.Factory(dict)
    star: Wire = Wire.OFF
    star_joined: bool = False
    """Whether `*` was answered before: then it is resumed, not begun."""
    moving: dict[Topic, None] = attrs.Factory(dict)
    """Topics with a request under way."""
    changed: dict[Topic, None] = attrs.Factory(dict)
    """Topics whose place on the wire may not be what is wanted."""

    @property
    def snapshots(self) -> bool:
        """Whether the newest message is asked for when a topic is joined: on quotes, where somebody wants it."""
        return self.key.channel is Channel.QUOTES

    @property
    def settled(self) -> bool:
        """Whether nothing is under way, and what is wanted is there."""
        return self.star in (Wire.OFF, Wire.ON) and not self.moving and self._star_wanted() == (self.star is Wire.ON)

    def topic(self, symbol: str) -> Topic:
        """The topic of a symbol, made if it is new."""
        if (topic := self.topics.get(symbol)) is None:
            key = TopicKey(
                self.key.dataset, self.asset_class, self.key.channel, symbol, self.key.frequency, self.key.running
            )
            topic = self.topics[symbol] = Topic(key)
        return topic

    def include(self, topic: Topic, position: int) -> None:
        """A topic that `*` brings: join those who want every symbol and do not have it yet, from `position` on."""
        if not topic.placed:
            topic.started(self.epoch, position)
        for sink in self.stars:
            if topic not in sink.topics:
                sink.topics[topic] = None
                if sink.paused:
                    topic.park_at(sink, topic.next - 1)
                else:
                    topic.join(sink)

    def forget(self, topic: Topic) -> None:
        """Drop a topic that nobody is subscribed to any more."""
        if not (topic.wanted or topic.parked or topic.wire is not Wire.OFF):
            self.topics.pop(topic.key.symbol, None)
            self.changed.pop(topic, None)

    def cut(self) -> None:
        """The connection is gone, and with it all that was on the wire."""
        self.star = Wire.OFF
        self.moving.clear()
        for topic in list(self.topics.values()):
            topic.resync = False
            topic.set_wire(Wire.OFF)
            self.changed[topic] = None
            self.forget(topic)

    def plan(self, budget: RequestBudget) -> Iterator[Ask]:
        """What is to be asked now. The caller sends it, and comes back with each answer."""
        if self.star in (Wire.JOINING, Wire.LEAVING):
            return
        wanted = self._star_wanted()
        if self.star is Wire.ON and not wanted:
            if not self.moving:
                yield self._leave_star()
            return
        changed = [topic for topic in self.changed if topic.wire in (Wire.OFF, Wire.ON)]
        self.changed = {topic: None for topic in self.changed if topic.wire not in (Wire.OFF, Wire.ON)}
        leaving = [topic for topic in changed if topic.wire is Wire.ON and (topic.resync or not topic.wanted)]
        joining = [topic for topic in changed if topic.wire is Wire.OFF and topic.wanted]
        yield from self._move(leaving, budget, leave=True)
        fresh = [topic for topic in joining if not topic.placed]
        known = [topic for topic in joining if topic.placed]
        if wanted and self.star is Wire.OFF:
            alone = not (leaving or self.moving) and len({topic.epoch for topic in known}) <= 1
            if self.star_joined and not fresh and alone and self._fits(known, budget):
                yield self._join_star({topic.key.symbol: topic.resume_from for topic in known}, known)
                return
            if not self.star_joined and not known and alone:
                yield self._join_star(None, fresh)
                return
            if not self.star_joined:
                self.changed |= dict.fromkeys(fresh)  # these come with `*`, once it is its turn
                fresh = []
        yield from self._move(fresh, budget)
        yield from self._move(known, budget, resume=True)

    def _star_wanted(self) -> bool:
        return any(not sink.paused for sink in self.stars)

    def _fits(self, topics: Sequence[Topic], budget: RequestBudget) -> bool:
        return sum(_size(topic, resume=True) for topic in topics) <= budget.bytes - _OVERHEAD

    def _move(
        self, topics: Sequence[Topic], budget: RequestBudget, *, leave: bool = False, resume: bool = False
    ) -> Iterator[Ask]:
        for part in _parts(topics, budget, resume=resume):
            for topic in part:
                topic.set_wire(Wire.LEAVING if leave else Wire.JOINING)
                self.moving[topic] = None
            places = {topic.key.symbol: topic.resume_from for topic in part} if resume else None
            yield Ask(
                self, {topic.key.symbol: topic for topic in part}, leave=leave, resume=places, epoch=self._epoch(part)
            )

    def _join_star(self, resume: dict[str, int] | None, topics: Sequence[Topic]) -> Ask:
        self.star = Wire.JOINING
        for topic in topics:
            topic.set_wire(Wire.JOINING)
            self.moving[topic] = None
        return Ask(
            self, {topic.key.symbol: topic for topic in topics}, star=True, resume=resume, epoch=self._epoch(topics)
        )

    def _leave_star(self) -> Ask:
        self.star = Wire.LEAVING
        keep = tuple(symbol for symbol, topic in self.topics.items() if topic.wire is Wire.ON and topic.wanted)
        return Ask(self, {}, star=True, leave=True, keep=keep)

    def _epoch(self, topics: Sequence[Topic]) -> str:
        return next((topic.epoch for topic in topics if topic.placed), self.epoch)


def _size(topic: Topic, *, resume: bool) -> int:
    """The bytes of a symbol in a request, and of its position."""
    symbol = len(topic.key.symbol) + 3
    return symbol + (symbol + _SEQ_DIGITS if resume else 0)


def _parts(topics: Iterable[Topic], budget: RequestBudget, *, resume: bool) -> Iterator[list[Topic]]:
    """As few requests as the limits allow. Those of one part are of one epoch, as `resume` needs it."""
    part: list[Topic] = []
    size = 0
    for topic in sorted(topics, key=lambda one: one.epoch) if resume else topics:
        more = _size(topic, resume=resume)
        full = len(part) == budget.symbols or size + more > budget.bytes - _OVERHEAD
        if part and (full or (resume and topic.epoch != part[-1].epoch)):
            yield part
            part, size = [], 0
        part.append(topic)
        size += more
    if part:
        yield part
