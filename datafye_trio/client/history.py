"""Stored data, as a program sees it: a context manager that yields the events of a time, in order, and then ends.

It has a connection of its own, beside the feed's: stored data comes as fast as it is read, and what is live must not
wait for it. The connection is kept by a task of the feed's, so that a program may leave at any point without waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeAlias, TypedDict, TypeVar, cast

import attrs
import trio

from datafye_trio.client.backoff import Backoff
from datafye_trio.client.conversation import Conversation
from datafye_trio.client.history_query import HistoryQuery
from datafye_trio.client.history_talk import HistoryTalk
from datafye_trio.client.link import Link
from datafye_trio.client.options import Wish, make_wish, parse_symbols
from datafye_trio.client.plain_history import PLAIN_PATH, PartsLink, PlainHistoryTalk, plain_history
from datafye_trio.client.states import States
from datafye_trio.client.urls import with_path
from datafye_trio.errors import ConfigurationError, FeedClosedError, FeedError, SubscriptionError
from datafye_trio.model import Channel
from datafye_trio.protocol import ErrorCode, format_time, parse_time

if TYPE_CHECKING:
    from datafye_trio.client.hub import Hub

__all__ = ["DEFAULT_WINDOW", "HistoryStream", "HistoryOptions", "Moment", "make_query", "parse_moment"]

T = TypeVar("T")
Moment: TypeAlias = datetime | int | str
"""A point in time: a datetime with a time zone, nanoseconds since 1970 UTC, or an ISO 8601 text (without an offset, New
York's time)."""

DEFAULT_WINDOW: Final = 4_096
_TURN: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STORED: Final = (Channel.TRADES, Channel.QUOTES, Channel.AGGREGATES)


class HistoryOptions(TypedDict, total=False):
    """The keyword arguments of `WireFeed.history`, beside the range.

    - `channel`: `trades` or `quotes`; by default bars.
    - `frequency`: of bars: `Second`, `Minute` (default), `Hour` or `Day`.
    - `dataset`: by default the server's first one (of `asset_class`, where that is given).
    - `asset_class`: `stocks` or `crypto`.
    - `rate`: events a second; by default as fast as they are read.
    - `window`: the events that may wait for the program; 4,096 by default.
    """

    channel: str
    frequency: str
    dataset: str
    asset_class: str
    rate: float | None
    window: int


@attrs.frozen
class Query:
    """A checked question, before the server's datasets are known."""

    wish: Wish
    start: int
    end: int | None
    rate: float | None
    window: int


class HistoryStream(AbstractAsyncContextManager["HistoryStream[T]"], Generic[T]):
    """Made by a feed: `async with feed.history("AAPL", start=..., end=...) as bars: async for bar in bars: ...`.

    Entering waits for the server's answer. Iterating yields all there is, each event once and in order, over any number
    of lost connections, and then ends. A program that is slow makes the server wait: `window` events are held at most.

    Raises on entering:
        SubscriptionError: the server refuses (`NO_DATA`: there is nothing in the range).
        FeedError: there is no connection, and there will be none.
    """

    def __init__(self, hub: Hub, query: Query) -> None:
        self._hub = hub
        self._query = query
        self._scope = trio.CancelScope()
        self._lot = trio.lowlevel.ParkingLot()
        self._talk: HistoryTalk | PlainHistoryTalk | None = None
        self._link: Link | PartsLink | None = None
        self._delivered = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
            await self._answered(self._of_talk)
        except BaseException:
            self.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()
        await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC102 -- waits for nothing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next event. Cancel-safe. A checkpoint where it waits, and at every 64th event.

        Raises:
            SubscriptionError: the server cannot read on.
            FeedError: there is no connection, and there will be none; the stored data has changed meanwhile.
        """
        talk = self._of_talk
        self._delivered += 1
        if not self._delivered % _TURN:
            await trio.lowlevel.checkpoint()
        if not talk.items:
            self._delivered -= 1
            await self._wait(talk)
            self._delivered += 1
        return self._take(talk)

    @property
    def end(self) -> int:
        """The first moment after the range, in nanoseconds since 1970 UTC; 0 as long as it is not known."""
        return 0 if self._talk is None else self._talk.query.end or 0

    @property
    def delivered(self) -> int:
        """Events that the program has taken."""
        return self._delivered

    @property
    def waiting(self) -> int:
        """Events that wait for the program."""
        return 0 if self._talk is None else len(self._talk.items)

    @property
    def repeated(self) -> int:
        """Events that came once more after a lost connection, and were dropped."""
        return 0 if self._talk is None else self._talk.repeated

    @property
    def _of_talk(self) -> HistoryTalk | PlainHistoryTalk:
        if self._talk is None:
            raise FeedClosedError("the history is not open: iterate within `async with`")
        return self._talk

    async def _answered(self, talk: HistoryTalk | PlainHistoryTalk) -> None:
        while not (talk.begun or talk.over):
            await self._lot.park()
        if talk.failure is not None and not talk.items:
            raise talk.failure

    async def _wait(self, talk: HistoryTalk | PlainHistoryTalk) -> None:
        await trio.lowlevel.checkpoint()
        while not talk.items:
            if self._closed:
                raise FeedClosedError("the history is closed: its `async with` has ended")
            if talk.failure is not None:
                raise talk.failure
            if talk.complete:
                raise StopAsyncIteration
            await self._lot.park()

    def _take(self, talk: HistoryTalk | PlainHistoryTalk) -> T:
        item = talk.pop()
        if talk.has_outgoing and self._link is not None:
            self._link.wake()
        return cast("T", item)

    async def _begin(self) -> None:
        hub, query = self._hub, self._query
        (key, asset_class), *_ = await hub.boards(query.wish)
        symbols, wrong = parse_symbols(query.wish.symbols, asset_class)
        if wrong:
            what = "no well-formed symbols: 1 to 32 characters of A-Z 0-9 . - _ : /"
            raise SubscriptionError(ErrorCode.UNKNOWN_SYMBOL, what, tuple(wrong))
        asked = HistoryQuery(
            key.dataset, asset_class, tuple(symbols), key.channel, key.frequency, query.start, query.end, query.rate,
            query.window,
        )  # fmt: skip
        if hub.wiring.provable:
            self._talk = HistoryTalk(hub.new_intake(), asked)
            self._link = self._make_link(f"{asset_class}/history", self._talk, self._came)
        else:
            self._talk = talk = plain_history(asked, raw=hub.raw)
            self._link = PartsLink(talk, lambda came: self._make_link(PLAIN_PATH, talk, came), self._came)
        hub.histories.add(self.fail)
        hub.spawn(self._run)

    def _make_link(self, path: str, talk: Conversation, came: Callable[[], None]) -> Link:
        url = with_path(self._hub.url, path)
        backoff = Backoff(self._hub.config.reconnect, self._hub.config.reconnect.jitter)
        return Link(url, talk, self._hub.config, States(url), backoff, came)

    async def _run(self) -> None:
        assert self._link is not None  # noqa: S101 -- set before the task is started
        try:
            with self._scope:
                await self._link.run()
        except FeedError as failure:
            self.fail(failure)

    def fail(self, failure: FeedError) -> None:
        """There is no more after what has come; the first reason wins."""
        if self._talk is not None:
            self._talk.fail(failure)
        self._came()

    def _came(self) -> None:
        if self._talk is not None and self._talk.over:
            self._scope.cancel()
        self._lot.unpark_all()

    def leave(self) -> None:
        """Leave before the end, without waiting; what the end of `async with` does. Idempotent."""
        self._closed = True
        self._hub.histories.discard(self.fail)
        self._scope.cancel()
        self._lot.unpark_all()


def make_query(symbols: str | Sequence[str], start: Moment, end: Moment | None, options: HistoryOptions) -> Query:
    """Check what a program asks for.

    Raises:
        ConfigurationError: something that no server could make sense of.
    """
    if unknown := [name for name in options if name not in HistoryOptions.__annotations__]:
        raise TypeError(f"unknown option {unknown[0]!r}: use {', '.join(HistoryOptions.__annotations__)}")
    shared: Any = {name: options[name] for name in ("dataset", "asset_class") if name in options}
    wish = make_wish(options.get("channel", Channel.AGGREGATES), symbols, options.get("frequency", "Minute"), shared)
    channel = wish.channels[0]
    if len(wish.channels) > 1 or channel not in _STORED:
        raise ConfigurationError(f"stored are {', '.join(_STORED)}: ask for one of them")
    if "frequency" in options and not channel.has_frequency:
        raise ConfigurationError(f"frequency: {channel} have none; leave it, or the channel, out")
    rate, window = options.get("rate"), options.get("window", DEFAULT_WINDOW)
    if rate is not None and not rate > 0:
        raise ConfigurationError(f"rate: events a second, above 0, not {rate!r}")
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ConfigurationError(f"window: a whole number of at least 1, not {window!r}")
    first, last = parse_moment("start", start), None if end is None else parse_moment("end", end)
    if last is not None and first >= last:
        raise ConfigurationError("start must be before end, which is not part of the range")
    return Query(wish, first, last, rate, window)


def parse_moment(name: str, moment: Moment) -> int:
    """Nanoseconds since 1970 UTC.

    Raises:
        ConfigurationError: it is no point in time, or a datetime without a time zone.
    """
    try:
        if isinstance(moment, str):
            return parse_time(moment.strip())
        if isinstance(moment, datetime):
            if moment.utcoffset() is None:
                raise ConfigurationError(
                    f"{name}: a datetime without a time zone means another moment on each machine; give it one "
                    "(tzinfo=ZoneInfo('America/New_York'), say)"
                )
            since = moment.astimezone(UTC) - _EPOCH
            moment = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
        if isinstance(moment, bool) or not isinstance(moment, int):
            raise ConfigurationError(
                f"{name}: a datetime with a time zone, nanoseconds since 1970 UTC, or an ISO 8601 text; "
                f"not {type(moment).__name__}"
            )
        return parse_time(format_time(moment))
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"{name}: {error}") from None
