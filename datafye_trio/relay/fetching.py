"""What a client lacks and a relay does not have: fetched from the server, and put before what the relay has.

One fetch at a time, for all who ask meanwhile: after a restart of a relay all its clients come back at once, each with
a place of its own, and the earliest place of a topic serves them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import trio

from datafye_trio.client.feed import WireFeed
from datafye_trio.client.tap import Placed, Tap
from datafye_trio.model import Event, Gap, TopicKey
from datafye_trio.sources.positions import Positions

__all__ = ["Fetching"]

_MOST: Final = 262_144
"""Events of one fetch. What is beyond is not fetched: those clients are told of an `expired` gap."""
_PIECE: Final = 1_024


class Fetching:
    """See the module."""

    def __init__(self, feed: WireFeed[Any]) -> None:
        self._feed = feed
        self._lock = trio.Lock()
        self._pool: dict[TopicKey, int] = {}
        self._gone: dict[TopicKey, int] = {}
        """Places from which a fetch did not help: the server has forgotten, or it is too much."""

    def tried(self, key: TopicKey, after: int) -> bool:
        """Whether asking for a topic from there is known to be in vain."""
        return after < self._gone.get(key, -1)

    async def fetch(self, lacking: Mapping[TopicKey, int], positions: Positions) -> None:
        """Fetch what comes after these places, up to what is kept. Cancel-safe: what has come by then is not kept."""
        for key, after in lacking.items():
            self._pool[key] = min(after, self._pool.get(key, after))
        async with self._lock:
            wanted = {key: after for key, after in self._pool.items() if positions.lacks(key, after)}
            self._pool.clear()
            if wanted:
                await self._fetch(wanted, positions)

    def forget(self, key: TopicKey) -> None:
        """A topic is gone here: what was learnt about it says nothing any more."""
        self._gone.pop(key, None)

    async def _fetch(self, wanted: Mapping[TopicKey, int], positions: Positions) -> None:
        past = _Past(wanted)
        news = trio.Event()

        def wake() -> None:
            news.set()

        tap = Tap(self._feed, wake)
        waiting = {key for key, after in wanted.items() if tap.join_after(key, after)}
        try:
            while waiting and tap.failure is None and past.size < _MOST:
                await news.wait()
                news = trio.Event()
                past.add(tap.take(_MOST))
                waiting = {key for key in waiting if not tap.is_level(key)}
        finally:
            tap.close()
        for key, after in wanted.items():
            past.keep(key, positions)
            if positions.lacks(key, after):
                self._gone[key] = max(after + 1, self._gone.get(key, 0))
            await trio.lowlevel.checkpoint()


class _Past:
    """The events of some topics before what is kept of them, without holes."""

    def __init__(self, wanted: Mapping[TopicKey, int]) -> None:
        self.size = 0
        self._first = {key: after + 1 for key, after in wanted.items()}
        self._events: dict[TopicKey, list[Event]] = {key: [] for key in wanted}

    def add(self, items: Iterable[Placed]) -> None:
        for key, _, seq, item in items:
            self.size += 1
            if isinstance(item, Gap):
                # Only what reaches up to the present is of use. An unknown number: a new numbering, which begins at 1.
                self._events[key].clear()
                self._first[key] = (item.last or 0) + 1
            elif seq:
                if not self._events[key]:
                    self._first[key] = seq
                self._events[key].append(item)

    def keep(self, key: TopicKey, positions: Positions) -> None:
        """Put them before what is kept, the last piece first."""
        first, events = self._first[key], self._events[key]
        for start in reversed(range(0, len(events), _PIECE)):
            positions.prepend(key, first + start, events[start : start + _PIECE])
