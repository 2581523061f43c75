"""The account that a feed keeps of each topic."""

from __future__ import annotations

import attrs

from datafye_trio.model import TopicKey

__all__ = ["LedgerEntry"]


@attrs.frozen
class LedgerEntry:
    """The account of one topic: within `epoch`, `last - begin == received + missing`, always.

    Attributes:
        topic: whose account.
        epoch: the life of the numbering that the numbers below are of.
        begin: the `seq` before the first message that was due to us.
        last: the `seq` of the newest message that was received or is known to be lost; None before the first
            position, and where the server numbers nothing: then `received` is all that is known.
        received: messages received, each counted once.
        missing: messages lost, all of them told as a `Gap`.
        restarts: how often the numbering began anew, or became unknown, each time told as a `Gap` of unknown size.
        repeated: messages that the server sent twice, and that were dropped.
    """

    topic: TopicKey
    epoch: str
    begin: int
    last: int | None
    received: int
    missing: int
    restarts: int
    repeated: int
