"""What is wanted and what was received: the memory of a feed, over any number of connections. No I/O, all sync.

Subscriptions come and go here, and what a server sends finds its topic here. The rules for one topic are in `topic`;
what is asked of the server for all this, and what it answers, is in `asking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, get_args

from datafye_trio.client.board import Board, BoardKey
from datafye_trio.client.ledger import LedgerEntry
from datafye_trio.client.line import Line
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic, Wire
from datafye_trio.errors import FeedError, SubscriptionError
from datafye_trio.model import (
    EVENT_CHANNELS,
    AssetClass,
    Channel,
    GapReason,
    Halt,
    Resume,
    TopicKey,
)
from datafye_trio.protocol import Data, Gap

__all__ = ["ALL", "Book"]

ALL: Final = "*"
_TICKS: Final = (Channel.QUOTES, Channel.TRADES)
_REASONS: Final[dict[str, GapReason]] = {reason: reason for reason in get_args(GapReason)}


class Book:
    """See the module. `line_of` says which line carries a board.

    Attributes:
        sinks: all subscriptions.
        waiting: those whose program waits for an item.
        boards: the topics, by dataset, channel and frequency.
    """

    def __init__(self, line_of: Callable[[BoardKey], Line]) -> None:
        self.sinks: dict[Sink, None] = {}
        self.waiting: set[Sink] = set()
        self.boards: dict[BoardKey, Board] = {}
        self._line_of = line_of

    # What subscriptions call.

    def attach(self, sink: Sink, boards: Iterable[tuple[BoardKey, AssetClass]], symbols: Sequence[str]) -> None:
        """Subscribe a sink to symbols (in normal form) of boards; with `*` among them, to every symbol."""
        self.sinks[sink] = None
        for key, asset_class in boards:
            board = self.boards.get(key) or self._new_board(key, asset_class)
            if ALL in symbols:
                self._attach_star(sink, board)
            else:
                for symbol in symbols:
                    self._attach_topic(sink, board, symbol)
            board.line.dirty = True

    def detach(self, sink: Sink, symbols: Iterable[str] | None = None) -> None:
        """Unsubscribe a sink from these symbols (`*`: from every symbol), or from everything. Idempotent."""
        gone = None if symbols is None else set(symbols)
        if gone is None or ALL in gone:
            for board in list(sink.stars):
                self.drop_star(sink, board)
            for topic in list(sink.topics):
                self.drop(sink, topic)
        else:
            for board in self.boards.values():
                self._remove(sink, board, gone)
        if gone is None:
            self.sinks.pop(sink, None)
            self.waiting.discard(sink)

    def drop(self, sink: Sink, topic: Topic) -> None:
        """Unsubscribe a sink from one topic."""
        topic.leave(sink)
        sink.topics.pop(topic, None)
        sink.pending.discard(topic)
        self.touch(topic)
        self.board(topic).forget(topic)

    def drop_star(self, sink: Sink, board: Board) -> None:
        """A sink wants every symbol of a board no longer; what it has named before goes on."""
        board.stars.pop(sink, None)
        board.star_epoch = board.star_epoch if board.stars else None
        sink.stars.pop(board, None)
        sink.pending.discard(board)
        for topic in [topic for topic in sink.topics if self.board(topic) is board and sink not in topic.named]:
            self.drop(sink, topic)
        board.line.dirty = True

    def take_back(self, sink: Sink) -> None:
        """A sink does not want any more what the server has not answered."""
        for one in list(sink.pending):
            if isinstance(one, Topic):
                if sink in one.named and sink in (stars := self.board(one).stars):
                    stars[sink].add(one.key.symbol)  # it was taken out of `*`, and stays so
                self.drop(sink, one)
            else:
                self.drop_star(sink, one)

    def pause(self, sink: Sink) -> None:
        """A sink is full: it keeps its places, and what nobody else reads is taken off the wire."""
        sink.paused = True
        sink.pauses += 1
        for topic in sink.topics:
            topic.park(sink)
            self.touch(topic)

    def unpause(self, sink: Sink) -> None:
        """A sink has room again: it goes on from its places."""
        sink.paused = False
        for topic in list(sink.topics):
            if sink.paused:
                break  # full again; the rest is still parked
            if sink in topic.parked:
                topic.join_from(sink, topic.parked.pop(sink))
                self.touch(topic)

    def ledger(self) -> dict[TopicKey, LedgerEntry]:
        """The account of every topic."""
        return {topic.key: topic.entry() for board in self.boards.values() for topic in board.topics.values()}

    # What a connection calls.

    def fail(self, failure: FeedError) -> None:
        """There will be no other connection."""
        for sink in list(self.sinks):
            sink.fail(failure)

    def refuse(self, sink: Sink, refusal: SubscriptionError) -> None:
        """The server has refused a part of a subscription. Refused later on, it ends, unless it takes what it gets."""
        sink.refusals.append(refusal)
        if sink.entered and not sink.partial:
            self.detach(sink)
            sink.fail(refusal)
        sink.changed()

    def board(self, topic: Topic) -> Board:
        """The board of a topic."""
        key = topic.key
        return self.boards[BoardKey(key.dataset, key.channel, key.frequency, key.running)]

    def touch(self, topic: Topic) -> None:
        """A topic's place on the wire may not be what is wanted."""
        board = self.board(topic)
        board.changed[topic] = None
        board.line.dirty = True

    def on_wire(self, topic: Topic) -> None:
        """The server sends a topic: its messages find it, and who waited for it knows."""
        intake = self.board(topic).line.intake
        intake.routes.add(intake.route(topic.key), topic)
        for sink in [*topic.live, *topic.behind, *topic.parked]:
            if sink.paused:
                topic.park(sink)
            if topic in sink.pending:
                sink.pending.discard(topic)
                sink.changed()
        if topic.resync or not topic.wanted:
            self.touch(topic)

    def off_wire(self, topic: Topic) -> None:
        """The server sends a topic no longer."""
        topic.set_wire(Wire.OFF)
        intake = self.board(topic).line.intake
        intake.routes.remove(intake.route(topic.key))
        self.touch(topic)
        self.board(topic).forget(topic)

    def find(self, data: Data) -> Topic | None:
        """The topic of a data message; made where `*` is subscribed and the symbol is new."""
        event = data.event
        if isinstance(event, Halt | Resume):
            return self._halted(data)
        key = BoardKey(data.dataset, EVENT_CHANNELS[type(event)][0], getattr(event, "frequency", None), data.running)
        return self._topic(key, event.symbol)

    def gap(self, message: Gap) -> None:
        """The server says that something is lost."""
        key = BoardKey(message.dataset, message.channel, message.frequency, bool(message.running))  # type: ignore[arg-type]  # texts, equal to the enums' members
        if (topic := self._topic(key, message.symbol)) is None:
            return
        reason = _REASONS.get(message.reason, "unexplained")
        if message.from_ is not None and message.to is not None:
            topic.lost(message.from_, message.to, reason)
        elif topic.epoch != message.epoch or not (topic.adopt or topic.resync):  # else it was told, or is asked again
            self.renumbered(message.dataset, message.epoch)
            topic.restarted(message.epoch, reason)
        if topic.resync:
            self.touch(topic)

    def renumbered(self, dataset: str, epoch: str) -> None:
        """A life of the numbering is one for a whole dataset: a `*` that has brought nothing yet is told of it nowhere
        else, and what it brings from now on is of this one.
        """
        for key, board in self.boards.items():
            if key.dataset == dataset:
                board.epoch = epoch
                if board.star is Wire.ON:
                    board.star_epoch = epoch

    def _new_board(self, key: BoardKey, asset_class: AssetClass) -> Board:
        line = self._line_of(key)
        board = self.boards[key] = line.boards[key] = Board(key, asset_class, line)
        return board

    def _topic(self, key: BoardKey, symbol: str) -> Topic | None:
        if (board := self.boards.get(key)) is None:
            return None
        topic = board.topics.get(symbol)
        if (topic is None or not topic.placed) and board.star is Wire.ON:
            topic = board.topic(symbol)
            board.found(topic)
            self.on_wire(topic)
        return topic

    def _halted(self, data: Data) -> Topic | None:
        """The topic of a halt or its end: they are sent on quotes and on trades, and older servers do not say which."""
        channels = [channel for channel in _TICKS if data.channel in (None, channel)]
        found = [self._topic(BoardKey(data.dataset, channel), data.event.symbol) for channel in channels]
        topics = [topic for topic in found if topic is not None and topic.wire is Wire.ON]
        return next((topic for topic in topics if data.seq == topic.wire_next), topics[0] if topics else None)

    def _attach_star(self, sink: Sink, board: Board) -> None:
        had = sink in board.stars
        board.stars[sink], sink.stars[board] = set(), None
        if board.star is Wire.ON:
            board.star_epoch = board.epoch  # it may have been left by the last one in this very moment
        elif not (had or (sink.paused and board.star_epoch is not None)):
            sink.pending.add(board)
        if board.star_epoch is not None:
            board.include_all()
            sink.pending |= {topic for topic in sink.topics if not topic.placed}

    def _attach_topic(self, sink: Sink, board: Board, symbol: str) -> None:
        if (unwanted := board.stars.get(sink)) is not None:
            if symbol not in unwanted:
                return  # it has every symbol
            unwanted.discard(symbol)
        topic = board.topic(symbol)
        if topic in sink.topics:
            return
        sink.topics[topic] = topic.named[sink] = None
        topic.join(sink)
        if sink.paused:
            topic.park(sink)
        if topic.wire is not Wire.ON and sink not in topic.parked:
            sink.pending.add(topic)
        board.changed[topic] = None

    def _remove(self, sink: Sink, board: Board, symbols: Iterable[str]) -> None:
        if (unwanted := board.stars.get(sink)) is not None:
            unwanted.update(symbols)
        for symbol in symbols:
            if (topic := board.topics.get(symbol)) is not None and topic in sink.topics:
                self.drop(sink, topic)
