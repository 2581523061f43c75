"""What the tests of stored data share: how it is read, and when."""

from __future__ import annotations

from datafye_trio.model import AssetClass, Channel, Event
from datafye_trio.sources import BATCH, History, HistoryQuery

SECOND = 10**9
START = 1_760_000_000 * SECOND
STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
TRADES, QUOTES, BARS = Channel.TRADES, Channel.QUOTES, Channel.AGGREGATES


def read(history: History, query: HistoryQuery) -> list[Event]:
    """All that is there for a query; fails on a batch that is too large."""
    events: list[Event] = []
    for batch in history.read(query):
        assert len(batch) <= BATCH
        events += batch
    return events
