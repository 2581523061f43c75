"""What a strategy sees of the market: the same on the wire, in process, and on a recording."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Unpack

from datafye_trio.client import HistoryOptions, Moment, SubscribeOptions, Subscription
from datafye_trio.model import FeedItem, Frequency

__all__ = ["Feed"]


class Feed(Protocol):
    """A strategy is an async function over one: `async def strategy(feed: Feed) -> ...`.

    `open_feed` gives one of a server, `open_local_feed` one of a source in the same process, and `run_on_recording` one
    of a recording, in the market's own time. All three behave alike: the same events in the same order, the same
    errors. What must differ:

    - Iterating ends where the data does: a recording ends, and sources in process may; a server does not.
    - The symbols of a recording are not known beforehand: none is refused, and one that is not there stays silent.
    - What a program that does not read has missed: a server keeps the last minute for it, others tell it by a gap.
    - Stored data up to now is the same. Of what is to come a server tells what it has, a synthetic market, say; others
      tell nothing.
    - Bars that nothing but the wall clock ends (`grace`) are for live feeds: on a recording, the next trade ends them.
    """

    def subscribe(
        self,
        channels: str | Sequence[str],
        symbols: str | Sequence[str],
        *,
        frequency: str = Frequency.MINUTE,
        running: bool = False,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription[FeedItem]:
        """Events of these symbols on these channels, from when it is entered on: see `WireFeed.subscribe`."""

    def quotes(self, symbols: str | Sequence[str], **options: Unpack[SubscribeOptions]) -> Subscription[FeedItem]:
        """Quotes: the top of the book."""

    def trades(self, symbols: str | Sequence[str], **options: Unpack[SubscribeOptions]) -> Subscription[FeedItem]:
        """Trades."""

    def bars(
        self,
        symbols: str | Sequence[str],
        *,
        frequency: str = Frequency.MINUTE,
        running: bool = False,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription[FeedItem]:
        """Bars."""

    def sma(
        self, symbols: str | Sequence[str], *, frequency: str = Frequency.MINUTE, **options: Unpack[SubscribeOptions]
    ) -> Subscription[FeedItem]:
        """Simple moving averages over the closes of bars."""

    def ema(
        self, symbols: str | Sequence[str], *, frequency: str = Frequency.MINUTE, **options: Unpack[SubscribeOptions]
    ) -> Subscription[FeedItem]:
        """Exponential moving averages over the closes of bars."""

    def history(
        self,
        symbols: str | Sequence[str],
        *,
        start: Moment,
        end: Moment | None = None,
        **options: Unpack[HistoryOptions],
    ) -> AbstractAsyncContextManager[AsyncIterator[FeedItem]]:
        """Stored events of a range of time, in order, and then the end; by default up to now."""

    def now(self) -> int:
        """Market time in nanoseconds since 1970 UTC. No event is seen before its time."""

    async def sleep_until(self, time_ns: int) -> bool:
        """Wait until market time is there; False where the data has ended before. Always a checkpoint. Cancel-safe."""
