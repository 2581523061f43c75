"""What a subscription needs of whatever it is made for: a feed on the wire, or a source in the same process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from datafye_trio.client.board import BoardKey
from datafye_trio.client.options import Wish
from datafye_trio.client.sink import Sink
from datafye_trio.errors import FeedError
from datafye_trio.model import AssetClass

__all__ = ["Account", "Host"]


class Account(Protocol):
    """Where a host keeps what its subscriptions want. All sync."""

    @property
    def waiting(self) -> set[Sink]:
        """Those whose program waits for an item."""

    def attach(self, sink: Sink, boards: Iterable[tuple[BoardKey, AssetClass]], symbols: Sequence[str]) -> None:
        """Subscribe a sink to symbols (in normal form) of boards; with `*` among them, to every symbol."""

    def detach(self, sink: Sink, symbols: Iterable[str] | None = None) -> None:
        """Unsubscribe a sink from these symbols, or from everything. Idempotent."""

    def take_back(self, sink: Sink) -> None:
        """A sink does not want any more what was not answered."""

    def pause(self, sink: Sink) -> None:
        """A sink is full, and keeps its places."""

    def unpause(self, sink: Sink) -> None:
        """A sink has room again."""


class Host(Protocol):
    """What a subscription is made for: the hub of a feed on the wire, or a source in the same process."""

    failure: FeedError | None
    failure_met: bool
    """Whether a program was told of `failure`."""

    @property
    def book(self) -> Account:
        """What is wanted."""

    async def boards(self, wish: Wish) -> Sequence[tuple[BoardKey, AssetClass]]:
        """Where a wish belongs; waits until that is known. Cancel-safe.

        Raises:
            SubscriptionError: there is no such dataset.
            FeedError: the feed has ended.
        """

    def wake(self) -> None:
        """Something was attached, detached, paused or unpaused."""
