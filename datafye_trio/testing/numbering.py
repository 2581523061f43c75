"""A source whose every event can be told from its content alone, and what it has published so far.

The n-th event of a topic is made of its topic, its number n and the source's life by a pure function. So the log that
an oracle needs is a count for each topic, however many events there were, and an event that arrives damaged, or never
was published, is known as such.
"""

from __future__ import annotations

import random
from typing import Final, TypeAlias

import attrs
import trio

from datafye_trio.model import AssetClass, Channel, DatasetInfo, Quote, Trade
from datafye_trio.sources import BATCH, Publisher

__all__ = ["NumberedConfig", "NumberedSource", "Topic", "number_of", "numbered"]

Topic: TypeAlias = tuple[Channel, str]
"""A channel and a symbol: a numbered source has one dataset."""

_BASE: Final = 1_700_000_000 * 10**9
_LIFE: Final = 10**15
"""Nanoseconds between two lives: more than any life has events."""


def numbered(channel: Channel, symbol: str, number: int, life: int = 0) -> Trade | Quote:
    """The `number`-th event of a topic, from 1, in the source's `life`-th life, from 0."""
    time = _BASE + life * _LIFE + number
    price = 100 + number % 1_000 / 100
    if channel is Channel.TRADES:
        return Trade(symbol, time, price, 1 + number % 100, "XNAS", str(number))
    return Quote(symbol, time, price, 1 + number % 100, price + 0.05, 1 + number % 7, "XNAS", "ARCX")


def number_of(event: Trade | Quote) -> tuple[int, int]:
    """The life and the number of an event that `numbered` made, and whatever comes out for any other."""
    return divmod(event.exchange_timestamp - _BASE, _LIFE)


@attrs.frozen
class NumberedConfig:
    """What a numbered source publishes.

    Attributes:
        symbols: of which events come in random order, so that topics differ in length.
        channels: of quotes and trades, the ones to publish on.
        messages: events in all; None: without end.
        rate: events a second, on average; None: as fast as clients read.
        batch: events of one call, at most 1,024.
        life: tells this run from those before it, which had other epochs; each later one is higher.
        seed: for the order of the symbols.
    """

    symbols: tuple[str, ...]
    channels: tuple[Channel, ...] = (Channel.TRADES,)
    messages: int | None = None
    rate: float | None = 1_000.0
    batch: int = 10
    life: int = 0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        if not self.symbols or not self.channels or {*self.channels} - {Channel.QUOTES, Channel.TRADES}:
            raise ValueError("symbols, and channels out of quotes and trades, are needed")
        if not 1 <= self.batch <= BATCH or (self.rate is not None and not self.rate > 0):
            raise ValueError(f"batch is 1 to {BATCH}, and rate above 0")


class NumberedSource:
    """Publishes numbered events once `go` is set; a `Source` for `open_server`.

    Attributes:
        go: set it once the clients have subscribed.
        done: set when all are published, or after `stop`; the log is complete then.
        published: the events of each topic so far: the log that an `Oracle` is asked about.
    """

    def __init__(self, config: NumberedConfig) -> None:
        self.go = trio.Event()
        self.done = trio.Event()
        self.published: dict[Topic, int] = {(c, s): 0 for c in config.channels for s in config.symbols}
        self._config = config
        self._stopping = False
        self._dataset = DatasetInfo("Numbered", AssetClass.STOCKS, config.channels, (), frozenset(config.symbols))

    @property
    def dataset(self) -> DatasetInfo:
        """What there is: the configured symbols, a closed list."""
        return self._dataset

    def stop(self) -> None:
        """Publish no more once the next batch is out; `done` follows."""
        self._stopping = True

    async def run(self, publisher: Publisher) -> None:
        """Publish to the end, by a schedule: after a call that had to wait, the next ones come sooner."""
        await self.go.wait()
        config, chance = self._config, random.Random(self._config.seed)
        topics = list(self.published)
        began, sent = trio.current_time(), 0
        while not self._stopping and (config.messages is None or sent < config.messages):
            size = config.batch if config.messages is None else min(config.batch, config.messages - sent)
            if config.rate is None:
                await publisher.room()
            else:
                await trio.sleep_until(began + sent / config.rate)
            await self._publish(publisher, chance.choices(topics, k=size))
            sent += size
        self.done.set()
        await trio.sleep_forever()

    async def _publish(self, publisher: Publisher, topics: list[Topic]) -> None:
        counts = self.published.copy()
        events = []
        for topic in topics:
            counts[topic] += 1
            events.append(numbered(*topic, counts[topic], self._config.life))
        await publisher.publish(events)
        self.published = counts
