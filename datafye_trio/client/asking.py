"""What is asked of a server, and what its answers mean for the book. No I/O, all sync.

Each request has a number as its `id`, and each answer brings it back: an answer stands at one place of the stream, and
what comes before and after it is told apart by that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count

from datafye_trio.client.board import Ask, Board
from datafye_trio.client.book import ALL, Book
from datafye_trio.client.line import Line
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic, Wire
from datafye_trio.errors import DisconnectedError, SubscriptionError
from datafye_trio.logs import get_logger, is_told
from datafye_trio.protocol import CloseCode, ErrorReply, Subscribed, Unsubscribed, request_to_dict

__all__ = ["Asking"]

log = get_logger("feed")


class Asking:
    """The requests of one connection after another.

    Attributes:
        put_off: whether the server wants something to be asked again later; who waits for that takes it back.
    """

    def __init__(self, book: Book, line: Line) -> None:
        self.put_off = False
        self._book = book
        self._line = line
        self._asks: dict[int, Ask] = {}
        self._numbers = count(1)
        self._strange = 0
        """Refusals of what was not asked."""
        self._has_recounted = False

    @property
    def unanswered(self) -> int:
        """The number of the oldest request that was not answered in full; 0 where there is none."""
        return next(iter(self._asks), 0)

    @property
    def settled(self) -> bool:
        """Whether all that is wanted is on the wire."""
        return not (self._asks or self._line.dirty or self.put_off) and all(
            board.settled for board in self._line.boards.values()
        )

    def cut(self) -> None:
        """The connection is gone: no answer will come."""
        self._asks.clear()
        self.put_off = False

    def requests(self) -> list[str]:
        """What is to be asked now, as texts."""
        self._line.dirty = False
        texts = []
        for board in self._line.boards.values():
            for ask in board.plan(self._line.budget):
                number = next(self._numbers)
                self._asks[number] = ask
                texts.append(json.dumps(request_to_dict(ask.request(number)), separators=(",", ":")))
        return texts

    def subscribed(self, message: Subscribed) -> None:
        """The server has accepted a request, or a part of it."""
        number, ask = self._find(message.id)
        if ask is None or ask.leave:
            return
        board = ask.board
        self._book.renumbered(board.key.dataset, message.epoch)
        positions = (message.positions or {}).get(board.key.channel, {})
        for symbol in list(ask.topics) if ask.star else message.symbols:
            if (topic := ask.topics.pop(symbol, None)) is not None:
                self._joined(ask, topic, message.epoch, positions.get(symbol))
        if ask.star:
            self._star_joined(ask, positions)
        self._close(number, ask)

    def unsubscribed(self, message: Unsubscribed) -> None:
        """The server has unsubscribed what it was asked to.

        Raises:
            DisconnectedError: see `_check_total`.
        """
        self._left(message.id)
        self._check_total(message.total)

    def _left(self, number: str | int | None) -> None:
        number, ask = self._find(number)
        if ask is None or not ask.leave:
            return
        board = ask.board
        topics = list(ask.topics.values())
        if board.star is Wire.ON:
            board.taken_out |= ask.topics.keys()
        if ask.star:
            board.star = Wire.OFF
            board.taken_out.clear()
            topics = [topic for symbol, topic in board.topics.items() if symbol not in ask.keep]
        for topic in topics:
            board.moving.pop(topic, None)
            self._book.off_wire(topic)
        ask.topics.clear()
        self._close(number, ask)

    def refused(self, message: ErrorReply) -> None:
        """The server has refused a request, or a part of it. Without an id it is about what was subscribed before.

        Raises:
            DisconnectedError: see `_doubt`.
        """
        number, ask = self._find(message.id)
        if ask is None:
            self._strange += 1
            if is_told(self._strange):
                log.warning("the server refuses something", code=message.code, why=message.message[:200])
            if message.id is None:
                self._doubt(message.symbols or ())
            return
        if ask.leave:
            self._stay(ask, message)
            self._left(number)
            return
        named = [ask.topics.pop(symbol) for symbol in message.symbols or () if symbol in ask.topics]
        whole = not named
        if whole:
            named = list(ask.topics.values())
            ask.topics.clear()
        if message.retryable:
            self._put_off(ask, named, star=whole and ask.star)
        else:
            self._refuse(ask, named, message, star=whole and ask.star)
        self._close(number, ask)

    def _check_total(self, total: int) -> None:
        """Whether what was to stay has stayed: the server may have taken an unsubscribe for more than was meant.

        Nobody knows what is missing then, so a new connection asks for all, each topic from where it stands. That is
        done once, since a server may count in a way of its own.

        Raises:
            DisconnectedError: the server has fewer topics than it sends.
        """
        boards = self._line.boards.values()
        if total >= sum(len(board.topics) for board in boards):
            return
        # What a `*` has brought is certain only once something of it has come: the rest the server need not know yet.
        known = sum(
            topic.wire is Wire.ON and not topic.resync and (board.star is Wire.OFF or topic.next > 1)
            for board in boards
            for topic in board.topics.values()
        )
        if total < known:
            what = f"the server has {total} topics subscribed, and {known} were to stay"
            if not self._has_recounted:
                self._has_recounted = True
                raise DisconnectedError(CloseCode.GOING_AWAY, what, retryable=True)
            log.warning("the server counts otherwise than we do", why=what)

    def _doubt(self, symbols: Sequence[str]) -> None:
        """The server says unasked that it sends these no longer: they are asked for again, and so taken or refused.

        Raises:
            DisconnectedError: it is about every symbol; a new connection asks for everything.
        """
        for board in self._line.boards.values():
            # While it is left, too: what was to stay is gone with it.
            if ALL in symbols and board.star in (Wire.ON, Wire.LEAVING):
                raise DisconnectedError(CloseCode.GOING_AWAY, "the server sends every symbol no longer", retryable=True)
            for topic in filter(None, map(board.topics.get, symbols)):
                if topic.wire is Wire.ON:
                    topic.resync = True
                    self._book.touch(topic)

    def _find(self, number: str | int | None) -> tuple[int, Ask | None]:
        return (number, self._asks.get(number)) if isinstance(number, int) else (0, None)

    def _close(self, number: int, ask: Ask) -> None:
        """Forget a request that is answered in full."""
        if not ask.topics and ask.board.star is not (Wire.LEAVING if ask.leave else Wire.JOINING):
            self._asks.pop(number, None)
            self._line.dirty = True

    def _joined(self, ask: Ask, topic: Topic, epoch: str, position: int | None) -> None:
        ask.board.moving.pop(topic, None)
        ask.board.taken_out.discard(topic.key.symbol)
        if ask.resume is None:
            topic.started(epoch, position or 0)
            topic.adopt = position is None and not ask.star  # a server that tells no position: the next message does
            topic.refresh()
        elif epoch == ask.epoch:
            topic.rejoined(ask.resume[topic.key.symbol])
        else:
            topic.set_wire(Wire.ON)
            topic.restarted(epoch, "epoch_changed")
        if ask.board.star_epoch is not None:
            ask.board.include(topic, 0)  # it is new, and those who want every symbol were there before it
        self._book.on_wire(topic)

    def _star_joined(self, ask: Ask, positions: Mapping[str, int]) -> None:
        """The server sends every symbol: from `positions` on, or what was resumed from its start where not named."""
        board, fresh = ask.board, ask.resume is None
        for symbol in positions if fresh else ():
            board.topic(symbol)
        for symbol, topic in list(board.topics.items()):
            if topic.wire is Wire.OFF and (topic.placed or symbol in positions):
                position = positions.get(symbol, 0)
                if not topic.placed:
                    topic.started(board.epoch, position)
                elif topic.epoch == board.epoch:
                    topic.rejoined(position)
                    # Known in this numbering, but asked for in an older one: it is told as lost, and is not.
                    topic.resync = topic.resync or not (fresh or ask.epoch == board.epoch)
                else:
                    topic.set_wire(Wire.ON)
                    topic.restarted(board.epoch, "epoch_changed")
                board.include(topic)  # first: what nobody reads is taken off the wire
                self._book.on_wire(topic)
        self._star_on(board)

    def _star_on(self, board: Board) -> None:
        board.star, board.star_epoch = Wire.ON, board.epoch
        board.include_all()
        for sink in board.stars:
            sink.pending.discard(board)
            sink.changed()

    def _stay(self, ask: Ask, message: ErrorReply) -> None:
        """An unsubscribe was refused. What was not subscribed is as good as unsubscribed; the rest is asked again."""
        if not message.retryable:
            return
        for topic in ask.topics.values():
            ask.board.moving.pop(topic, None)
            topic.set_wire(Wire.ON)
            self._book.on_wire(topic)
            self._book.touch(topic)
        ask.topics.clear()
        if ask.star:
            ask.star = False
            self._star_on(ask.board)
        self.put_off = True

    def _put_off(self, ask: Ask, topics: list[Topic], *, star: bool) -> None:
        if star:
            ask.board.star = Wire.OFF
        for topic in topics:
            ask.board.moving.pop(topic, None)
            self._book.off_wire(topic)
        self.put_off = True

    def _refuse(self, ask: Ask, topics: list[Topic], message: ErrorReply, *, star: bool) -> None:
        board = ask.board
        symbols: dict[Sink, list[str]] = {}
        if star:
            board.star = Wire.OFF
            for sink in list(board.stars):
                self._book.drop_star(sink, board)
                symbols[sink] = [ALL]
        for topic in topics:
            board.moving.pop(topic, None)
            self._book.off_wire(topic)
            for sink in [*topic.named] if not star else ():
                self._book.drop(sink, topic)
                symbols.setdefault(sink, []).append(topic.key.symbol)
            for sink in [*topic.live, *topic.behind, *topic.parked] if not star else ():
                self._book.drop(sink, topic)  # it has every symbol that there is: this one there is not
        for sink, refused in symbols.items():
            named = tuple(refused) if message.symbols else ()
            self._book.refuse(sink, SubscriptionError(message.code, message.message, named))
