"""What a source's dataset has in the end: its own channels, and the bars and indicators that are made of its trades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import attrs

from datafye_trio.aggregates import Aggregation
from datafye_trio.model import Channel, DatasetInfo, Frequency
from datafye_trio.sources.base import Aggregating

__all__ = ["Place", "aggregation_of", "offered", "places_of"]

Place: TypeAlias = tuple[Channel, Frequency | None, bool]
"""Channel, frequency, and whether bars that are still forming are meant."""


def aggregation_of(source: object) -> Aggregation | None:
    """How bars are made of a source's trades, None where they are not."""
    return source.aggregation if isinstance(source, Aggregating) else None


def offered(info: DatasetInfo, aggregation: Aggregation | None) -> DatasetInfo:
    """A dataset with the bars and indicators that are made of its trades."""
    if aggregation is None:
        return info
    derived = {channel for channel in Channel if aggregation.frequencies_of(channel)}
    channels = tuple(channel for channel in Channel if channel in derived or channel in info.channels)
    found = {frequency for channel in derived for frequency in aggregation.frequencies_of(channel)}
    return attrs.evolve(info, channels=channels, frequencies=tuple(one for one in Frequency if one in found))


def places_of(info: DatasetInfo, aggregation: Aggregation | None) -> Iterator[Place]:
    """Where the messages of an offered dataset go out."""
    for channel in info.channels:
        if not channel.has_frequency:
            yield channel, None, False
            continue
        for frequency in info.frequencies if aggregation is None else aggregation.frequencies_of(channel):
            yield channel, frequency, False
            if channel is Channel.AGGREGATES:
                yield channel, frequency, True
