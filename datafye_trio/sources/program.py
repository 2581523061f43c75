"""A program's own events: a dataset without a producer task; its events come in through `server.publish`."""

from __future__ import annotations

import trio

from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.sources.base import Publisher

__all__ = ["Program"]


class Program:
    """The dataset of a program that publishes by itself.

    Args:
        name: the dataset's name on the wire.
        asset_class: stocks or crypto.
        channels: the channels that the program is going to publish on.
        symbols: a closed list in normalised spelling; None: any well-formed symbol will do.
    """

    def __init__(
        self,
        name: str = "Program",
        asset_class: AssetClass = AssetClass.STOCKS,
        channels: tuple[Channel, ...] = (Channel.QUOTES, Channel.TRADES),
        symbols: frozenset[str] | None = None,
    ) -> None:
        self._dataset = DatasetInfo(name, asset_class, channels, symbols=symbols)

    @property
    def dataset(self) -> DatasetInfo:
        """What the program offers."""
        return self._dataset

    async def run(self, publisher: Publisher) -> None:  # noqa: ARG002  (a program publishes through the server)
        """Stay until cancelled: a program's dataset never ends by itself."""
        await trio.sleep_forever()
