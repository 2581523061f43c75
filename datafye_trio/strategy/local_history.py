"""Stored data of a source in the same process, up to now and no further."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import trio

from datafye_trio.aggregates import span_of
from datafye_trio.client import HistoryOptions, Moment
from datafye_trio.client.book import ALL
from datafye_trio.client.history import make_query
from datafye_trio.client.options import parse_symbols
from datafye_trio.errors import FeedClosedError, FeedError, SourceError, SubscriptionError
from datafye_trio.model import AssetClass, Channel, Event, FeedItem
from datafye_trio.protocol import ErrorCode
from datafye_trio.sources import Historical, History, HistoryQuery
from datafye_trio.strategy.local_hub import LocalHub

__all__ = ["LocalHistory"]


class LocalHistory(AbstractAsyncContextManager["LocalHistory"]):
    """Made by a feed: `async with feed.history("AAPL", start=..., end=...) as bars: async for bar in bars: ...`.

    Whatever would have happened after now, by the market's clock when it is entered, is left out, a bar that is not
    over among it: a strategy that runs on a recording must not see what is still to come.

    Raises on entering:
        SubscriptionError: there is no such data (`CHANNEL_NOT_AVAILABLE`, `UNKNOWN_SYMBOL`), or none in the range
            (`NO_DATA`).
        FeedError: the feed has ended; when iterating also, the data cannot be read.
    """

    def __init__(
        self, hub: LocalHub, symbols: str | Sequence[str], start: Moment, end: Moment | None, options: HistoryOptions
    ) -> None:
        self._hub = hub
        self._query = make_query(symbols, start, end, options)
        self._batches: Generator[Sequence[Event]] | None = None
        self._ready: list[Event] = []
        self._begun = False

    async def __aenter__(self) -> Self:
        if self._begun:
            raise FeedClosedError("a history is entered once: ask the feed for another one")
        self._begun = True
        history, query = await self._resolve()
        self._batches = history.read(query)
        try:
            await self._fill()
        except BaseException:
            self._leave()
            raise
        if not self._ready:
            self._leave()
            raise _nothing()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC102 -- waits for nothing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FeedItem:
        """The next event. Cancel-safe. A checkpoint at every batch.

        Raises:
            FeedError: the data cannot be read any further; all before it was yielded.
        """
        if not self._ready:
            await self._fill()
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.pop()

    async def _fill(self) -> None:
        """Read on until there is an event, or nothing more. Several tasks may."""
        try:
            await trio.lowlevel.checkpoint()
            while not self._ready:
                if self._batches is None:
                    raise FeedClosedError("the history is not open: iterate within `async with`")
                if (batch := next(self._batches, None)) is None:
                    return
                self._ready = list(reversed(batch))  # popped from the end
                await trio.lowlevel.checkpoint()
        except SourceError as error:
            raise FeedError(f"the stored data cannot be read: {error}") from error

    async def _resolve(self) -> tuple[History, HistoryQuery]:
        wish = self._query.wish
        (key, asset_class), *_ = await self._hub.boards(wish)
        source = self._hub.datasets[key.dataset].source
        history = source.history if isinstance(source, Historical) else None
        if history is None:
            raise _not_stored(f"dataset {key.dataset} has no stored data")
        if key.channel not in history.channels:
            has = ", ".join(history.channels)
            raise _not_stored(f"dataset {key.dataset} has no stored {key.channel}: it has {has}")
        symbols, wrong = parse_symbols(wish.symbols, asset_class)
        if wrong:
            what = "no well-formed symbols: 1 to 32 characters of A-Z 0-9 . - _ : /"
            raise SubscriptionError(ErrorCode.UNKNOWN_SYMBOL, what, tuple(wrong))
        offered = self._hub.datasets[key.dataset].info.symbols
        unknown = [one for one in symbols if offered is not None and one not in offered and one != ALL]
        if unknown:
            what = f"{len(unknown)} of the symbols are not offered by dataset {key.dataset}: leave them out"
            raise SubscriptionError(ErrorCode.UNKNOWN_SYMBOL, what, tuple(unknown))
        end = self._end(key.channel, asset_class)
        if self._query.start >= end:
            raise _nothing()
        chosen = None if symbols == [ALL] else tuple(symbols)
        return history, HistoryQuery(key.channel, key.frequency, chosen, self._query.start, end)

    def _end(self, channel: Channel, asset_class: AssetClass) -> int:
        now = self._hub.market.now()
        if channel is Channel.AGGREGATES:
            now = span_of(now, self._query.wish.frequency, asset_class)[0]
        return now if self._query.end is None else min(self._query.end, now)

    def _leave(self) -> None:
        if self._batches is not None:
            self._batches.close()
        self._batches = None
        self._ready = []


def _not_stored(what: str) -> SubscriptionError:
    return SubscriptionError(ErrorCode.CHANNEL_NOT_AVAILABLE, what)


def _nothing() -> SubscriptionError:
    return SubscriptionError(ErrorCode.NO_DATA, "there is no data in this range, up to now: ask for another")
