"""A subscription with a past: stored events first, then a `Live` mark for each topic, then what is live; one stream.

It is subscribed before stored data is asked for, so that nothing falls between; `joining` finds the place where the one
ends and the other begins. While stored events are read, live ones wait in the subscription's buffer, and at the server
once that is full, as with any slow reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs
import trio

from datafye_trio.client.book import ALL
from datafye_trio.client.catching import Catcher
from datafye_trio.client.conversation import unit_of
from datafye_trio.client.history import DEFAULT_WINDOW, HistoryStream, Query
from datafye_trio.client.joining import LOOKBACK, Join, Past, Reader, make_past
from datafye_trio.client.options import Wish
from datafye_trio.client.sink import Sink
from datafye_trio.client.subscription import Subscription
from datafye_trio.errors import ConfigurationError, SubscriptionError
from datafye_trio.model import Gap, Live
from datafye_trio.protocol import ErrorCode

if TYPE_CHECKING:
    from datafye_trio.client.hub import Hub

__all__ = ["SubscriptionSince"]

T = TypeVar("T")
_TURN: Final = 64
_EMPTY: Final = frozenset({ErrorCode.NO_DATA, ErrorCode.INVALID_RANGE})
"""What a server says of a range in which nothing is stored; so it is where `since` is now, or later."""
_BATCH: Final = 2_048


class SubscriptionSince(Subscription[T]):
    """Made by `feed.bars(..., since=...)` and `feed.trades(..., since=...)`. As a `Subscription`, with a past.

    Yields stored events in order, a `Live` mark for each topic, then live events. A `Gap` of reason `not_stored` stands
    before the mark where stored data does not reach up to live data. Symbols cannot be added later.

    Raises on entering, and from the iterator as long as stored events are read:
        SubscriptionError: the server refuses something: `CHANNEL_NOT_AVAILABLE`, it stores none of this.
        FeedError: the feed, or the connection for stored data, cannot go on.
    """

    def __init__(self, hub: Hub, wish: Wish, since: int) -> None:
        _check(wish)
        super().__init__(hub, wish)
        self._hub = hub
        self._since = since
        self._catcher = Catcher(self._buffer, self._changed)
        self._sink.use(self._catcher)
        self._history: HistoryStream[T] | None = None
        self._past: Past | None = None
        self._ready: deque[T] = deque()
        self._overlap: Past | None = None
        """The same, as long as a live event may be among what was stored."""
        self._turn = trio.Lock()
        self._turns = 1

    async def __aenter__(self) -> Self:
        await self._hub.wait_connected()
        if not self._hub.wiring.provable:
            what = "this server numbers nothing, so that stored and live data cannot be joined: leave `since` out"
            raise SubscriptionError(ErrorCode.CHANNEL_NOT_AVAILABLE, what)
        await super().__aenter__()
        try:
            await self._look_back()
            await self._ask()
        except BaseException:
            self._leave()
            raise
        return self

    async def __anext__(self) -> T:
        """The next item. Cancel-safe. A checkpoint where it waits, and at every 64th item.

        Raises:
            FeedError: see the class, and `Subscription`.
        """
        while self._past is not None or self._ready:
            if self._ready:
                if self._turns % _TURN:
                    self._turns += 1
                    return self._ready.popleft()
                self._turns += 1
                await trio.lowlevel.checkpoint()
            else:
                await self._read()
        while True:
            item = await super().__anext__()
            if not self._repeats(item):
                return item

    async def receive_many(self) -> list[T]:
        """See `Subscription.receive_many`."""
        await trio.lowlevel.checkpoint()
        while self._past is not None or self._ready:
            if self._ready:
                return [self._ready.popleft() for _ in range(min(_BATCH, len(self._ready)))]
            await self._read()
        while True:
            if items := [item for item in await super().receive_many() if not self._repeats(item)]:
                return items

    async def add(self, symbols: str | Sequence[str]) -> None:
        """Refused: the past of what is added later would stand behind what is live.

        Raises:
            ConfigurationError: always.
        """
        what = f"a subscription with since= keeps its symbols: open another one for {symbols!r}"
        raise ConfigurationError(what[:200])

    async def _look_back(self) -> None:
        """Have the newest messages of each topic sent again; until they are there, nothing else is of interest."""
        self._rewind()
        await trio.lowlevel.checkpoint()
        while not self._catcher.complete:
            self._check_open()
            if self._sink.paused:  # a small buffer, and a fast feed: what came meanwhile is past, too
                self._rewind()
            await self._lot.park()
        self._check_open()
        self._sink.use(self._buffer)

    def _full(self, sink: Sink) -> None:
        super()._full(sink)
        self._changed()

    def _rewind(self) -> None:
        book, sink = self._hub.book, self._sink
        self._catcher.begin(())
        while sink.paused:
            self._empty()
            book.unpause(sink)  # which may fill it again, with gaps
        self._empty()
        topics = list(sink.topics)
        joins = [Join(topic.key, topic.epoch, topic.next - 1) for topic in topics]
        self._catcher.begin(joins)
        for topic, join in zip(topics, joins, strict=True):
            if join.position:
                topic.rewind(sink, max(0, join.position - LOOKBACK))
                book.touch(topic)
        self._hub.wake()

    def _empty(self) -> None:
        while len(self._buffer):
            self._buffer.pop()

    async def _ask(self) -> None:
        """Ask for the stored data of what is subscribed, up to where live data begins."""
        joins = list(self._catcher.joins.values())
        server = self._hub.connected
        reader = Reader() if server is None else Reader(unit_of(server))
        frequency = self._boards[0][0].frequency
        known = any(join.window for join in joins)
        self._past = make_past(joins, self._since, reader, frequency, 0)
        if known and self._past.start >= self._past.stop:
            return
        wish = attrs.evolve(self._wish, symbols=self.symbols, dataset=self._boards[0][0].dataset)
        stop = self._past.stop if known else None
        history: HistoryStream[T] = HistoryStream(self._hub, Query(wish, self._past.start, stop, None, DEFAULT_WINDOW))
        try:
            self._history = await history.__aenter__()
        except SubscriptionError as error:
            if error.code not in _EMPTY:
                raise
        if not known:
            self._past = make_past(joins, self._since, reader, frequency, history.end)

    async def _read(self) -> None:
        """Read stored data until there is something to deliver, or no more of it."""
        async with self._turn:
            while (past := self._past) is not None and not self._ready:
                await self._read_some(past)

    async def _read_some(self, past: Past) -> None:
        history = self._history
        try:
            while history is not None and not past.done:
                self._ready.extend(past.take(await anext(history)))
                if self._ready and (not history.waiting or len(self._ready) >= _BATCH):
                    return
        except StopAsyncIteration:
            pass
        self._ready.extend(past.end())
        self._past, self._overlap = None, past
        self._leave_history()

    def _repeats(self, item: Any) -> bool:
        past = self._overlap
        if past is None or isinstance(item, Gap | Live):
            return False
        repeats = past.repeats(item)
        if not past.overlaps:
            self._overlap = None
        return repeats

    def _leave_history(self) -> None:
        if self._history is not None:
            self._history.leave()
            self._history = None

    def _leave(self) -> None:
        self._leave_history()
        super()._leave()


def _check(wish: Wish) -> None:
    if wish.running:
        raise ConfigurationError("since= goes with final bars: bars that are still forming are not stored")
    if wish.policy != "wait":
        raise ConfigurationError(
            f"since= goes with policy wait, not {wish.policy}: live events wait for the stored ones"
        )
    if any(symbol.strip() == ALL for symbol in wish.symbols):
        raise ConfigurationError("since= needs the symbols by name, not *")
