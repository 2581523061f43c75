"""What is said with a server that has only what Datafye documents: one request on a connection, then data. No I/O.

The rules of this file. Nothing is asked but what Datafye's samples ask, and once on each connection: whether a second
request would add or replace is not documented, nor how to unsubscribe. So other symbols need another connection, which
is the owner's to make (`stale`). There may be no answer: a request is taken as accepted by the first frame that is no
refusal, or by a second of silence. What Datafye's other clients get is known: `status`, null where all is well, else a
text that says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from datafye_trio.client.board import Board
from datafye_trio.client.book import ALL, Book
from datafye_trio.client.decoding import Payload
from datafye_trio.client.plain_decoding import Fields, PlainDecoder
from datafye_trio.client.plain_topic import PlainLine, PlainTopic
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Wire
from datafye_trio.errors import DisconnectedError, SubscriptionError
from datafye_trio.logs import get_logger
from datafye_trio.protocol import CloseCode

__all__ = ["REFUSED", "PlainTalk", "refusal_in"]

log = get_logger("feed")

REFUSED: Final = "REFUSED"
"""The `code` of a refusal by a server that has no codes."""
# Tuples: what a server puts in the place of `type` need not be a text, and a set would want to hash it.
_ANSWERS: Final = ("subscribed", "unsubscribed", "stream_start")
_ERRORS: Final = ("error", "stream_error")
_HALTS: Final = ("halt", "resume")
_NAMELESS: Final = "the server's frames name no symbol: subscribe to one symbol only, or open a feed for each"


class PlainTalk:
    """See the module; a `Conversation`. It carries one board.

    Attributes:
        line: what it carries.
        begun: whether there ever was a connection.
        refused: whether the request of this connection was refused.
        unreadable: frames that could not be understood, of all connections.
    """

    connected: Final = None
    greeted: Final = True
    heartbeats: Final = 0
    """None are counted: nobody says how often they come, so their absence means nothing."""
    heartbeat_interval: Final = None
    unanswered: Final = False

    def __init__(self, book: Book, line: PlainLine, decoder: PlainDecoder, *, raw: bool) -> None:
        self.put_off = False
        """Whether the request waits for an answer, which may never come."""
        self.refused = False
        self.unreadable = 0
        self.line = line
        self.begun = False
        self._book = book
        self._decoder = decoder
        self._raw = raw
        self._asked: dict[str, PlainTopic] = {}
        self._lacking = False
        """Whether something wanted was not asked for, or nothing is wanted; known unless the line is dirty."""
        self._pongs = 0

    def begin(self) -> None:
        """See `Conversation`."""
        self.begun = True
        self.cut()

    def cut(self) -> None:
        """See `Conversation`."""
        self._asked.clear()
        self.put_off = self.refused = False
        self._pongs = 0
        self.line.cut()

    @property
    def held(self) -> dict[str, PlainTopic]:
        """What somebody is subscribed to, by symbol."""
        topics = (topic for board in self.line.boards.values() for topic in board.topics.values())
        return {topic.key.symbol: topic for topic in topics if isinstance(topic, PlainTopic) and topic.held}

    @property
    def stale(self) -> bool:
        """Whether only another connection, or none, can be what is wanted. Symbols that nobody wants do no harm."""
        if self.line.dirty:
            self.line.dirty = False
            held = self.held
            self._lacking = not held or (bool(self._asked) and not held.keys() <= self._asked.keys())
        return self.refused or self._lacking

    @property
    def settled(self) -> bool:
        """See `Conversation`."""
        return bool(self._asked) and not self.put_off and not self.stale

    @property
    def has_outgoing(self) -> bool:
        """See `Conversation`."""
        return bool(self._pongs) or not (self._asked or self.refused)

    def outgoing(self) -> list[str]:
        """The request, once; and answers to heartbeats, which Datafye documents without their form."""
        texts = ['{"action":"pong"}'] * self._pongs
        self._pongs = 0
        if self._asked or self.refused or not (held := self.held):
            return texts
        self._asked = held
        self.line.dirty = self.put_off = True
        for topic in held.values():
            topic.set_wire(Wire.JOINING)
        board = self._board
        request: dict[str, Any] = {"action": "subscribe", "dataset": board.key.dataset, "symbols": list(held)}
        if board.key.frequency is not None:
            request["frequency"] = str(board.key.frequency)
        return [*texts, json.dumps(request, separators=(",", ":"))]

    def try_again(self) -> None:
        """No answer has come, and so no refusal either."""
        self._accept()

    def take(self, payloads: Sequence[Payload]) -> None:
        """See `Conversation`."""
        for payload in payloads:
            try:
                fields = self._decoder.fields(payload)
            except ValueError as error:
                raise DisconnectedError(
                    CloseCode.INVALID_TEXT, f"the server sends no sound JSON: {error}", retryable=False
                ) from None
            try:
                self._frame(fields)
            except ValueError as error:
                self._puzzle(str(error))

    def refuse(self, text: str, code: str = REFUSED) -> None:
        """Nothing of what was asked comes; where some of it had come before, only the rest is refused."""
        asked = self._asked or self.held
        topics = [topic for topic in asked.values() if not topic.placed] or list(asked.values())
        self.refused, self.put_off = True, False
        symbols: dict[Sink, list[str]] = {}
        for topic in topics:
            self._book.off_wire(topic)
            for sink in [*topic.named]:
                self._book.drop(sink, topic)
                symbols.setdefault(sink, []).append(topic.key.symbol)
        for sink, refused in symbols.items():
            self._book.refuse(sink, SubscriptionError(code, text, tuple(refused)))

    def refuse_all_symbols(self) -> None:
        """Refuse `*`: whether it may be asked for is not documented, and where it may not there might be silence."""
        what = "it is not documented that this server has a subscription to every symbol: name the symbols"
        for board in self.line.boards.values():
            for sink in list(board.stars):
                del board.stars[sink], sink.stars[board]
                sink.pending.discard(board)
                self._book.refuse(sink, SubscriptionError(REFUSED, what, (ALL,)))

    @property
    def _board(self) -> Board:
        (board,) = self.line.boards.values()
        return board

    def _frame(self, fields: Fields) -> None:
        kind = fields.get("type")
        if (wrong := refusal_in(fields)) is not None:
            self.refuse(wrong)
        elif _is_answer(fields):
            self._accept()
        elif kind == "heartbeat":
            self._pongs += 1
        elif kind == "connected":
            if "protocol" in fields:
                self._puzzle("this server greets now: open the feed anew, to have each loss seen")
        elif not self.refused:
            self._data(fields, halt=kind in _HALTS)

    def _data(self, fields: Fields, *, halt: bool) -> None:
        symbol = fields.get("symbol")
        if symbol.__class__ is not str or symbol not in self._asked:  # as it was asked for, it mostly is
            symbol = self._decoder.symbol(fields)
        if symbol is None:
            if len(self._asked) != 1:
                if not halt:
                    self.refuse(_NAMELESS)
                return
            (symbol,) = self._asked
        event = self._decoder.halt(fields, symbol) if halt else self._decoder.event(fields, symbol)
        self._accept()
        if (topic := self._asked.get(symbol)) is not None:
            self.line.intake.saw(event, topic.key.asset_class)
            topic.came(fields if self._raw else event)

    def _accept(self) -> None:
        if not self.put_off:
            return
        self.put_off = False
        for topic in list(self._asked.values()):
            if topic.wire is Wire.JOINING:
                topic.joined()
                self._book.on_wire(topic)

    def _puzzle(self, why: str) -> None:
        if not self.unreadable:
            log.warning("a message is left out; later ones are only counted", why=why[:200])
        self.unreadable += 1


def refusal_in(fields: Fields) -> str | None:
    """What a frame says is wrong with a request; None where it says nothing of the kind."""
    if fields.get("type") not in _ERRORS and not (_is_answer(fields) and fields.get("status")):
        return None
    words = (fields.get(name) for name in ("status", "message", "error"))
    return next((word for word in words if isinstance(word, str) and word), json.dumps(fields))[:500]


def _is_answer(fields: Fields) -> bool:
    kind = fields.get("type")
    return kind in _ANSWERS or (kind is None and "status" in fields)
