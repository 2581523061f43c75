"""The same events at another time: all timestamps moved by one constant."""

from __future__ import annotations

from msgspec.structs import replace

from datafye_trio.model import Bar, Event, Quote, Trade

__all__ = ["happened", "moved"]


def happened(event: Event) -> int:
    """When an event happened, or a bar began, in nanoseconds since 1970."""
    if isinstance(event, Quote | Trade):
        return event.exchange_timestamp
    return event.start if isinstance(event, Bar) else event.timestamp


def moved(event: Event, by: int) -> Event:
    """A copy of an event, `by` nanoseconds later."""
    if isinstance(event, Trade):
        facility = None if event.trf_timestamp is None else event.trf_timestamp + by
        return replace(event, exchange_timestamp=event.exchange_timestamp + by, trf_timestamp=facility)
    if isinstance(event, Quote):
        return replace(event, exchange_timestamp=event.exchange_timestamp + by)
    if isinstance(event, Bar):
        return replace(event, start=event.start + by)
    return replace(event, timestamp=event.timestamp + by)
