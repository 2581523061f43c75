"""What the project wants of itself: for each benchmark the ratio to a peer, in one run on one machine, or a value.

A ratio is ours over the peer's: of a rate, at least so much; of a time or of memory, at most. They were set before the
program was tuned, by what a prototype had shown to be possible, and stand here whether they are met or not.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

__all__ = ["IDLE_TIMES", "SUBSCRIBE_MS", "TOPICS_RATIO", "WANTED", "Wanted", "wanted_of"]

IDLE_TIMES: Final = 2.0
"""An idle connection takes at most so many times a peer's memory; at least such a part of a peer's come a second."""
TOPICS_RATIO: Final = 1.2
"""A message with many topics costs at most so many times what it costs with few."""
SUBSCRIBE_MS: Final = 50.0
"""A subscribe to thousands of symbols is answered within so many milliseconds."""


@attrs.frozen
class Wanted:
    """The bounds of one figure of one contender; `ours` is which of several contenders of ours is compared."""

    benchmark: str
    contender: str
    figure: str
    least: float | None = None
    most: float | None = None
    of: Literal["ratio", "value"] = "ratio"
    ours: str = ""

    def met(self, number: float) -> bool:
        """Whether a ratio, or a value, is within the bounds."""
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        bounds = [f">= {self.least:g}"] if self.least is not None else []
        bounds += [f"<= {self.most:g}"] if self.most is not None else []
        return " ".join([self.ours, " and ".join(bounds)]).strip()


WANTED: Final = (
    Wanted("fanout-100", "websockets", "messages/s", least=30),
    Wanted("fanout-100", "websockets, uvloop", "messages/s", least=30),
    Wanted("fanout-100", "picows, uvloop", "messages/s", least=15),
    Wanted("fanout-100", "node ws", "messages/s", least=20),
    Wanted("fanout-100", "raw limit", "messages/s", least=0.25),
    Wanted("fanout-1000", "picows, uvloop", "messages/s", least=20),
    Wanted("mixed", "picows, uvloop", "messages/s", least=5),
    Wanted("single", "websockets", "ms p50", most=1),
    Wanted("single", "websockets", "ms p99", most=1),
    Wanted("single", "websockets, uvloop", "ms p50", most=1),
    Wanted("single", "websockets, uvloop", "ms p99", most=1),
    Wanted("latency", "picows, uvloop", "ms p99", most=1),
    Wanted("rate", "picows, uvloop", "messages/s", least=10),
    Wanted("client", "trio-websocket", "events/s", least=25, ours="open_feed"),
    Wanted("client", "aiohttp", "events/s", least=1.3, ours="open_feed"),
    Wanted("client", "picows, uvloop", "events/s", least=0.5, ours="open_feed"),
    # Raw: as the peers do, the WebSocket and a dict of each message; and with all that a feed does beside that.
    Wanted("client", "picows, uvloop", "events/s", least=1, ours="the fast lane alone"),
    Wanted("client", "picows, uvloop", "events/s", least=1, ours="open_raw_feed"),
    Wanted("idle", "websockets", "bytes/connection", most=IDLE_TIMES),
    Wanted("idle", "websockets", "connections/s, one by one", least=1 / IDLE_TIMES),
    Wanted("idle", "websockets", "connections/s, 50 at once", least=1 / IDLE_TIMES),
    Wanted("topics", "many_us", "us/message", most=TOPICS_RATIO),
    Wanted("topics", "subscribe_new_ms", "ms", most=SUBSCRIBE_MS, of="value"),
    Wanted("topics", "subscribe_known_ms", "ms", most=SUBSCRIBE_MS, of="value"),
)


def wanted_of(benchmark: str, contender: str, figure: str) -> list[Wanted]:
    """What is wanted there: nothing, or one thing, or one of each of our contenders."""
    return [one for one in WANTED if (one.benchmark, one.contender, one.figure) == (benchmark, contender, figure)]
