"""A tap of a server that numbers nothing: its events get numbers of our own, in an epoch of our own. No I/O.

The rules of this file. Numbers begin at 1 in each epoch, and all topics of the dataset share the epoch, as the protocol
has it. Wherever something may be missing (the connection was made anew, this tap was full, a topic was left and is
joined again) nobody knows how much it is: a new epoch begins, and so every client is told of an unknown loss, those who
come back later too. Rejected: to leave out a number, which would say that exactly one event is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from datafye_trio.client.board import BoardKey
from datafye_trio.client.feed import WireFeed
from datafye_trio.client.tap import Placed, Tap
from datafye_trio.model import AssetClass, Gap, TopicKey

__all__ = ["NumberingTap"]


class NumberingTap(Tap):
    """See the module; `epoch` is the one that the next item is of. The first one names all that follow."""

    def __init__(self, feed: WireFeed[Any], on_news: Callable[[], None], epoch: str) -> None:
        # No snapshots: among what has no number, nothing would tell them from events.
        super().__init__(feed, on_news, snapshots=False)
        self.epoch = epoch
        self._name = epoch
        self._lives = 1
        self._heads: Counter[TopicKey] = Counter()
        self._left: set[TopicKey] = set()
        """Topics whose numbers have stopped: nobody knows what comes of them from then on."""
        self._again: set[TopicKey] = set()
        """Those of them that were asked for again."""

    def take(self, most: int) -> list[Placed]:
        """See `Tap.take`. Gaps without an event between them stand at one place: they share a new epoch."""
        if any(super(NumberingTap, self).position(key) is not None for key in self._again):
            self._begin()  # before all that is taken now: what is placed after it stands in the same epoch
        found: list[Placed] = []
        lost = False
        for key, _, seq, item in super().take(most):
            if isinstance(item, Gap):
                if not lost:
                    self._begin()
                found.append((key, self.epoch, seq, attrs.evolve(item, epoch=self.epoch)))
            else:
                self._heads[key] += 1
                found.append((key, self.epoch, self._heads[key], item))
            lost = isinstance(item, Gap)
        return found

    def join(self, board: BoardKey, asset_class: AssetClass, symbols: Iterable[str] | None) -> None:
        """See `Tap.join`. What was left costs a new epoch once it is there again, and not before: it may be refused."""
        wanted = None if symbols is None else list(symbols)
        for symbol in wanted or ():
            key = TopicKey(board.dataset, asset_class, board.channel, symbol, board.frequency, board.running)
            if key in self._left:
                self._again.add(key)
        super().join(board, asset_class, wanted)

    def leave(self, topics: Iterable[TopicKey]) -> None:
        """See `Tap.leave`."""
        gone = set(topics)
        self._left |= gone
        self._again -= gone
        super().leave(gone)

    def position(self, topic: TopicKey) -> tuple[str, int] | None:
        """See `Tap.position`."""
        return None if super().position(topic) is None else (self.epoch, self._heads[topic])

    def _begin(self) -> None:
        self._lives += 1
        self.epoch = f"{self._name}-{self._lives}"
        self._heads.clear()
        self._left.clear()
        self._again.clear()
