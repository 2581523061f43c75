"""Stored data for tests: lists of events, and a client of a server that has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import trio
from connection.kit import BASE, Peer
from support import START_NS, memory_server, trade

from datafye_trio import AssetClass, Channel, ServerConfig, Source
from datafye_trio.model import DatasetInfo, Event
from datafye_trio.sources import HistoryQuery, Publisher

DAY = {"frequency": "Tick", "channel": "trades", "from": "2023-11-14T00:00:00Z", "to": "2023-11-15T00:00:00Z"}
"""A start for `trade(n)` of `support`, whatever `n`."""

Make = Callable[[HistoryQuery], Iterable[Event]]


class Stored:
    """A silent source with stored data: what `make` gives for a query, in batches of `size`.

    `open` counts the generators that are not closed yet.
    """

    def __init__(
        self, make: Make, name: str = "Stored", *, size: int = 100, channels: tuple[Channel, ...] = (Channel.TRADES,)
    ) -> None:
        self.dataset = DatasetInfo(name, AssetClass.STOCKS, channels, symbols=frozenset({"AAPL", "MSFT", "TSLA"}))
        self.channels = channels
        self.history = self
        self.queries: list[HistoryQuery] = []
        self.open = 0
        self._make = make
        self._size = size

    async def run(self, publisher: Publisher) -> None:
        await trio.sleep_forever()

    def read(self, query: HistoryQuery) -> Generator[Sequence[Event]]:
        self.queries.append(query)
        self.open += 1
        try:
            events = iter(self._make(query))
            while batch := list(islice(events, self._size)):
                yield batch
        finally:
            self.open -= 1


def trades(count: int) -> Make:
    """So many trades of the first symbol that is asked for."""
    return lambda query: (trade((query.symbols or ("AAPL",))[0], n) for n in range(count))


def failing(error: Exception, after: int = 0) -> Make:
    """Trades, then an error."""

    def make(query: HistoryQuery) -> Iterable[Event]:
        yield from trades(after)(query)
        raise error

    return make


class HistoryPeer(Peer):
    """A client of the history path."""

    async def start(self, **fields: Any) -> None:
        """Start a stream; by default of AAPL's trades of the day of the tests."""
        await self.send(action="start", **({"symbol": "AAPL"} | DAY | fields))

    async def whole(self, **fields: Any) -> list[dict[str, Any]]:
        """Start a stream and read to its end."""
        await self.start(**fields)
        return await self.until("stream_end")

    async def idle(self) -> None:
        """Fail if anything comes before virtual time moves on by a second."""
        with trio.move_on_after(1):
            raise AssertionError(await self.message())


@asynccontextmanager
async def history_client(*sources: Source, config: ServerConfig | None = None) -> AsyncIterator[HistoryPeer]:
    """A client of `/stocks/history`; `connected` is read."""
    async with memory_server(config, sources) as server:
        found = await HistoryPeer.connect(server, BASE + "/stocks/history")
        found.server = server
        assert (await found.message())["type"] == "connected"
        yield found


def numbers(messages: Iterable[dict[str, Any]]) -> list[int]:
    """Which of the trades of `trades` these messages are; others are passed over."""
    return [message["exchangeTimestamp"] - START_NS for message in messages if message["type"] == "trade"]
