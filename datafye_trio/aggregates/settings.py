"""How bars and indicators are made of trades: the settings, with the defaults of each asset class."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag
from typing import TypeAlias

import attrs

from datafye_trio.model import Frequency, Trade

__all__ = ["Aggregation", "EmaPeriods", "SmaPeriods", "TradeRule", "Updates"]


class Updates(Flag):
    """What one trade may change in a bar."""

    NOTHING = 0
    VOLUME = 1
    HIGH_LOW = 2
    OPEN_CLOSE = 4
    EVERYTHING = 7


TradeRule: TypeAlias = Callable[[Trade], Updates]
"""Which trades count, and for what. Called once a trade; must be a pure function of the trade."""


@attrs.frozen
class SmaPeriods:
    """The closes that the two lines of an SMA average."""

    fast: int = 20
    slow: int = 50


@attrs.frozen
class EmaPeriods:
    """The periods of the two lines of an EMA and of their signal line (MACD's customary 12, 26, 9)."""

    fast: int = 12
    slow: int = 26
    signal: int = 9


@attrs.frozen
class Aggregation:
    """What is made of a dataset's trades. Times in seconds.

    Attributes:
        rule: which trades count, and for what.
        frequencies: the bars to publish; indicators run over the closes of each.
        lateness: a trade so much behind the newest one still corrects its bars; one further behind is counted only.
        grace: on a live feed, how long after its end (by the wall clock) a quiet symbol's bar is closed; None: bars are
            closed by the feed's own clock alone, so that a replay gives the same bars at any speed.
        sma, ema: periods of the indicators; None for no such channel.
    """

    rule: TradeRule
    frequencies: tuple[Frequency, ...] = tuple(Frequency)
    lateness: float = 60.0
    grace: float | None = None
    sma: SmaPeriods | None = SmaPeriods()
    ema: EmaPeriods | None = EmaPeriods()
