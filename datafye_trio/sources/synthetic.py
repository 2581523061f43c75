"""Synthetic: a made-up market, published as time passes or as fast as clients take it."""

from __future__ import annotations

from math import inf

from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.sources.base import Publisher
from datafye_trio.sources.history import SyntheticHistory
from datafye_trio.sources.market import SyntheticConfig, SyntheticMarket
from datafye_trio.sources.pacing import flood, pace

__all__ = ["Synthetic"]


class Synthetic:
    """A source of made-up but plausible events; the same seed and start give the same events, timestamps included."""

    def __init__(self, config: SyntheticConfig | None = None) -> None:
        self._config = config = SyntheticConfig() if config is None else config
        self._history = SyntheticHistory(config)
        stocks = config.asset_class is AssetClass.STOCKS
        channels = (Channel.QUOTES, Channel.TRADES) if stocks else (Channel.TRADES,)
        self._dataset = DatasetInfo(config.dataset, config.asset_class, channels, symbols=frozenset(config.symbols))

    @property
    def dataset(self) -> DatasetInfo:
        """What the market offers: a closed list of symbols."""
        return self._dataset

    @property
    def history(self) -> SyntheticHistory:
        """The same market at any other time."""
        return self._history

    async def run(self, publisher: Publisher) -> None:
        """Publish without end: each event when its time has come, or at the highest rate as fast as clients read."""
        start = publisher.now_ns() if self._config.start_ns is None else self._config.start_ns
        events = iter(SyntheticMarket(self._config, start))
        if self._config.rate == inf:
            await flood(events, publisher)
        else:
            await pace(events, publisher, origin=start, speed=1.0)
