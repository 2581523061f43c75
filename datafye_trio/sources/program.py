"""A program's own events: a dataset without a producer task; its events come in through `server.publish`."""

from __future__ import annotations

import trio

from datafye_trio.aggregates import Aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency
from datafye_trio.sources.base import Publisher

__all__ = ["Program"]


class Program:
    """The dataset of a program that publishes by itself.

    Args:
        name: the dataset's name on the wire.
        asset_class: stocks or crypto.
        channels: the channels that the program is going to publish on.
        symbols: a closed list in normalised spelling; None: any well-formed symbol will do.
        frequencies: those of the bars and indicators that the program publishes by itself.
        aggregation: how bars and indicators are made of the trades that the program publishes; None: they are not.

    Raises:
        ConfigurationError: bars or indicators both of its own and made of its trades.
    """

    def __init__(
        self,
        name: str = "Program",
        asset_class: AssetClass = AssetClass.STOCKS,
        channels: tuple[Channel, ...] = (Channel.QUOTES, Channel.TRADES),
        symbols: frozenset[str] | None = None,
        *,
        frequencies: tuple[Frequency, ...] = tuple(Frequency),
        aggregation: Aggregation | None = None,
    ) -> None:
        own = any(channel.has_frequency for channel in channels)
        if own and aggregation is not None:
            raise ConfigurationError(f"the bars of {name} are either its own (channels) or made of its trades")
        self._dataset = DatasetInfo(name, asset_class, channels, frequencies if own else (), symbols)
        self._aggregation = aggregation

    @property
    def dataset(self) -> DatasetInfo:
        """What the program offers."""
        return self._dataset

    @property
    def aggregation(self) -> Aggregation | None:
        """How bars are made of the program's trades."""
        return self._aggregation

    async def run(self, publisher: Publisher) -> None:  # noqa: ARG002  (a program publishes through the server)
        """Stay until cancelled: a program's dataset never ends by itself."""
        await trio.sleep_forever()
