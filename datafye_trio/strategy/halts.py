"""Which symbols are halted, by what a feed says."""

from __future__ import annotations

from datafye_trio.model import FeedItem, Halt, Resume

__all__ = ["Halts"]


class Halts:
    """The symbols that are halted: `"AAPL" in halts`. All sync.

    Quotes and trades each bring every halt, and two subscriptions need not do so at the same time: what is older than
    what is known changes nothing.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Halt | Resume] = {}

    def add(self, item: FeedItem) -> None:
        """Take in a halt or a resumption; anything else says nothing here."""
        if isinstance(item, Halt | Resume):
            known = self._newest.get(item.symbol)
            if known is None or known.timestamp <= item.timestamp:
                self._newest[item.symbol] = item

    def get(self, symbol: str) -> Halt | None:
        """The halt of a symbol that is halted, None where it is not."""
        newest = self._newest.get(symbol)
        return newest if isinstance(newest, Halt) else None

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and self.get(symbol) is not None
