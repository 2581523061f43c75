"""What is said on a connection, both ways, in version 1 of the protocol: payloads in, texts out. No I/O, all sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from datafye_trio.client.asking import Asking
from datafye_trio.client.book import Book
from datafye_trio.client.conversation import Presence, text_of, unit_of
from datafye_trio.client.decoding import Payload
from datafye_trio.client.line import Line
from datafye_trio.errors import DisconnectedError, RequestError
from datafye_trio.logs import get_logger
from datafye_trio.protocol import (
    CloseCode,
    Connected,
    Data,
    ErrorCode,
    ErrorReply,
    Gap,
    Heartbeat,
    Message,
    Subscribed,
    Unsubscribed,
    decode_message,
)  # fmt: skip

__all__ = ["Talk"]

log = get_logger("feed")
_PROTOCOL: Final = 1
_LEAST_REQUEST: Final = 4_096
"""Bytes of a request that every server takes, whatever it says: a symbol and its position have room many times."""


class Talk(Presence):
    """See the module. One for all connections of a link: `begin` and `cut` stand at the ends of each of them.

    Attributes:
        book: what is wanted, and what was received.
        line: the part of it that this connection carries.
        unreadable: messages that could not be understood, of all connections.
    """

    def __init__(self, book: Book, line: Line) -> None:
        super().__init__()
        self.book = book
        self.line = line
        self.unreadable = 0
        self._asking = Asking(book, line)
        self._intake = line.intake

    def begin(self) -> None:
        """A connection has begun."""
        self._forget()
        self._intake.begin("ns")

    def cut(self) -> None:
        """The connection is gone."""
        self.connected = None
        self._asking.cut()
        self.line.cut()

    @property
    def lag(self) -> int:
        """Messages that waited for us at the server when it last sent a heartbeat."""
        return 0 if self.heartbeat is None else self.heartbeat.lag

    @property
    def unanswered(self) -> int:
        """See `Conversation`."""
        return self._asking.unanswered

    @property
    def settled(self) -> bool:
        """Whether all that is wanted is on the wire."""
        return self.connected is not None and self._asking.settled

    @property
    def put_off(self) -> bool:
        """Whether the server wants something to be asked again later: `try_again` is to be called a while from now."""
        return self._asking.put_off

    def try_again(self) -> None:
        """A while has passed."""
        self._asking.put_off = False

    @property
    def has_outgoing(self) -> bool:
        """Whether there is something to send."""
        return bool(self._pongs) or (self.line.dirty and self.connected is not None and not self.put_off)

    def outgoing(self) -> list[str]:
        """What is to be sent now, answers to heartbeats first."""
        texts = self._answers()
        if self.connected is not None and not self.put_off:
            texts += self._asking.requests()
        return texts

    def take(self, payloads: Sequence[Payload]) -> None:
        """Take what has come.

        Raises:
            DisconnectedError: nothing can be made of what the server sends.
        """
        self._intake.take(payloads, self._data, self._other)

    def _data(self, data: Data, item: object) -> None:
        if data.seq is None:
            self._puzzle("a data message without seq")
        elif (topic := self.book.find(data)) is not None:  # else it was unsubscribed, and is late
            if data.snapshot:
                topic.snapshot(data.seq, item)
            else:
                topic.message(data.seq, item)
                self._intake.saw(data.event, topic.key.asset_class)
            if topic.resync:
                self.book.touch(topic)

    def _other(self, payload: Payload) -> None:
        try:
            message = decode_message(text_of(payload))
        except RequestError as error:
            if error.code == ErrorCode.MALFORMED_JSON:
                raise DisconnectedError(
                    CloseCode.INVALID_TEXT, f"the server sends no sound JSON: {error.message}", retryable=False
                ) from None
            self._puzzle(error.message)
            return
        if isinstance(message, Data):
            self._puzzle("a data message that is not sound: a number out of range")
        else:
            self._message(message)

    def _puzzle(self, why: str) -> None:
        # A newer server may send what we do not know; a broken one must not go unnoticed either.
        if not self.unreadable:
            log.warning("a message is left out; later ones are only counted", why=why[:200])
        self.unreadable += 1

    def _message(self, message: Message) -> None:
        match message:
            case Heartbeat():
                self._beat(message)
            case Connected():
                self._greeted(message)
            case Subscribed():
                self._asking.subscribed(message)
            case Unsubscribed():
                self._asking.unsubscribed(message)
            case ErrorReply():
                self._asking.refused(message)
            case Gap():
                self._lost(message)
            case _:
                pass

    def _lost(self, message: Gap) -> None:
        first, last = message.from_, message.to
        if first is not None and last is not None and not 1 <= first <= last:
            self._puzzle(f"a gap from {first} to {last}")  # the hole, if it is one, shows in the numbers
        else:
            self.book.gap(message)

    def _greeted(self, message: Connected) -> None:
        if message.protocol != _PROTOCOL:
            what = f"the server speaks version {message.protocol} of the protocol, and this client version {_PROTOCOL}"
            raise DisconnectedError(CloseCode.PROTOCOL_ERROR, what, retryable=False)
        self._intake.begin(unit_of(message))
        budget = self.line.budget
        self.line.budget = attrs.evolve(
            budget,
            bytes=max(_LEAST_REQUEST, message.limits.get("requestBytes", budget.bytes)),
            symbols=max(1, message.limits.get("symbolsPerRequest", budget.symbols)),
        )
        self.connected = message
