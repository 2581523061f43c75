"""Our server as a contender: `open_server` with its default settings, and a source that obeys the benchmark.

Nothing is tuned and nothing is left out: every event is checked, numbered, kept in its ring and goes through the
outboxes. The source makes events of plain numbers, as a feed's adapter does; the peers make a dict of the same.
"""

from __future__ import annotations

import time

import trio

from benchmark.payload import CHANNELS, DATASET, is_trade, quote_values, symbol_of, trade_values
from benchmark.serving import WAKE_SECONDS, Job, dues, open_files, read_order, tell
from benchmark.serving_loops import TrioLines
from datafye_trio import Quote, ServerConfig, Trade, open_server
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Event
from datafye_trio.sources import BATCH, Publisher

__all__ = ["run"]


class Obedient:
    """A source that publishes what stdin orders; `finished` when there is no more to do."""

    def __init__(self, job: Job, lines: TrioLines) -> None:
        channels = CHANNELS if job.symbols > 1 else CHANNELS[:1]
        self.dataset = DatasetInfo(DATASET, AssetClass.STOCKS, tuple(map(Channel, channels)))
        self.finished = trio.Event()
        self._symbols = job.symbols
        self._lines = lines
        self._number = 0

    async def run(self, publisher: Publisher) -> None:
        """Obey until there is no more."""
        try:
            while (order := read_order(await self._lines.next())) is not None:
                count = order["count"]
                if order["do"] == "burst":
                    await self._burst(publisher, count)
                elif order["do"] == "pace":
                    await self._pace(publisher, list(dues(order)))
                else:
                    for _ in range(count):
                        await trio.sleep(order["interval"])
                        await publisher.publish(self._events([time.time_ns()]))
                tell(done=order["do"])
        finally:
            self.finished.set()

    async def _burst(self, publisher: Publisher, count: int) -> None:
        # Room before each batch, as every source of ours at full speed waits for it.
        for first in range(0, count, BATCH):
            await publisher.room()
            now = time.time_ns()
            await publisher.publish(self._events([now] * min(BATCH, count - first)))
        await publisher.room()

    async def _pace(self, publisher: Publisher, stamps: list[int]) -> None:
        done = 0
        while done < len(stamps):
            now = time.time_ns()
            end = done
            while end < len(stamps) and stamps[end] <= now:
                end += 1
            if end > done:
                await publisher.publish(self._events(stamps[done:end]))
                done = end
            else:
                await trio.sleep(WAKE_SECONDS)

    def _events(self, stamps: list[int]) -> list[Event]:
        first, self._number = self._number, self._number + len(stamps)
        return [_event(number, stamp, self._symbols) for number, stamp in enumerate(stamps, first)]


def _event(number: int, stamp: int, symbols: int) -> Event:
    symbol = symbol_of(number, symbols)
    if is_trade(number, symbols):
        return Trade(symbol, stamp, *trade_values(number))
    return Quote(symbol, stamp, *quote_values(number))


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends."""
    open_files()
    trio.run(_serve, job)


async def _serve(job: Job) -> None:
    source = Obedient(job, TrioLines())
    async with open_server(ServerConfig(port=0, cert=job.certificate, key=job.key), [source]) as server:
        tell(port=server.port)
        await source.finished.wait()
