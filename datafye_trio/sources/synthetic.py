"""Synthetic: a made-up market, published as time passes or as fast as clients take it."""

from __future__ import annotations

from itertools import chain
from math import inf

from datafye_trio.aggregates import Aggregation, default_aggregation
from datafye_trio.model import Channel, DatasetInfo
from datafye_trio.sources.base import Publisher
from datafye_trio.sources.history import SyntheticHistory
from datafye_trio.sources.market import Choice, SyntheticConfig, SyntheticMarket
from datafye_trio.sources.pacing import flood, pace

__all__ = ["Synthetic"]


class Synthetic:
    """A source of made-up but plausible events; the same seed and start give the same events, timestamps included."""

    def __init__(self, config: SyntheticConfig | None = None) -> None:
        self._config = config = SyntheticConfig() if config is None else config
        default = default_aggregation(config.dataset, live=config.is_live)
        self._aggregation = default if config.aggregation == "default" else config.aggregation
        self._history = SyntheticHistory(config, self._aggregation) if config.history else None
        self._dataset = DatasetInfo(config.dataset, config.asset_class, config.ticks, symbols=frozenset(config.symbols))

    @property
    def dataset(self) -> DatasetInfo:
        """What the market offers: a closed list of symbols."""
        return self._dataset

    @property
    def aggregation(self) -> Aggregation | None:
        """How bars are made of the trades, None where none are to be made."""
        return self._aggregation

    @property
    def history(self) -> SyntheticHistory | None:
        """The same market at any other time, None where it is not to be had."""
        return self._history

    async def run(self, publisher: Publisher) -> None:
        """Publish without end: each event when its time has come, or at the highest rate as fast as clients read."""
        start = publisher.now_ns() if self._config.start_ns is None else self._config.start_ns
        ticks = self._config.ticks
        folded = self._aggregation is not None
        choice = Choice(quotes=Channel.QUOTES in ticks, trades=Channel.TRADES in ticks or folded)
        events = chain.from_iterable(SyntheticMarket(self._config, start).blocks(start, None, choice))
        if self._config.rate == inf:
            await flood(events, publisher)
        else:
            await pace(events, publisher, origin=start, speed=1.0)
