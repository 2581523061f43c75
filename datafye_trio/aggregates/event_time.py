"""When the market knows an event: what a clock that follows the market is set by."""

from __future__ import annotations

from datafye_trio.aggregates.spans import span_of
from datafye_trio.model import AssetClass, Bar, Ema, Event, Frequency, Quote, Sma, Trade

__all__ = ["event_time"]


def event_time(event: Event, asset_class: AssetClass = AssetClass.STOCKS) -> int:
    """The market time, in nanoseconds since 1970 UTC, from which on an event can be known.

    A tick is known when it happens. A final bar, and the indicators over its close, bear the time at which their span
    begins, and are known when it ends; a running bar says nothing later than its beginning. `asset_class` matters for
    bars of a day alone: days end in New York for stocks, in UTC for crypto.
    """
    if isinstance(event, Quote | Trade):
        return event.exchange_timestamp
    if isinstance(event, Bar):
        return span_of(event.start, Frequency(event.frequency), asset_class)[1] if event.final else event.start
    if isinstance(event, Sma | Ema):
        return span_of(event.timestamp, Frequency(event.frequency), asset_class)[1]
    return event.timestamp
