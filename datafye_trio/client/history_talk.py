"""One stream of stored data, as it is asked for and comes, over any number of connections. No I/O, all sync.

Two rules. What the server may send is always granted beforehand, and never more than fits the buffer: a consumer that
stalls stalls this stream, and nothing else. And stored data is what it is: after a cut the same question gets the same
answer, so what was received before is skipped, but for the last event, which is compared. To ask from its time on would
save the server the reading, and be wrong: a late report of a recording stands where it came in, behind later times.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import attrs

from datafye_trio.client.conversation import Presence, text_of, unit_of
from datafye_trio.client.decoding import Intake, Payload
from datafye_trio.client.history_query import HistoryQuery
from datafye_trio.errors import DisconnectedError, FeedError, RequestError, SubscriptionError
from datafye_trio.logs import get_logger, is_told
from datafye_trio.protocol import (
    NS_PER_UNIT,
    CloseCode,
    Connected,
    Data,
    ErrorCode,
    ErrorReply,
    Heartbeat,
    Message,
    More,
    StreamEnd,
    StreamError,
    StreamStart,
    decode_message,
    request_to_dict,
)  # fmt: skip
from datafye_trio.protocol.messages import EVENT_TYPES

__all__ = ["HistoryTalk"]

log = get_logger("feed")
_STREAM: Final = 1
"""The name of the stream: a connection has one."""


class HistoryTalk(Presence):
    """See the module; a `Conversation`.

    Attributes:
        items: what waits for the consumer, which takes it by `pop`.
        begun: whether the server has said that there is something.
        complete: whether all there is has come.
        failure: why there will be no more.
        received: events received, each counted once.
        repeated: events that were sent again after a cut, and dropped.
    """

    def __init__(self, intake: Intake, query: HistoryQuery) -> None:
        super().__init__()
        self.query = query
        self.items: deque[Any] = deque()
        self.begun = self.complete = False
        self.failure: FeedError | None = None
        self.received = self.repeated = 0
        self.put_off = False
        self._intake = intake
        self._last: Any = None
        self._puzzles = 0
        self._asked = False
        self._skip = 0
        """Events to come that were received before."""
        self._came = self._granted = self._used = 0
        """On this connection: events that came, that may come, and that were used up since the last grant."""

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.complete or self.failure is not None

    def pop(self) -> Any:
        """The next event.

        Raises:
            IndexError: none waits.
        """
        item = self.items.popleft()
        self._used += self._asked
        return item

    def fail(self, failure: FeedError) -> None:
        """It ends here. The first reason wins."""
        if not self.over:
            self.failure = failure

    # For the link: see `Conversation`.

    def begin(self) -> None:
        """See `Conversation`."""
        self._forget()
        self._intake.begin("ns")

    def cut(self) -> None:
        """See `Conversation`."""
        self.connected = None
        self.put_off = self._asked = False

    @property
    def unanswered(self) -> bool:
        """Never: to find the first event of a range may take a server any time. Its heartbeats say that it lives."""
        return False

    @property
    def settled(self) -> bool:
        """See `Conversation`."""
        return self._asked

    def try_again(self) -> None:
        """See `Conversation`."""
        self.put_off = False

    @property
    def has_outgoing(self) -> bool:
        """See `Conversation`."""
        return bool(self._pongs) or self._may_ask or self._may_grant

    def outgoing(self) -> list[str]:
        """See `Conversation`."""
        texts = self._answers()
        if self._may_ask:
            texts.append(self._start())
        elif self._may_grant:
            texts.append(json.dumps(request_to_dict(More(_STREAM, self._used))))
            self._granted += self._used
            self._used = 0
        return texts

    def take(self, payloads: Sequence[Payload]) -> None:
        """See `Conversation`."""
        if not self.over:  # else it is late
            self._intake.take(payloads, self._data, self._other)

    @property
    def _may_ask(self) -> bool:
        ready = self.connected is not None and not (self._asked or self.put_off or self.over)
        return ready and 2 * len(self.items) <= self.query.window

    @property
    def _may_grant(self) -> bool:
        return self._asked and not self.over and 2 * self._used >= self.query.window

    def _start(self) -> str:
        self._asked = True
        # All but the last one, to see that it is the same.
        self._skip = min(self.received, 1)
        self._came = self._used = 0
        self._granted = self.query.window - len(self.items)
        request = self.query.request(_STREAM, self._granted, max(0, self.received - 1))
        return json.dumps(request_to_dict(request), separators=(",", ":"))

    def _data(self, data: Data, item: Any) -> None:
        if data.stream != _STREAM or self.over:
            return
        self._came += 1
        if self._came > self._granted:
            raise DisconnectedError(
                CloseCode.PROTOCOL_ERROR, "the server sends more stored data than it was granted", retryable=False
            )
        if not self._skip:
            self.received += 1
            self._last = item
            self.items.append(item)
            return
        self._skip -= 1
        self._used += 1
        self.repeated += 1
        if not self._skip and item != self._last:
            self._changed()

    def _changed(self) -> None:
        self.fail(
            FeedError(
                f"the stored data of {self.query.dataset} is not what it was before the connection was lost, "
                f"{self.received} events on: ask for it again, from the start"
            )
        )

    def _other(self, payload: Payload) -> None:
        text = text_of(payload)
        try:
            message = decode_message(text)
        except RequestError as error:
            if error.code == ErrorCode.MALFORMED_JSON or _is_event(text):
                raise _unreadable(error.message) from None
            # A newer server may send what we do not know; it is no event, so nothing is missing.
            self._puzzle("a message is left out", error.message)
            return
        if isinstance(message, Data):
            raise _unreadable("a number is beyond 64 bits")
        self._message(message)

    def _message(self, message: Message) -> None:
        match message:
            case Heartbeat():
                self._beat(message)
            case Connected():
                self._greeted(message)
            case StreamStart() | StreamEnd() | StreamError() if message.stream != _STREAM:
                self._puzzle(
                    "a message is left out", f"it is of the stream {message.stream!r}, which was not asked for"
                )
            case StreamStart():
                self.begun = True
                if "skip" in (message.ignored or ()) and self._skip:
                    self._skip = self.received  # an older server sends all of it again
            case StreamEnd():
                self._ended(message)
            case StreamError():
                self.fail(SubscriptionError(message.code, message.message, message.symbols))
            case ErrorReply() if message.id == _STREAM:
                self._refused(message)
            case ErrorReply():
                self._puzzle("the server refuses something", message.message)
            case _:
                pass

    def _puzzle(self, what: str, why: str) -> None:
        self._puzzles += 1
        if is_told(self._puzzles):
            log.warning(what, why=why[:200])

    def _greeted(self, message: Connected) -> None:
        unit = unit_of(message)
        self._intake.begin(unit)
        if self.query.end is None:
            self.query = attrs.evolve(self.query, end=message.timestamp * NS_PER_UNIT[unit])
        self.connected = message

    def _ended(self, message: StreamEnd) -> None:
        if self.over:
            return
        if message.reason != "complete" or message.count != self._came:
            raise DisconnectedError(
                CloseCode.PROTOCOL_ERROR,
                f"the server ended a stream as {message.reason} after {message.count} events; {self._came} came",
                retryable=False,
            )
        if self._skip:
            self._changed()
        else:
            self.complete = True

    def _refused(self, message: ErrorReply) -> None:
        if message.retryable:
            self._asked, self.put_off = False, True
        elif self.received and message.code == ErrorCode.NO_DATA:
            self._changed()
        else:
            self.fail(SubscriptionError(message.code, message.message, message.symbols or ()))


def _is_event(text: str) -> bool:
    fields = json.loads(text)
    return isinstance(fields, dict) and str(fields.get("type")) in EVENT_TYPES


def _unreadable(why: str) -> DisconnectedError:
    return DisconnectedError(
        CloseCode.PROTOCOL_ERROR, f"the server sends stored data that cannot be understood: {why}", retryable=False
    )
