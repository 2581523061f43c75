"""Datafye's dialect over a real server, frame by frame; and what Datafye documents, once more by hand from the facts.

Nothing here is taken from the dialect's own tables: two hands that write the same table rarely slip in the same place.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Self

import msgspec
import trio
from support import START_NS, RawClient, masked

from datafye_trio import Server
from datafye_trio.model import Bar, Ema, Event, Line, Sma
from datafye_trio.protocol import Codec
from datafye_trio.testing.dialect import Answer, Dialect

BASE = "/datafye-ws/v1/stocks"
LIVE_PATHS = {"quote": "live/quotes", "trade": "live/ticks", "ohlc": "live/aggs", "sma": "live/sma", "ema": "live/ema"}
HISTORY = f"{BASE}/history"
TICKS = '{"action":"subscribe","dataset":"SIP","symbols":["AAPL"]}'
BARS = '{"action":"subscribe","dataset":"SIP","symbols":["AAPL"],"frequency":"Minute"}'
STORED = (
    '{"action":"start","dataset":"SIP","symbol":"AAPL","frequency":"Minute",'
    '"from":"2025-01-02T09:30:00","to":"2025-01-02T16:00:00"}'
)
SAMPLES = {
    f"{BASE}/live/quotes": TICKS,
    f"{BASE}/live/ticks": TICKS,
    f"{BASE}/live/aggs": BARS,
    f"{BASE}/live/sma": BARS,
    f"{BASE}/live/ema": BARS,
    HISTORY: STORED,
}
"""What each of Datafye's samples sends, to the byte."""
FACTS = {
    # "Records (REST bodies ...)" of the facts, cell by cell.
    "quote stocks": "symbol exchangeTimestamp bidExchangeID bidPrice bidSize askExchangeID askPrice askSize "
    "listingExchange",
    "trade stocks": "symbol exchangeID listingExchange exchangeTimestamp trfID trfTimestamp tradeID tradePrice "
    "tradeSize",
    "ohlc stocks": "symbol datetime open high low close volume",
    "sma stocks": "timestamp price slowLine fastLine macd crossover symbol",
    "ema stocks": "timestamp price slowLine fastLine macd signalLine zeroCrossover signalCrossover zeroLineCrossover "
    "lastZeroLineCrossover symbol",
    "quote crypto": "symbol exchangeTimestamp exchangeID bidPrice bidSize askPrice askSize",
    "trade crypto": "symbol exchangeID exchangeTimestamp tradeID tradePrice tradeSize",
    "ohlc crypto": "symbol datetime open high low close volume",
    # Control frames: there are such types; a halt is "of a subscribed stock".
    "halt stocks": "symbol",
    "resume stocks": "symbol",
    "connected": "",
    "subscribed": "",
    "unsubscribed": "",
    "heartbeat": "",
    "stream_end": "",
    "error": "message",
}
LINE_FIELDS = {"periods", "count", "ma"}


CODEC = Codec()
LINE = Line(9, 3, 10.5)
BAR = Bar("AAPL", "Minute", START_NS, 1.5, 2, 1, 2, 100, 3, 1.5)
SMA = Sma("AAPL", "Minute", START_NS, 10.5, LINE, LINE, 0.0, "NONE")
EMA = Ema("AAPL", "Minute", START_NS, 10.5, LINE, LINE, 0.0, "NONE", LINE, "A", "B", "C", "D")


def live(event: Event, asset_class: str = "stocks", **more: Any) -> bytes:
    """What the server sends of an event."""
    return CODEC.write(msgspec.to_builtins(CODEC.data(event, "SIP", asset_class, 7)) | more, "json")


def documented(kind: str, asset_class: str = "stocks") -> set[str]:
    """The fields that a frame may have."""
    fields = FACTS[kind] if kind in FACTS else FACTS[f"{kind} {'stocks' if kind in ('sma', 'ema') else asset_class}"]
    return {"type", *fields.split()}


def check(frame: dict[str, Any], asset_class: str = "stocks") -> None:
    """Fail if a frame has anything that is not documented."""
    assert frame.keys() <= documented(frame["type"], asset_class), frame
    for value in frame.values():
        assert not isinstance(value, list), frame
        assert not isinstance(value, dict) or value.keys() == LINE_FIELDS, frame


class Speaker(RawClient):
    """A client on one path of a server, with the dialect between them. `asset_class` is that of what it asks for."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.asset_class = "stocks"
        self.seen: list[dict[str, Any]] = []
        """All that came, as a client would see it."""
        self._dialect = Dialect(HISTORY)
        self._answers: deque[bytes] = deque()

    @classmethod
    async def speak(cls, server: Server, path: str) -> Self:
        """Connect; the greeting is read."""
        assert Dialect.check_path(path) is None
        client = await cls.connect(server, path)
        client._dialect = Dialect(path)
        assert await client.message() == {"type": "connected"}
        return client

    async def send_text(self, text: str) -> None:
        """Send a text frame, as far as the dialect lets it pass."""
        passed = self._dialect.from_client(text.encode())
        if isinstance(passed, Answer):
            self._answers.append(passed.payload)
        else:
            await self.stream.send_all(masked(1, passed))

    async def message(self) -> dict[str, Any]:
        """The next message that the dialect lets pass; fails on a field that is not documented."""
        passed = self._answers.popleft() if self._answers else None
        while passed is None:
            opcode, payload = await self.frame()
            assert opcode == 1, f"frame {opcode} {payload!r}"
            passed = self._dialect.from_server(payload)
        frame: dict[str, Any] = json.loads(passed)
        check(frame, self.asset_class)
        self.seen.append(frame)
        return frame
