"""How bars and indicators are made of trades: the settings, with the defaults of each asset class."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag
from typing import TypeAlias

import attrs

from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Channel, Frequency, Trade

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
    """The closes that the two lines of an SMA average.

    Raises:
        ConfigurationError: not whole numbers, or not 1 <= fast < slow.
    """

    fast: int = 20
    slow: int = 50

    def __attrs_post_init__(self) -> None:
        _check_periods("SMA", self.fast, self.slow)


@attrs.frozen
class EmaPeriods:
    """The periods of the two lines of an EMA and of their signal line (MACD's customary 12, 26, 9).

    Raises:
        ConfigurationError: not whole numbers, not 1 <= fast < slow, or not signal >= 1.
    """

    fast: int = 12
    slow: int = 26
    signal: int = 9

    def __attrs_post_init__(self) -> None:
        _check_periods("EMA", self.fast, self.slow, self.signal)


def _check_periods(indicator: str, fast: int, slow: int, signal: int = 1) -> None:
    for name, periods in (("fast", fast), ("slow", slow), ("signal", signal)):
        if not isinstance(periods, int) or periods < 1:
            raise ConfigurationError(f"the {name} periods of an {indicator} are a whole number from 1, not {periods!r}")
    if fast >= slow:
        raise ConfigurationError(f"the fast periods of an {indicator} are fewer than the slow ones, not {fast}, {slow}")


@attrs.frozen
class Aggregation:
    """What is made of a dataset's trades. Times in seconds.

    Attributes:
        rule: which trades count, and for what.
        frequencies: the bars to publish.
        lateness: a trade so much behind the newest one still corrects its bars; one further behind is counted only.
        grace: on a live feed, how long after its end (by the wall clock) a quiet symbol's bar is closed; None: bars are
            closed by the feed's own clock alone, so that a replay gives the same bars at any speed.
        sma, ema: periods of the indicators; None for no such channel.
        sma_frequencies, ema_frequencies: the bars whose closes they run over, published or not; None: `frequencies`.

    Raises:
        ConfigurationError: a time below 0.
    """

    rule: TradeRule
    frequencies: tuple[Frequency, ...] = tuple(Frequency)
    lateness: float = 60.0
    grace: float | None = None
    sma: SmaPeriods | None = SmaPeriods()
    ema: EmaPeriods | None = EmaPeriods()
    sma_frequencies: tuple[Frequency, ...] | None = None
    ema_frequencies: tuple[Frequency, ...] | None = None

    def __attrs_post_init__(self) -> None:
        for name, seconds in (("lateness", self.lateness), ("grace", self.grace)):
            if seconds is not None and not seconds >= 0:
                raise ConfigurationError(f"the {name} of bars is 0 seconds or more, not {seconds}")

    def frequencies_of(self, channel: Channel) -> tuple[Frequency, ...]:
        """The frequencies that a channel offers, in the order of `Frequency`; none where there is no such channel."""
        wanted: tuple[Frequency, ...] | None = ()
        if channel is Channel.AGGREGATES:
            wanted = self.frequencies
        elif channel is Channel.SMA and self.sma is not None:
            wanted = self.sma_frequencies
        elif channel is Channel.EMA and self.ema is not None:
            wanted = self.ema_frequencies
        found = self.frequencies if wanted is None else wanted
        return tuple(frequency for frequency in Frequency if frequency in found)

    def all_frequencies(self) -> tuple[Frequency, ...]:
        """The frequencies of all channels: the bars that must be made."""
        found = {frequency for channel in Channel for frequency in self.frequencies_of(channel)}
        return tuple(frequency for frequency in Frequency if frequency in found)
