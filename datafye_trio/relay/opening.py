"""`open_relay`: the datasets of another server, as sources."""

from __future__ import annotations

import secrets
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

from datafye_trio.client import FeedConfig, open_feed
from datafye_trio.client.options import plain_asset_class
from datafye_trio.client.wiring import CHANNEL_PATHS
from datafye_trio.errors import ConfigurationError
from datafye_trio.logs import get_logger
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import Connected, DatasetOffer
from datafye_trio.relay.relay import Relay, RelayConfig

__all__ = ["open_relay"]

log = get_logger("relay")

_USUAL: Final = "SIP"
"""What Datafye's REST API has where no dataset is named."""


class open_relay(AbstractAsyncContextManager[list[Relay]]):  # noqa: N801 -- reads as the call that it is
    """Connect to a server, and have its datasets as sources: `async with open_relay(url) as sources: ...`.

    Entering waits for the server's first greeting, as long as it takes, since it says which datasets there are. All of
    them share one connection. A server that does not greet, and numbers nothing, has the one dataset that is asked for.
    A server that the relay is for must end before this does. A class, for the reasons that `open_server` gives.

    Args:
        url: the server's base URL.
        feed: how to connect, and how to come back.
        dataset: only this one; None is all that the server has, or `SIP` where it does not say what it has.
        config: see there.

    Raises:
        ConfigurationError: the URL or a setting cannot be used; the server has no such dataset.
        FeedError: the server cannot be reached, and says not to try.
    """

    def __init__(
        self,
        url: str,
        feed: FeedConfig | None = None,
        *,
        dataset: str | None = None,
        config: RelayConfig | None = None,
    ) -> None:
        self._url = url
        self._dataset = dataset
        self._config = config
        self._opening = open_feed(url, feed)

    async def __aenter__(self) -> list[Relay]:
        feed = await self._opening.__aenter__()
        try:
            offers = self._offers(await feed.wait_connected())
            return [Relay(feed, offer, self._config) for offer in offers]
        except BaseException as error:
            await self._opening.__aexit__(type(error), error, error.__traceback__)  # noqa: ASYNC102 -- ends its tasks
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opening.__aexit__(kind, error, traceback)  # noqa: ASYNC102 -- leaves a nursery: ends when its tasks do

    def _offers(self, connected: Connected | None) -> list[DatasetOffer]:
        if connected is None:
            return [self._plain_offer()]
        known = [offer for offer in connected.datasets if offer.asset_class in list(AssetClass)]
        known = [offer for offer in known if set(offer.channels) & set(Channel)]
        found = [offer for offer in known if self._dataset in (None, offer.dataset)]
        if not found:
            offered = ", ".join(offer.dataset for offer in known) or "none"
            raise ConfigurationError(f"{self._url} has no dataset {self._dataset or 'that can be relayed'}: {offered}")
        return found

    def _plain_offer(self) -> DatasetOffer:
        """All that Datafye documents; a path that the server does not have is refused when it is asked for."""
        name = self._dataset or _USUAL
        if self._dataset is None:
            log.warning("the server does not say which datasets it has: name one with --dataset", relayed=name)
        return DatasetOffer(
            dataset=name,
            asset_class=plain_asset_class(name),
            epoch=secrets.token_hex(8),
            channels=tuple(CHANNEL_PATHS),
            frequencies=tuple(Frequency),
        )
