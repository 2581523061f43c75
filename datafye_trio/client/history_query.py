"""A question about stored data, as it goes to the server."""

from __future__ import annotations

import attrs

from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import Start, format_time

__all__ = ["HistoryQuery"]


@attrs.frozen
class HistoryQuery:
    """What is asked for. Times in nanoseconds since 1970 UTC, `end` exclusive; None: the server's clock at first.

    `frequency` is None for ticks. `window` is the number of events that are kept for the consumer at most.
    """

    dataset: str
    asset_class: AssetClass
    symbols: tuple[str, ...]
    channel: Channel
    frequency: Frequency | None
    start: int
    end: int | None
    rate: float | None = None
    window: int = 4_096

    def request(self, stream: int, window: int, skip: int) -> Start:
        """The request for a stream of this name.

        Args:
            stream: the name.
            window: how many messages may come before more are granted.
            skip: how many of the first ones are not wanted.
        """
        assert self.end is not None  # noqa: S101 -- known since the server's greeting
        return Start(
            format_time(self.start),
            format_time(self.end),
            "Tick" if self.frequency is None else str(self.frequency),
            self.symbols,
            str(self.channel),
            stream,
            self.dataset,
            self.rate,
            window,
            skip or None,
        )
