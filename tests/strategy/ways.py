"""One market, three ways to run a strategy on it: over the wire, in process, on a recording; all in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeVar

import attrs
import pytest
import trio
from strategy.kit import START, at, quote, trade
from trio.testing import MockClock

from datafye_trio import FeedConfig, ServerConfig, open_feed, open_server
from datafye_trio.aggregates import Aggregation, event_time, every_trade
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Event, FeedItem, Frequency, Quote, Trade
from datafye_trio.sources import Publisher, RecordedHistory
from datafye_trio.strategy import Feed, RecordingOptions, open_local_feed, run_on_recording
from datafye_trio.strategy.recorded import EventList

T = TypeVar("T")
Strategy = Callable[[Feed], Awaitable[T]]

WIRE, PROCESS, RECORDING = WAYS = ("wire", "in process", "recording")
ways = pytest.mark.parametrize("way", WAYS)
TICKS = (Channel.QUOTES, Channel.TRADES)
BARS = Aggregation(every_trade, (Frequency.SECOND, Frequency.MINUTE), lateness=3.0)


@attrs.define
class Market:
    """A source that publishes each event at its time, and ends; what it has published so far it stores, too."""

    events: Sequence[Event]
    aggregation: Aggregation | None = None
    symbols: frozenset[str] | None = None
    name: str = "Market"
    asset_class: AssetClass = AssetClass.STOCKS
    channels: tuple[Channel, ...] = TICKS

    @property
    def dataset(self) -> DatasetInfo:
        own = tuple(Frequency) if any(channel.has_frequency for channel in self.channels) else ()
        return DatasetInfo(self.name, self.asset_class, self.channels, own, self.symbols)

    @property
    def history(self) -> RecordedHistory:
        return RecordedHistory(EventList.of(self.events, self.name, self.asset_class), self.aggregation)

    async def run(self, publisher: Publisher) -> None:
        for time, events in groupby(self.events, key=lambda event: event_time(event, self.asset_class)):
            await trio.sleep_until((time - START) / 1e9)
            await publisher.publish(list(events))


def play(way: str, strategy: Strategy[T], market: Market | Iterable[Event]) -> T:
    """What a strategy makes of a market. It opens a second before the first event."""
    found = market if isinstance(market, Market) else Market(list(market))
    if way == RECORDING:
        options = RecordingOptions(
            dataset=found.name, asset_class=found.asset_class, start=START, aggregation=found.aggregation
        )
        return run_on_recording(strategy, found.events, options)
    run = _on_the_wire if way == WIRE else _in_process
    return trio.run(run, strategy, found, clock=MockClock(autojump_threshold=0))


async def _on_the_wire(strategy: Strategy[T], market: Market) -> T:
    async def dial() -> trio.abc.Stream:
        return server.connect()

    async with (
        open_server(ServerConfig(), [market], listen=False, wall_clock=_wall_clock) as server,
        open_feed("ws://test", FeedConfig(open_stream=dial)) as feed,
    ):
        await feed.wait_connected()  # before, market time is a guess
        return await strategy(feed)


async def _in_process(strategy: Strategy[T], market: Market) -> T:
    async with open_local_feed(market, wall_clock=_wall_clock) as feed:
        return await strategy(feed)


def everywhere(strategy: Strategy[T], market: Market | Iterable[Event]) -> T:
    """The same on all three ways, which is what it makes of the market on the wire."""
    found = market if isinstance(market, Market) else Market(list(market))
    results = {way: play(way, strategy, found) for way in WAYS}
    assert results[PROCESS] == results[WIRE]
    assert results[RECORDING] == results[WIRE]
    return results[WIRE]


async def collect(sub: Any, seconds: float = 1_000) -> list[FeedItem]:
    """What comes within so many seconds; a recording ends before."""
    found: list[FeedItem] = []
    with trio.move_on_after(seconds):
        async for item in sub:
            found.append(item)  # noqa: PERF401 -- kept when it is cancelled
    return found


def _wall_clock() -> int:
    return START + round(trio.current_time() * 1e9)


def bought(seconds: float, symbol: str = "AAPL", price: float = 100.0, n: int = 0) -> Trade:
    return Trade(symbol, at(seconds), price, 10, "XNAS", str(n))


def moment(event: Any) -> int:
    return event.exchange_timestamp if isinstance(event, Quote | Trade) else event.timestamp


DAY = [make(n / 4 + 1, symbol, n + 1.0) for n in range(40) for symbol in ("AAPL", "MSFT") for make in (quote, trade)]
"""Ten seconds of quotes and trades."""
JUMPY = [bought(n * 0.7 + 1, "AAPL" if n % 3 else "MSFT", 100 + n % 7, n) for n in range(300)]
"""Three and a half minutes of trades."""
