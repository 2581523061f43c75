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

from datafye_trio.client.feed import Feed
from datafye_trio.client.tap import Placed, Tap
from datafye_trio.model import Gap, TopicKey

__all__ = ["NumberingTap"]


class NumberingTap(Tap):
    """See the module; `epoch` is the one that the next item is of. The first one names all that follow."""

    def __init__(self, feed: Feed[Any], on_news: Callable[[], None], epoch: str) -> None:
        # No snapshots: among what has no number, nothing would tell them from events.
        super().__init__(feed, on_news, snapshots=False)
        self.epoch = epoch
        self._name = epoch
        self._lives = 1
        self._heads: Counter[TopicKey] = Counter()
        self._left: set[TopicKey] = set()
        """Topics whose numbers have stopped: nobody knows what comes of them from then on."""

    def take(self, most: int) -> list[Placed]:
        """See `Tap.take`. Gaps without an event between them stand at one place: they share a new epoch."""
        found: list[Placed] = []
        lost = False
        for key, _, seq, item in super().take(most):
            if isinstance(item, Gap):
                if not lost:
                    self._begin()
                found.append((key, self.epoch, seq, attrs.evolve(item, epoch=self.epoch)))
            else:
                self._check(key)
                self._heads[key] += 1
                found.append((key, self.epoch, self._heads[key], item))
            lost = isinstance(item, Gap)
        return found

    def leave(self, topics: Iterable[TopicKey]) -> None:
        """See `Tap.leave`."""
        gone = set(topics)
        self._left |= gone
        super().leave(gone)

    def position(self, topic: TopicKey) -> tuple[str, int] | None:
        """See `Tap.position`."""
        if super().position(topic) is None:
            return None
        self._check(topic)
        return self.epoch, self._heads[topic]

    def _check(self, topic: TopicKey) -> None:
        """A topic that was left is there again. Not when it is asked for: that may be refused, and cost the others."""
        if topic in self._left and self.has(topic):
            self._begin()

    def _begin(self) -> None:
        self._lives += 1
        self.epoch = f"{self._name}-{self._lives}"
        self._heads.clear()
        self._left.clear()
