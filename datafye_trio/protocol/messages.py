"""What the server says (protocol.md sections 3, 6 and 7), as classes. Data messages are events in an envelope."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from datafye_trio.model import Bar, Ema, Event, Halt, Quote, Resume, Sma, Trade

__all__ = [
    "Connected", "Data", "DatasetOffer", "ErrorReply", "EVENT_TYPES", "Gap", "Heartbeat", "Message", "MESSAGE_TYPES",
    "PongReply", "StreamEnd", "StreamError", "StreamStart", "Subscribed", "SubscriptionGroup", "SubscriptionList",
    "Unsubscribed",
]  # fmt: skip


@attrs.frozen
class DatasetOffer:
    """One dataset of `connected`."""

    dataset: str
    asset_class: str
    epoch: str
    channels: tuple[str, ...]
    frequencies: tuple[str, ...]


@attrs.frozen
class Connected:
    """The first message. Interval and timeout in seconds; `limits` maps names to numbers."""

    connection_id: str
    protocol: int
    timestamp_unit: str
    heartbeat_interval: float
    heartbeat_timeout: float
    datasets: tuple[DatasetOffer, ...]
    limits: dict[str, int]
    timestamp: int


@attrs.frozen
class Subscribed:
    """What was accepted of a subscribe. `positions`: by channel and symbol the last `seq` before it, 0 if none."""

    dataset: str
    asset_class: str
    channels: tuple[str, ...]
    symbols: tuple[str, ...]
    epoch: str
    total: int
    id: str | int | None = None
    frequency: str | None = None
    running: bool | None = None
    positions: dict[str, dict[str, int]] | None = None
    ignored: tuple[str, ...] | None = None


@attrs.frozen
class Unsubscribed:
    """What an unsubscribe ended; no data of it comes after this message."""

    dataset: str
    asset_class: str
    channels: tuple[str, ...]
    symbols: tuple[str, ...]
    epoch: str
    total: int
    id: str | int | None = None
    frequency: str | None = None
    running: bool | None = None
    ignored: tuple[str, ...] | None = None


@attrs.frozen
class SubscriptionGroup:
    """The subscribed symbols of one channel."""

    dataset: str
    asset_class: str
    channel: str
    symbols: tuple[str, ...]
    frequency: str | None = None
    running: bool | None = None


@attrs.frozen
class SubscriptionList:
    """The answer to `subscriptions`."""

    subscriptions: tuple[SubscriptionGroup, ...]
    id: str | int | None = None
    ignored: tuple[str, ...] | None = None


@attrs.frozen
class Gap:
    """Messages `from_` to `to` (inclusive) of a topic are lost; both absent where that is unknown."""

    dataset: str
    asset_class: str
    channel: str
    symbol: str
    epoch: str
    reason: str
    frequency: str | None = None
    running: bool | None = None
    from_: int | None = None
    to: int | None = None


@attrs.frozen
class Heartbeat:
    """Answer it with a pong. `lag`: data messages that wait here for this connection; `sent`: those written so far."""

    timestamp: int
    lag: int
    sent: int


@attrs.frozen
class PongReply:
    """The answer to `ping`."""

    timestamp: int
    id: str | int | None = None
    ignored: tuple[str, ...] | None = None


@attrs.frozen
class ErrorReply:
    """A refusal. `message` says what to do."""

    code: str
    message: str
    retryable: bool
    id: str | int | None = None
    field: str | None = None
    symbols: tuple[str, ...] | None = None


@attrs.frozen
class StreamStart:
    """Stored data follows (history path)."""

    stream: str | int
    symbols: tuple[str, ...]
    ignored: tuple[str, ...] | None = None


@attrs.frozen
class StreamEnd:
    """A stream has ended after `count` messages: `complete` or `stopped`."""

    stream: str | int
    symbols: tuple[str, ...]
    count: int
    reason: str


@attrs.frozen
class StreamError:
    """A stream has failed."""

    stream: str | int
    symbols: tuple[str, ...]
    code: str
    message: str


@attrs.frozen
class Data:
    """An event in its envelope, as a client reads it. Live data has a `seq`, stored data a `stream`.

    `running` is whether a bar came on the topic of running bars, final ones included. `channel` is that of a halt or
    resume, which come on two; None for all others, whose channel their type tells, and from a server that lacks it.
    """

    event: Event
    dataset: str
    asset_class: str
    seq: int | None = None
    stream: str | int | None = None
    snapshot: bool = False
    conflated: int | None = None
    running: bool = False
    channel: str | None = None


Message: TypeAlias = (
    Connected | Subscribed | Unsubscribed | SubscriptionList | Gap | Heartbeat | PongReply | ErrorReply
    | StreamStart | StreamEnd | StreamError
)  # fmt: skip

MESSAGE_TYPES: Final[dict[str, type[Any]]] = {
    "connected": Connected,
    "subscribed": Subscribed,
    "unsubscribed": Unsubscribed,
    "subscriptions": SubscriptionList,
    "gap": Gap,
    "heartbeat": Heartbeat,
    "pong": PongReply,
    "error": ErrorReply,
    "stream_start": StreamStart,
    "stream_end": StreamEnd,
    "stream_error": StreamError,
}
"""The `type` of each message that is no data."""

EVENT_TYPES: Final[dict[str, type[Any]]] = {
    "quote": Quote,
    "trade": Trade,
    "ohlc": Bar,
    "sma": Sma,
    "ema": Ema,
    "halt": Halt,
    "resume": Resume,
}
"""The `type` of each data message."""
