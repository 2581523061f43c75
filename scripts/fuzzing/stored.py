"""A dataset that has both: live data of a program, and a few stored events, read as a recording's are."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from datafye_trio import AssetClass, Channel, Program, Quote, Trade
from datafye_trio.model import Halt, Timed
from datafye_trio.recordings.base import Selection
from datafye_trio.sources import RecordedHistory

__all__ = ["STORED_FROM", "StoredProgram"]

STORED_FROM: Final = 1_735_830_000_000_000_000
"""2025-01-02T15:00:00Z; the last of it is less than an hour later."""
_EVENTS: Final = (
    *(
        event
        for n in range(20)
        for time in (STORED_FROM + n * 47_000_000_000,)
        for event in (Trade("AAPL", time, 100.0 + n, 10), Quote("MSFT", time + 1, 1.0, 1, 2.0, 1, "XNAS", "XNAS"))
    ),
    Halt("AAPL", STORED_FROM + 1_000_000_000_000, "x"),
)


class _Tape:
    name = "Stocks"
    asset_class = AssetClass.STOCKS
    channels = (Channel.QUOTES, Channel.TRADES)
    indexed = False

    def read(self, selection: Selection = Selection()) -> Generator[Timed]:  # noqa: B008 -- frozen
        """The events of the channels that are asked for."""
        kinds = {Channel.TRADES: (Trade, Halt), Channel.QUOTES: (Quote, Halt)}
        for place, event in enumerate(_EVENTS):
            if any(isinstance(event, kinds[channel]) for channel in selection.channels or kinds):
                yield place, event


class StoredProgram(Program):
    """The dataset Stocks, whose stored ticks are folded into bars as they are asked for."""

    def __init__(self) -> None:
        super().__init__("Stocks", AssetClass.STOCKS, tuple(Channel), frozenset({"AAPL", "MSFT"}))
        self.history = RecordedHistory(_Tape())
