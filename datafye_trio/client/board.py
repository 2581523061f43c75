"""The topics of one dataset, channel and frequency, and how to get from what is on the wire to what is wanted. No I/O.

The rules of this file. What was asked is answered before more is asked about the same: a board with a `*` request under
way asks nothing, and a `*` request waits until every topic has settled. So each answer has one meaning, and stands at
one place of the stream. Requests hold one channel, as `resume` needs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic, Wire
from datafye_trio.model import AssetClass, Channel, Frequency, TopicKey
from datafye_trio.protocol import Request, ResumeFrom, Subscribe, Unsubscribe

if TYPE_CHECKING:
    from datafye_trio.client.line import Line

__all__ = ["Ask", "Board", "BoardKey", "RequestBudget"]

_ALL: Final = "*"
_OVERHEAD: Final = 1_024
"""Bytes of a request beside its symbols and the texts that the server chose."""
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
    keep: frozenset[str] = frozenset()

    def request(self, number: int) -> Request:
        """As the wire has it; `number` is its id."""
        key = self.board.key
        symbols = (_ALL,) if self.star else tuple(self.topics)
        shared = (symbols, (key.channel,), number, key.dataset, None, key.frequency)
        if self.leave:
            # Told in so many words: every symbol of bars, without `running`, would be those still forming, too.
            running = key.running if key.channel is Channel.AGGREGATES else None
            return Unsubscribe(*shared, running, except_=tuple(self.keep) or None)
        return Subscribe(
            *shared,
            key.running or None,
            snapshot=self.board.snapshots,
            resume=None if self.resume is None else ResumeFrom(self.epoch, self.resume),
        )


@attrs.define(eq=False)
class Board:
    """See the module. `star` is where the request for every symbol stands.

    `stars` are those that want every symbol, each with the symbols that it does not want after all.
    """

    key: BoardKey
    asset_class: AssetClass
    line: Line
    epoch: str = ""
    topics: dict[str, Topic] = attrs.Factory(dict)
    stars: dict[Sink, set[str]] = attrs.Factory(dict)
    star: Wire = Wire.OFF
    star_epoch: str | None = None
    """The numbering in which `*` was answered last; None: it was not, and is to be begun, not resumed."""
    taken_out: set[str] = attrs.Factory(set)
    """Symbols that the server leaves out of `*`, until they are subscribed by name."""
    moving: dict[Topic, Ask] = attrs.Factory(dict)
    """Topics with a request under way, and the request."""
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
            topic = self.topics[symbol] = self.line.new_topic(key)
        return topic

    def include(self, topic: Topic, after: int | None = None) -> None:
        """Give a topic to those who want every symbol and lack it: after a `seq`, or what comes from now on."""
        for sink, unwanted in self.stars.items():
            if topic in sink.topics or topic.key.symbol in unwanted:
                continue
            sink.topics[topic] = None
            if sink.paused:
                topic.parked[sink] = topic.next - 1 if after is None else after
            elif after is None:
                topic.join(sink)
            else:
                topic.join_from(sink, after)
        self.changed[topic] = None

    def include_all(self) -> None:
        """Give every topic that `*` brings to those who lack it, also what the server was told to leave out."""
        for symbol in self.taken_out:
            self.topic(symbol)
        for topic in list(self.topics.values()):
            if topic.placed or topic.key.symbol in self.taken_out:
                self.include(topic)
                self.forget(topic)

    def found(self, topic: Topic) -> None:
        """A message of a topic has come that `*` brings, and that was not known: all of it is ours."""
        if (ask := self.moving.pop(topic, None)) is not None:
            del ask.topics[topic.key.symbol]  # it was asked for by name, too; that answer brings nothing new
        topic.started(self.epoch, 0)
        self.include(topic, 0)

    def forget(self, topic: Topic) -> None:
        """Drop a topic that nobody is subscribed to any more."""
        if not (topic.wanted or topic.parked or topic.wire is not Wire.OFF):
            self.topics.pop(topic.key.symbol, None)
            self.changed.pop(topic, None)

    def cut(self) -> None:
        """The connection is gone, and with it all that was on the wire."""
        self.star = Wire.OFF
        self.taken_out.clear()
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
                yield self._leave_star(budget)
            return
        changed = [topic for topic in self.changed if topic.wire in (Wire.OFF, Wire.ON)]
        self.changed = {topic: None for topic in self.changed if topic.wire not in (Wire.OFF, Wire.ON)}
        leaving = [topic for topic in changed if topic.wire is Wire.ON and (topic.resync or not topic.wanted)]
        joining = [topic for topic in changed if topic.wire is Wire.OFF and topic.wanted]
        yield from self._move(leaving, budget, leave=True)
        known = [topic for topic in joining if topic.placed]
        if wanted and self.star is Wire.OFF and not (leaving or self.moving):
            # By name first what `*` cannot do in the same request: a symbol that may be refused, a second epoch.
            resumable = {topic.epoch for topic in known} <= {self.star_epoch} and self._fits(known, budget)
            if len(known) == len(joining) and resumable:
                yield self._join_star(known)
                return
        yield from self._move([topic for topic in joining if not topic.placed], budget)
        yield from self._move(known, budget, resume=True)

    def _star_wanted(self) -> bool:
        """A full subscription that waits for the answer may never read before it has come."""
        return any(not sink.paused or self in sink.pending for sink in self.stars)

    def _room(self, topics: Iterable[Topic], budget: RequestBudget) -> int:
        """The bytes that a request about these has for symbols."""
        epochs = {self.epoch, *(topic.epoch for topic in topics)}
        return budget.bytes - _OVERHEAD - len(json.dumps(self.key.dataset)) - max(map(len, map(json.dumps, epochs)))

    def _fits(self, topics: Sequence[Topic], budget: RequestBudget) -> bool:
        return sum(_size(topic, resume=True) for topic in topics) <= self._room(topics, budget)

    def _move(
        self, topics: Sequence[Topic], budget: RequestBudget, *, leave: bool = False, resume: bool = False
    ) -> Iterator[Ask]:
        room = attrs.evolve(budget, bytes=self._room(topics, budget))
        for part in _parts(topics, room, resume=resume):
            ask = Ask(self, {topic.key.symbol: topic for topic in part}, leave=leave)
            yield self._begin(ask, resume=resume)

    def _join_star(self, topics: Sequence[Topic]) -> Ask:
        self.star = Wire.JOINING
        ask = Ask(self, {topic.key.symbol: topic for topic in topics}, star=True)
        return self._begin(ask, resume=self.star_epoch is not None)

    def _begin(self, ask: Ask, *, resume: bool) -> Ask:
        if resume:
            ask.resume = {symbol: topic.resume_from for symbol, topic in ask.topics.items()}
            ask.epoch = next((topic.epoch for topic in ask.topics.values()), self.star_epoch or "")
        for topic in ask.topics.values():
            topic.set_wire(Wire.LEAVING if ask.leave else Wire.JOINING)
            self.moving[topic] = ask
        return ask

    def _leave_star(self, budget: RequestBudget) -> Ask:
        self.star = Wire.LEAVING
        kept = [topic for topic in self.topics.values() if topic.wire is Wire.ON and topic.wanted]
        size = sum(_size(topic, resume=False) for topic in kept)
        if size > self._room(kept, budget) or len(kept) > budget.symbols:
            kept = []  # more than a request can name: they are joined again from where they stand
        return Ask(self, {}, star=True, leave=True, keep=frozenset(topic.key.symbol for topic in kept))


def _size(topic: Topic, *, resume: bool) -> int:
    """The bytes of a symbol in a request, and of its position."""
    symbol = len(topic.key.symbol) + 3
    return symbol + (symbol + _SEQ_DIGITS if resume else 0)


def _parts(topics: Iterable[Topic], room: RequestBudget, *, resume: bool) -> Iterator[list[Topic]]:
    """As few requests as the limits allow. Those of one part are of one epoch, as `resume` needs it."""
    part: list[Topic] = []
    size = 0
    for topic in sorted(topics, key=lambda one: one.epoch) if resume else topics:
        more = _size(topic, resume=resume)
        full = len(part) == room.symbols or size + more > room.bytes
        if part and (full or (resume and topic.epoch != part[-1].epoch)):
            yield part
            part, size = [], 0
        part.append(topic)
        size += more
    if part:
        yield part
