"""What stands between the events of a subscription: what was lost, and where stored data ends and live data begins."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from datafye_trio.model.events import Event
from datafye_trio.model.topics import TopicKey

__all__ = ["FeedItem", "Gap", "GapReason", "Live", "merge_gaps"]


GapReason: TypeAlias = Literal[
    "slow_consumer", "expired", "epoch_changed", "unexplained", "buffer_full", "not_stored", "unnumbered"
]
_KNOWN: Final = "first and last are both known, or neither is"


@attrs.frozen
class Gap:
    """Messages of a topic that never come; it stands where they would have stood.

    Attributes:
        topic: whose messages.
        epoch: the life of the numbering in which the topic goes on.
        first: the `seq` of the first lost message, None where nobody knows how many there were.
        last: that of the last one, inclusive.
        reason: `slow_consumer` (the server dropped them, since we read too slowly), `expired` (we were away for longer
            than the server keeps them), `epoch_changed` (the server's numbering began anew), `unexplained` (the server
            skipped a number without a word), `buffer_full` (this subscription's own buffer, policy `drop_oldest`),
            `not_stored` (between the end of what the server stores and the first live message that is known),
            `unnumbered` (the server numbers nothing, and we were away or too slow: who knows what is lost).
    """

    topic: TopicKey
    epoch: str
    first: int | None
    last: int | None
    reason: GapReason

    def __attrs_post_init__(self) -> None:
        if (self.first is None) != (self.last is None):
            raise ValueError(_KNOWN)

    @property
    def size(self) -> int:
        """How many messages are known to be lost; 0 where nobody knows."""
        return self.last - self.first + 1 if self.first is not None and self.last is not None else 0

    def __str__(self) -> str:
        lost = f"{self.first} to {self.last}" if self.first is not None else "an unknown number of messages"
        return f"gap on {self.topic.channel} of {self.topic.symbol}: {lost} lost ({self.reason})"


@attrs.frozen
class Live:
    """Stored events of `topic` end here, and live ones begin with the next one: `seq` is the last of the past."""

    topic: TopicKey
    epoch: str
    seq: int


FeedItem: TypeAlias = Event | Gap | Live
"""What a subscription yields."""


def merge_gaps(earlier: Gap, later: Gap) -> Gap | None:
    """One gap for two of a topic that touch; None where there is something between, or where a size is unknown."""
    if earlier.topic != later.topic or earlier.epoch != later.epoch or earlier.last is None or later.first is None:
        return None
    if later.first != earlier.last + 1:
        return None
    return attrs.evolve(earlier, last=later.last)
