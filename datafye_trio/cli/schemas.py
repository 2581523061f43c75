"""Schemas of bars and indicators in Datafye's spelling (`ohlc-1m`, `ema-1d`), for descriptors and for settings."""

from __future__ import annotations

from typing import Final

from datafye_trio.model import Channel, Frequency

__all__ = ["KINDS", "SCHEMAS", "SPANS", "schema_of"]

KINDS: Final = {"ohlc": Channel.AGGREGATES, "sma": Channel.SMA, "ema": Channel.EMA}
"""What a schema is of."""

SPANS: Final = {f"1{frequency.value[0].lower()}": frequency for frequency in Frequency}
"""The spans: 1s, 1m, 1h, 1d."""

SCHEMAS: Final = {f"{kind}-{span}": (KINDS[kind], SPANS[span]) for kind in KINDS for span in SPANS}
"""Every schema that there is."""

_SPELLINGS: Final = {meant: spelling for spelling, meant in SCHEMAS.items()}


def schema_of(channel: Channel, frequency: Frequency) -> str:
    """The spelling of a channel that has frequencies, at one of them."""
    return _SPELLINGS[channel, frequency]
