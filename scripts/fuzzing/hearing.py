"""What a stranger is told must agree with itself: numbers within a topic, and streams from their start to their end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

from fuzzing.checking import check

__all__ = ["check_told"]

_TOPIC: Final = ("dataset", "assetClass", "type", "frequency", "final", "symbol")
_DATA: Final = frozenset({"quote", "trade", "ohlc", "sma", "ema", "halt", "resume"})


def check_told(messages: Iterable[dict[str, Any]]) -> frozenset[Hashable]:
    """Hold what came to its promises; the kinds of message and of error that were there."""
    kinds: set[Hashable] = set()
    newest: dict[Hashable, int] = {}
    streams: dict[Hashable, int] = {}
    for message in messages:
        kind = message.get("type")
        check(isinstance(kind, str), "each message of ours has a type")
        check(message.get("code") != "INTERNAL", "no request makes the server fail")
        kinds.add((kind, message.get("code"), message.get("reason"), "stream" in message))
        if kind in _DATA and "stream" in message:
            check(message["stream"] in streams and "seq" not in message, "stored data is of a stream that runs")
            streams[message["stream"]] += 1
        elif kind in _DATA and "snapshot" not in message:
            topic = tuple(message.get(name) for name in _TOPIC)
            check(message["seq"] > newest.get(topic, 0), "within a topic, numbers rise")
            newest[topic] = message["seq"]
        elif kind == "stream_start":
            check(message["stream"] not in streams, "a stream that runs does not start")
            streams[message["stream"]] = 0
        elif kind in ("stream_end", "stream_error"):
            count = streams.pop(message["stream"], None)
            check(count is not None and message.get("count", count) == count, "a stream's count is what it has sent")
    return frozenset(kinds)
