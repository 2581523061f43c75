"""Stored bars of a server that has only what Datafye documents: one symbol, asked for part by part.

The rules of this file. Such a server cannot be told to wait, so it is never asked for more than there is room for: a
part is a stretch of time that has so many bars at most, on a connection of its own, as in Datafye's samples. Times go
out in New York's time without an offset, as the samples write them, and never in the hour that is there twice in
autumn: what that brings too much is left out. After a cut the part is asked for again, and known bars are dropped.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import trio

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import ALL
from datafye_trio.client.decoding import Payload
from datafye_trio.client.history_query import HistoryQuery
from datafye_trio.client.link import Link
from datafye_trio.client.plain_decoding import Fields, PlainDecoder
from datafye_trio.client.plain_talk import REFUSED, refusal_in
from datafye_trio.errors import DisconnectedError, FeedError, SubscriptionError
from datafye_trio.model import Bar, Frequency
from datafye_trio.protocol import CloseCode, ErrorCode
from datafye_trio.protocol.times import NEW_YORK

__all__ = ["PLAIN_PATH", "PartsLink", "PlainHistoryTalk", "plain_history"]

PLAIN_PATH: Final = "stocks/history"

_NS: Final = 10**9
_SECONDS: Final = {Frequency.SECOND: 1, Frequency.MINUTE: 60, Frequency.HOUR: 3_600, Frequency.DAY: 86_400}
_HOUR: Final = timedelta(hours=1)
_WORDS: Final = ("connected", "subscribed", "stream_start", None)


class PlainHistoryTalk:
    """See the module; a `Conversation`, and for the consumer what `HistoryTalk` is.

    Attributes:
        between: whether a part is complete and the next one is to be asked for, on another connection.
    """

    connected: Final = None
    greeted: Final = True
    heartbeats: Final = 0
    heartbeat_interval: Final = None
    unanswered: Final = False
    put_off: Final = False

    def __init__(self, query: HistoryQuery, decoder: PlainDecoder, *, raw: bool) -> None:
        assert query.end is not None and query.frequency is not None  # noqa: S101, PT018 -- checked by the caller
        self.query = query
        self.items: deque[Any] = deque()
        self.begun = self.complete = self.between = False
        self.failure: FeedError | None = None
        self.received = self.repeated = 0
        self._decoder = decoder
        self._raw = raw
        self._end = query.end
        self._bars = max(1, query.window // 2)
        self._length = self._bars * _SECONDS[query.frequency] * _NS
        self._from = self._until = query.start
        self._last = query.start - 1
        self._asked = False
        self._next_part()

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.complete or self.failure is not None

    @property
    def has_room(self) -> bool:
        """Whether the next part fits."""
        return len(self.items) + self._bars <= max(self.query.window, self._bars)

    def pop(self) -> Any:
        """The next bar; IndexError where none waits."""
        return self.items.popleft()

    def fail(self, failure: FeedError) -> None:
        """It ends here. The first reason wins."""
        if not self.over:
            self.failure = failure

    # For the link: see `Conversation`.

    def begin(self) -> None:
        """See `Conversation`."""
        self._asked = self.between = False

    def cut(self) -> None:
        """See `Conversation`."""
        self._asked = False

    @property
    def settled(self) -> bool:
        """See `Conversation`."""
        return self._asked

    def try_again(self) -> None:
        """See `Conversation`."""

    @property
    def has_outgoing(self) -> bool:
        """See `Conversation`."""
        return not self._asked

    def outgoing(self) -> list[str]:
        """See `Conversation`."""
        if self._asked:
            return []
        self._asked = True
        request = {
            "action": "start", "dataset": self.query.dataset, "symbol": self.query.symbols[0],
            "frequency": str(self.query.frequency), "from": _local(self._from, -_HOUR),
            "to": _local(self._until + _NS - 1, _HOUR),
        }  # fmt: skip
        return [json.dumps(request, separators=(",", ":"))]

    def take(self, payloads: Sequence[Payload]) -> None:
        """See `Conversation`."""
        for payload in payloads:
            try:
                self._frame(self._decoder.fields(payload))
            except ValueError as error:
                raise DisconnectedError(
                    CloseCode.PROTOCOL_ERROR, f"the server sends what is no stored bar: {error}", retryable=False
                ) from None

    def _frame(self, fields: Fields) -> None:
        kind = fields.get("type")
        if (wrong := refusal_in(fields)) is not None:
            self.fail(SubscriptionError(REFUSED, wrong, self.query.symbols))
        elif kind == "stream_end":
            self._ended()
        elif kind not in _WORDS or "datetime" in fields:
            self._bar(fields)

    def _bar(self, fields: Fields) -> None:
        symbol = self._decoder.symbol(fields)
        bar = self._decoder.event(fields, symbol or self.query.symbols[0])
        assert isinstance(bar, Bar)  # noqa: S101 -- the decoder is one of bars
        self.begun = True
        if bar.symbol != self.query.symbols[0] or not self._from <= bar.start < self._until:
            return
        if bar.start <= self._last:
            self.repeated += 1
            return
        self._last = bar.start
        self.received += 1
        self.items.append(fields if self._raw else bar)

    def _ended(self) -> None:
        self.begun = True
        if self._until >= self._end:
            self.complete = True
        elif self._asked and not self.between:
            self.between = True
            self._next_part()

    def _next_part(self) -> None:
        self._from = self._until
        self._until = min(self._end, self._from + self._length)


class PartsLink:
    """Follows a `PlainHistoryTalk` with a connection for each part. `link` calls `note` after everything that came."""

    def __init__(self, talk: PlainHistoryTalk, make: Callable[[Callable[[], None]], Link], came: Callable[[], None]):
        self._talk = talk
        self._came = came
        self._link = make(self._note)
        self._part = trio.CancelScope()
        self._room = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        """The consumer has taken something."""
        self._room.unpark_all()

    async def run(self) -> None:
        """Fetch part after part, until cancelled or complete.

        Raises:
            FeedError: there is no connection, and there will be none.
        """
        while not self._talk.over:
            while not self._talk.has_room:
                await self._room.park()
            with trio.CancelScope() as self._part:
                await self._link.run()

    def _note(self) -> None:
        if self._talk.between:
            self._part.cancel()
        self._came()


def plain_history(query: HistoryQuery, *, raw: bool, clock: Callable[[], int] = time.time_ns) -> PlainHistoryTalk:
    """What is said for a question, up to the `clock`'s now where it has no end.

    Raises:
        SubscriptionError: more is asked than such a server is documented to have.
    """
    if query.frequency is None or len(query.symbols) > 1 or ALL in query.symbols or query.rate is not None:
        what = "this server is documented to have bars of one symbol at a time: ask for them, without a rate"
        raise SubscriptionError(ErrorCode.CHANNEL_NOT_AVAILABLE, what)
    query = query if query.end is not None else attrs.evolve(query, end=max(clock(), query.start + 1))
    decoder = PlainDecoder(BoardKey(query.dataset, query.channel, query.frequency), query.asset_class)
    return PlainHistoryTalk(query, decoder, raw=raw)


def _local(ns: int, step: timedelta) -> str:
    """New York's time to the second, moved by `step` where it is there twice."""
    moment = datetime.fromtimestamp(ns // _NS, UTC)
    while (local := moment.astimezone(NEW_YORK)).utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        moment += step
    return f"{local:%Y-%m-%dT%H:%M:%S}"
