"""What data exists and how it is addressed: asset classes, channels, frequencies, datasets, topics, positions."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["AssetClass", "Channel", "DatasetInfo", "Frequency", "Position", "TopicKey"]


class AssetClass(StrEnum):
    """The asset classes of Datafye's paths."""

    STOCKS = "stocks"
    CRYPTO = "crypto"


class Channel(StrEnum):
    """The kinds of live data. `aggregates` are bars."""

    QUOTES = "quotes"
    TRADES = "trades"
    AGGREGATES = "aggregates"
    SMA = "sma"
    EMA = "ema"

    @property
    def has_frequency(self) -> bool:
        """Whether a topic of this channel also has a frequency: bars and indicators do, ticks do not."""
        return self not in (Channel.QUOTES, Channel.TRADES)


class Frequency(StrEnum):
    """The span of a bar, in Datafye's spelling."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"


@attrs.frozen
class DatasetInfo:
    """What a dataset offers. `symbols` is None where they are not known beforehand: any well-formed one will do."""

    name: str
    asset_class: AssetClass
    channels: tuple[Channel, ...]
    frequencies: tuple[Frequency, ...] = ()
    symbols: frozenset[str] | None = None


@attrs.frozen(cache_hash=True)  # a key of many dicts, and of six fields
class TopicKey:
    """The address of one sequence of messages (protocol.md section 3)."""

    dataset: str
    asset_class: AssetClass
    channel: Channel
    symbol: str
    frequency: Frequency | None = None
    running: bool = False


@attrs.frozen
class Position:
    """A place in a topic: `seq` counts from 1 without holes within one `epoch`, one life of a dataset's numbering."""

    epoch: str
    seq: int
