"""Sources that do what a test says, in the same process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
import trio
from strategy.kit import START

from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Event, Frequency
from datafye_trio.sources import Publisher
from datafye_trio.strategy import open_local_feed

LIVE = Aggregation(every_trade, (Frequency.SECOND, Frequency.MINUTE), grace=2.0)


@attrs.define
class Does:
    """A source that does what a test says."""

    what: Callable[[Publisher], Awaitable[None]]
    aggregation: Aggregation | None = None
    name: str = "Does"
    channels: tuple[Channel, ...] = (Channel.QUOTES, Channel.TRADES)
    symbols: frozenset[str] | None = None
    begun: int = 0
    over: int = 0

    @property
    def dataset(self) -> DatasetInfo:
        own = (Frequency.MINUTE,) if Channel.AGGREGATES in self.channels else ()
        return DatasetInfo(self.name, AssetClass.STOCKS, self.channels, own, self.symbols)

    async def run(self, publisher: Publisher) -> None:
        self.begun += 1
        try:
            await self.what(publisher)
        finally:
            self.over += 1


def publishing(events: Iterable[Event], error: BaseException | None = None) -> Callable[[Publisher], Awaitable[None]]:
    async def run(publisher: Publisher) -> None:
        await publisher.wait_subscribed(1)
        await publisher.publish(list(events))
        if error is not None:
            raise error

    return run


async def silent(publisher: Publisher) -> None:
    await trio.sleep_forever()


def opened(*sources: Any) -> open_local_feed:
    return open_local_feed(*sources, wall_clock=lambda: START + round(trio.current_time() * 1e9))
