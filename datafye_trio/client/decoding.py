"""The hot path of a client: payloads to events, each to the subscriptions that want it, if it is the very next one.

Whatever is not a data message with the `seq` that its topic expects is the book's to judge. Both loops do the same, one
for events and one for plain dicts; they are written out, since a call for each message would cost a tenth of the speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from datafye_trio.client.topic import Topic
from datafye_trio.model import AssetClass, Bar, Channel, Ema, Event, Quote, Sma, TopicKey, Trade
from datafye_trio.protocol import TimestampUnit
from datafye_trio.protocol.data_decoder import RECORDS, UNDECODABLE, DataDecoder, decode_record
from datafye_trio.protocol.messages import EVENT_TYPES, Data

__all__ = ["Intake", "Payload", "RawIntake", "Route", "TypedIntake"]

Payload: TypeAlias = bytes | str
Route: TypeAlias = tuple[Any, ...]
"""What a message says of its topic: kind, symbol, dataset; of bars and indicators also frequency and running."""

_KINDS: Final = {
    Channel.QUOTES: Quote,
    Channel.TRADES: Trade,
    Channel.AGGREGATES: Bar,
    Channel.SMA: Sma,
    Channel.EMA: Ema,
}
_TYPES: Final = {cls: name for name, cls in EVENT_TYPES.items()}
_TICKS: Final = frozenset({RECORDS[Quote], RECORDS[Trade]})
_TICK_TYPES: Final = frozenset({_TYPES[Quote], _TYPES[Trade]})


def _nothing(_: object, __: object) -> None:
    pass


class Intake(Protocol):
    """Takes what comes from one connection after another."""

    routes: dict[Route, Topic]
    saw: Callable[[Event, AssetClass], None]
    """Is told of new events, and of their asset class; of the ticks of one read, of the latest one only."""

    def begin(self, unit: TimestampUnit) -> None:
        """A connection has begun; its times are in `unit`."""

    def route(self, topic: TopicKey) -> Route:
        """How the messages of a topic are known."""

    def take(
        self,
        payloads: Sequence[Payload],
        on_data: Callable[[Data, Any], None],
        on_other: Callable[[Payload], None],
    ) -> None:
        """Hand out what is the next of its topic; the rest goes to the two functions, in order.

        `on_data` gets a data message that is not the next one, and the item that a subscription would get; `on_other`
        gets what is no data message, or none that can be understood.
        """


class TypedIntake:
    """Events, as attrs classes."""

    def __init__(self, saw: Callable[[Event, AssetClass], None] = _nothing) -> None:
        self.saw = saw
        self.routes: dict[Route, Topic] = {}
        self._decoder = DataDecoder()
        self._makers = self._decoder.makers()

    def begin(self, unit: TimestampUnit) -> None:
        """See `Intake`."""
        self._decoder = DataDecoder(unit)
        self._makers = self._decoder.makers()

    def route(self, topic: TopicKey) -> Route:
        """See `Intake`."""
        kind = RECORDS[_KINDS[topic.channel]]
        if topic.channel.has_frequency:
            return kind, topic.symbol, topic.dataset, str(topic.frequency), topic.running
        return kind, topic.symbol, topic.dataset

    def take(
        self,
        payloads: Sequence[Payload],
        on_data: Callable[[Data, Any], None],
        on_other: Callable[[Payload], None],
    ) -> None:
        """See `Intake`."""
        decode, makers, find = decode_record, self._makers, self.routes.get
        newest, reached, source = None, -1, None
        for payload in payloads:
            try:
                found = decode(payload)
            except UNDECODABLE:
                on_other(payload)
                continue
            kind = found.__class__
            ticks = kind in _TICKS
            topic = find((kind, found.symbol, found.envelope_dataset)) if ticks else find(_route_of(found))
            if topic is not None and found.envelope_seq == topic.fast:
                event = makers[kind](found)
                if event is not None:
                    if topic.take(event):
                        topic.fast += 1
                        topic.latest = event
                    else:
                        topic.overflow()
                    if not ticks:
                        self.saw(event, topic.key.asset_class)
                    elif event.exchange_timestamp > reached:  # type: ignore[union-attr]  # as ticks have it
                        newest, source = event, topic
                        reached = event.exchange_timestamp  # type: ignore[union-attr]  # likewise
                    continue
            data = self._decoder.data(found)
            if data is None:
                on_other(payload)
            else:
                on_data(data, data.event)
        # Not the last one of any kind: a bar comes after the trade that has ended it, and was known before that.
        if newest is not None and source is not None:
            self.saw(newest, source.key.asset_class)


def _route_of(found: Any) -> Route:
    """Of halts, a route that no topic has: they are sent on two channels."""
    frequency = getattr(found, "frequency", None)
    return found.__class__, found.symbol, found.envelope_dataset, frequency, found.envelope_running is True


class RawIntake:
    """Plain dicts, as the server wrote them: its field names, its unit of time."""

    def __init__(self) -> None:
        self.saw: Callable[[Event, AssetClass], None] = _nothing
        self.routes: dict[Route, Topic] = {}
        self._decoder = DataDecoder()
        self._decode = msgspec.json.Decoder().decode

    def begin(self, unit: TimestampUnit) -> None:
        """See `Intake`."""
        self._decoder = DataDecoder(unit)

    def route(self, topic: TopicKey) -> Route:
        """See `Intake`."""
        kind = _TYPES[_KINDS[topic.channel]]
        if topic.channel.has_frequency:
            return kind, topic.symbol, topic.dataset, str(topic.frequency), topic.running
        return kind, topic.symbol, topic.dataset

    def take(
        self,
        payloads: Sequence[Payload],
        on_data: Callable[[Data, Any], None],
        on_other: Callable[[Payload], None],
    ) -> None:
        """See `Intake`."""
        decode, find = self._decode, self.routes.get
        for payload in payloads:
            try:
                fields = decode(payload)
                kind, seq = fields["type"], fields.get("seq")
                if kind in _TICK_TYPES:
                    topic = find((kind, fields["symbol"], fields["dataset"]))
                else:
                    running = fields.get("running") is True
                    topic = find((kind, fields["symbol"], fields["dataset"], fields.get("frequency"), running))
            # TypeError: no object, or something in the place of a text that cannot be looked up.
            except (KeyError, TypeError, ValueError, AttributeError, msgspec.DecodeError, RecursionError):
                topic, fields = None, None
            if topic is not None and seq == topic.fast and seq and seq.__class__ is int:  # 0: none may
                if topic.take(fields):
                    topic.fast += 1
                    topic.latest = fields
                else:
                    topic.overflow()
                continue
            data = self._decoder.decode(payload)
            if data is None:
                on_other(payload)
            else:
                on_data(data, fields)
