"""What `bench` must know of each message, as cheaply as can be: which topic, its `seq`, its stamp. No I/O.

All clients of a run want the same and get the same bytes, so each message is decoded once, and the clients that get it
after the first only look it up: 0.3 µs each, with all that is checked, instead of 1.0. Rejected: decoding all of
one read as one list, which costs as much as one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

import msgspec

from datafye_trio.model import Channel

__all__ = ["Sighting", "Topics"]

Sighting: TypeAlias = tuple[int, int, int]
"""The number of a topic (from 1), a `seq`, and a stamp in the server's unit, 0 where the message has none."""

_REMEMBERED: Final = 4_096
"""Messages: several reads of 64 KiB, so that clients find what their neighbours decoded; 2 MB at the usual size."""
_LONGEST: Final = 1_024
"""Bytes of a message that is remembered."""
_MOST: Final = 1_000_000
"""Topics: every client has a number for each, and a server may invent some without an end."""
_CHANNELS: Final = {
    "quote": str(Channel.QUOTES),
    "trade": str(Channel.TRADES),
    "ohlc": str(Channel.AGGREGATES),
    "sma": str(Channel.SMA),
    "ema": str(Channel.EMA),
}
"""Plain texts: an enum's hash is a call of Python's own, and would cost as much as all the rest."""
_HALTS: Final = frozenset({"halt", "resume"})
_TICKS: Final = frozenset({"quote", "trade"})
_WITH_FREQUENCY: Final = frozenset({str(channel) for channel in Channel if channel.has_frequency})


class _Light(msgspec.Struct, rename="camel", gc=False):
    """What is looked at of a data message."""

    type: str
    dataset: str
    symbol: str
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    exchange_timestamp: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    channel: str | None = None
    frequency: str | None = None
    running: bool | None = None
    snapshot: bool | None = None


class Topics:
    """The topics of a run, numbered as they appear; one for all clients.

    Attributes:
        find: what is known of a message, at once: the fast half of `look`.
    """

    def __init__(self, *, shared: bool) -> None:
        self._known: dict[bytes | str, Sighting] = {}
        self._shared = shared
        self._numbers: dict[tuple[object, ...], int] = {}
        self._ticks: dict[tuple[str, str, str], int] = {}
        self._decode = msgspec.json.Decoder(_Light).decode
        # A single client has no neighbour: to remember for nobody would cost as much as to decode.
        self.find: Callable[[bytes | str], Sighting | None] = self._known.get if shared else self._read

    def number(
        self, channel: str, dataset: str, symbol: str, frequency: str | None = None, running: bool | None = None
    ) -> int:
        """The number of a topic, from 1; 0 where there are more than anybody can have."""
        # Ticks have none, whatever is said of a request for several channels.
        slow = channel in _WITH_FREQUENCY
        key = (channel, dataset, symbol, frequency or "", running is True) if slow else (channel, dataset, symbol)
        found = self._numbers.get(key, 0)
        if not found and len(self._numbers) < _MOST:
            found = self._numbers[key] = len(self._numbers) + 1
        return found

    def look(self, payload: bytes | str) -> Sighting | None:
        """What a message is, if it is live data; None for all else, and for what is wrong in any way."""
        if (found := self._known.get(payload)) is not None:
            return found
        found = self._read(payload)
        if found is not None and self._shared and len(payload) <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[payload] = found
        return found

    def _read(self, payload: bytes | str) -> Sighting | None:
        try:
            light = self._decode(payload)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if light.snapshot:
            return None
        key = light.type, light.symbol, light.dataset
        number = self._ticks.get(key)
        if number is None:
            channel = light.channel if light.type in _HALTS else _CHANNELS.get(light.type)
            if channel is None:
                return None
            number = self.number(channel, light.dataset, light.symbol, light.frequency, light.running)
            if not number:
                return None
            if light.type in _TICKS:
                self._ticks[key] = number
        return number, light.seq, light.exchange_timestamp
