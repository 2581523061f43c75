"""What a subscription says of itself."""

from __future__ import annotations

import attrs

__all__ = ["SubscriptionStatistics"]


@attrs.frozen
class SubscriptionStatistics:
    """A moment of a subscription.

    Attributes:
        waiting, capacity: items in its buffer, and how many fit.
        delivered: items that the program has taken.
        gaps, missing: gaps on the wire so far, and the messages known to be lost in them.
        dropped, conflated: what the policies `drop_oldest` and `latest` have passed over; `drop_oldest` with gaps, too.
        paused: whether the buffer is full, and what comes is left to be fetched later.
        pauses: how often it was.
    """

    waiting: int
    capacity: int
    delivered: int
    gaps: int
    missing: int
    dropped: int
    conflated: int
    paused: bool
    pauses: int
