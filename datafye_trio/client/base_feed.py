"""What every feed offers, wherever its events come from: ways to subscribe, stored data, and market time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar, Unpack

from datafye_trio.client.host import Host
from datafye_trio.client.market_time import MarketTime
from datafye_trio.client.options import SubscribeOptions, make_wish
from datafye_trio.client.subscription import Subscription
from datafye_trio.errors import FeedError
from datafye_trio.model import Frequency

__all__ = ["BaseFeed"]

T = TypeVar("T")


class BaseFeed(Generic[T]):
    """Subscriptions to what a host has."""

    def __init__(self, host: Host, market: MarketTime) -> None:
        self._host = host
        self._market = market

    def subscribe(
        self,
        channels: str | Sequence[str],
        symbols: str | Sequence[str],
        *,
        frequency: str = Frequency.MINUTE,
        running: bool = False,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription[T]:
        """Events of these symbols on these channels, from when it is entered on.

        Args:
            channels: of `quotes`, `trades`, `aggregates` (also `bars`), `sma`, `ema`; one or several.
            symbols: one or several; `*` is every symbol, those that appear later too.
            frequency: of bars and indicators: `Second`, `Minute`, `Hour` or `Day`.
            running: bars that are still forming, too.
            options: see `SubscribeOptions`.

        Raises:
            ConfigurationError: a channel, a frequency, a policy or the like that does not exist.
        """
        return Subscription(self._host, make_wish(channels, symbols, frequency, options, running=running))

    def quotes(self, symbols: str | Sequence[str], **options: Unpack[SubscribeOptions]) -> Subscription[T]:
        """Quotes: the top of the book. As `subscribe`."""
        return self.subscribe("quotes", symbols, **options)

    def trades(self, symbols: str | Sequence[str], **options: Unpack[SubscribeOptions]) -> Subscription[T]:
        """Trades. As `subscribe`."""
        return self.subscribe("trades", symbols, **options)

    def bars(
        self,
        symbols: str | Sequence[str],
        *,
        frequency: str = Frequency.MINUTE,
        running: bool = False,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription[T]:
        """Bars. As `subscribe`."""
        return self.subscribe("aggregates", symbols, frequency=frequency, running=running, **options)

    def sma(
        self, symbols: str | Sequence[str], *, frequency: str = Frequency.MINUTE, **options: Unpack[SubscribeOptions]
    ) -> Subscription[T]:
        """Simple moving averages over the closes of bars. As `subscribe`."""
        return self.subscribe("sma", symbols, frequency=frequency, **options)

    def ema(
        self, symbols: str | Sequence[str], *, frequency: str = Frequency.MINUTE, **options: Unpack[SubscribeOptions]
    ) -> Subscription[T]:
        """Exponential moving averages over the closes of bars. As `subscribe`."""
        return self.subscribe("ema", symbols, frequency=frequency, **options)

    def now(self) -> int:
        """Market time in nanoseconds since 1970 UTC: that of the newest event that came, and on from there.

        Before the first event it is the server's clock, as far as that is known. Of what a connection brings at once,
        the last event counts: one that was out of order before it may be ahead by as much. The newest quote that comes
        first says nothing of the time now, since it may be old.
        """
        return self._market.now()

    async def sleep_until(self, time_ns: int) -> bool:
        """Wait until market time is there; False where the data has ended before. Always a checkpoint. Cancel-safe.

        Raises:
            FeedError: the feed has ended.
        """
        try:
            return await self._market.wait_until(time_ns)
        except FeedError:
            self._host.failure_met = True
            raise
