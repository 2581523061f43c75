"""What was received of each topic, and so what is missing: sequence numbers, kept over reconnections. No I/O.

Rules: within one epoch a topic's `seq` counts from 1 without holes (protocol.md section 3). A number that is skipped,
a `gap` that the server admits, and what `subscribed.positions` shows after a reconnection are holes; each is returned
once, by the call that finds it.
"""

from __future__ import annotations

from typing import Final

import attrs

from datafye_trio.model import Bar, Channel, Ema, Event, Quote, Sma, Trade
from datafye_trio.protocol import Data, Gap, Subscribed

__all__ = ["Hole", "Ledger"]

_CHANNELS: Final = {
    Quote: Channel.QUOTES,
    Trade: Channel.TRADES,
    Bar: Channel.AGGREGATES,
    Sma: Channel.SMA,
    Ema: Channel.EMA,
}
_TICKS: Final = (Channel.QUOTES, Channel.TRADES)


@attrs.frozen
class Hole:
    """Messages of a topic that never came: `first` to `last`, inclusive; None where nobody knows how many."""

    channel: str
    symbol: str
    why: str
    first: int | None = None
    last: int | None = None

    @property
    def size(self) -> int:
        """How many messages are known to be missing."""
        return self.last - self.first + 1 if self.first is not None and self.last is not None else 0

    def __str__(self) -> str:
        lost = f"{self.first} to {self.last}" if self.size else "some messages"
        return f"gap on {self.channel} of {self.symbol}: {lost} lost ({self.why})"


@attrs.define
class _Stream:
    """A channel at one frequency: the epoch of its subscription, and whether the server told positions with it."""

    epoch: str
    numbered: bool


@attrs.define
class _Topic:
    """`last` is the newest `seq` seen or accounted for; None where the first message is to set it."""

    epoch: str
    last: int | None


class Ledger:
    """The topics of one dataset, by channel, frequency and symbol."""

    def __init__(self) -> None:
        self._topics: dict[tuple[str, str | None, str], _Topic] = {}
        self._streams: dict[tuple[str, str | None], _Stream] = {}
        self._halts: dict[str, tuple[Event, Channel]] = {}

    def subscribed(self, message: Subscribed) -> list[Hole]:
        """Begin, or go on after a reconnection; the holes are what was missed in between."""
        holes = []
        for name in message.channels:
            frequency = None if name in _TICKS else message.frequency
            before = self._streams.get((name, frequency))
            positions = (message.positions or {}).get(name)
            self._streams[name, frequency] = _Stream(message.epoch, positions is not None)
            if before is not None and message.epoch != before.epoch:
                holes.append(Hole(name, "*", "epoch_changed"))
                self._restart(name, frequency, _Topic(message.epoch, None if positions is None else 0))
            for symbol, position in (positions or {}).items():
                # A symbol that appeared while we were away has been there from its first message on.
                fresh = _Topic(message.epoch, position if before is None else 0)
                topic = self._topics.setdefault((name, frequency, symbol), fresh)
                if topic.last is not None and position != topic.last:
                    holes.append(_between(name, symbol, topic.last, position))
                topic.last = position
        return holes

    def gap(self, message: Gap) -> list[Hole]:
        """Account for what the server says is lost."""
        key = message.channel, message.frequency, message.symbol
        topic = self._topics.setdefault(key, _Topic(message.epoch, None))
        if message.from_ is None or message.to is None:
            if (stream := self._streams.get((message.channel, message.frequency))) is not None:
                stream.epoch = message.epoch  # of symbols yet to appear, too
            topic.last = 0 if message.epoch != topic.epoch else None
            topic.epoch = message.epoch
            return [Hole(message.channel, message.symbol, message.reason)]
        holes = [Hole(message.channel, message.symbol, message.reason, message.from_, message.to)]
        if topic.last is not None and message.from_ > topic.last + 1:
            holes.insert(0, Hole(message.channel, message.symbol, "unexplained", topic.last + 1, message.from_ - 1))
        topic.epoch, topic.last = message.epoch, message.to
        return holes

    def place(self, data: Data) -> tuple[Channel, str, Hole | None]:
        """The channel and the epoch of a data message, and the hole right before it."""
        event, seq = data.event, data.seq
        frequency = event.frequency if isinstance(event, Bar | Sma | Ema) else None
        channel = _CHANNELS.get(type(event)) or self._halted(event, seq)
        key = channel, frequency, event.symbol
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = self._appear(channel, frequency)
        last, hole = topic.last, None
        if seq is not None:
            if last is not None and seq > last + 1:
                hole = Hole(channel, event.symbol, "unexplained", last + 1, seq - 1)
            elif last is not None and seq <= last:
                hole = Hole(channel, event.symbol, f"seq went back from {last} to {seq}")
            topic.last = seq
        return channel, topic.epoch, hole

    def _appear(self, channel: str, frequency: str | None) -> _Topic:
        stream = self._streams.get((channel, frequency))
        if stream is None:
            return _Topic("", None)  # never asked for
        return _Topic(stream.epoch, 0 if stream.numbered else None)

    def _halted(self, event: Event, seq: int | None) -> Channel:
        """The channel of a halt or its end, which come on quotes and trades alike: where this `seq` is the next.

        The message does not name its channel. Where both wait for this `seq`, it is the one that has not just had the
        same halt. This is exact as long as the server keeps the order of publishing over the topics of a connection.
        """
        symbol = event.symbol
        ticks = [channel for channel in _TICKS if (channel, None) in self._streams] or list(_TICKS)
        found = [channel for channel in ticks if seq == self._last(channel, symbol) + 1]
        # After a hole that nobody has told of: the channel that has seen less of the symbol.
        found = found or sorted(ticks, key=lambda channel: self._last(channel, symbol))
        twin = len(found) > 1 and self._halts.get(symbol) == (event, found[0])
        channel = found[1] if twin else found[0]
        self._halts[symbol] = event, channel
        return channel

    def _last(self, channel: Channel, symbol: str) -> int:
        topic = self._topics.get((channel, None, symbol))
        return 0 if topic is None or topic.last is None else topic.last

    def _restart(self, name: str, frequency: str | None, state: _Topic) -> None:
        for (channel, of, _), topic in self._topics.items():
            if (channel, of) == (name, frequency):
                topic.epoch, topic.last = state.epoch, state.last


def _between(channel: str, symbol: str, last: int, position: int) -> Hole:
    if position > last:
        return Hole(channel, symbol, "disconnected", last + 1, position)
    return Hole(channel, symbol, f"seq went back from {last} to {position}")
