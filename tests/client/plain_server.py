"""A server that offers only what Datafye documents: one path for each kind of data, one request a connection.

It has none of this project's extensions: no `connected` with a body, no `id`, `seq`, `dataset` or `frequency` in a
frame, no heartbeat, no resume, no path for several channels. Data frames have the field names of Datafye's REST records
and a `type`, and nothing else. Whatever a client asks beyond the requests of Datafye's samples is noted in `faults`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from datafye_trio.model import Bar, Event
from datafye_trio.protocol import Codec, parse_time
from datafye_trio.wire import MemoryStream, memory_transport

BASE = "/datafye-ws/v1/stocks"
HISTORY = f"{BASE}/history"
KINDS = {
    f"{BASE}/live/quotes": "quote",
    f"{BASE}/live/ticks": "trade",
    f"{BASE}/live/aggs": "ohlc",
    f"{BASE}/live/sma": "sma",
    f"{BASE}/live/ema": "ema",
}
_LINES = ("timestamp", "price", "slowLine", "fastLine", "macd")
FIELDS = {
    "quote": (
        "symbol", "exchangeTimestamp", "bidExchangeID", "bidPrice", "bidSize", "askExchangeID", "askPrice", "askSize",
        "exchangeID", "listingExchange",
    ),
    "trade": (
        "symbol", "exchangeID", "listingExchange", "exchangeTimestamp", "trfID", "trfTimestamp", "tradeID",
        "tradePrice", "tradeSize",
    ),
    "ohlc": ("symbol", "datetime", "open", "high", "low", "close", "volume"),
    "sma": (*_LINES, "crossover"),
    "ema": (
        *_LINES, "signalLine", "zeroCrossover", "signalCrossover", "zeroLineCrossover", "lastZeroLineCrossover",
    ),
}  # fmt: skip
"""What a record of each kind consists of. An indicator's record does not name its symbol: see `PlainConfig`."""


@attrs.frozen
class PlainConfig:
    """What Datafye's sources leave open.

    Attributes:
        connected: a frame of this type, without a body, greets a client.
        subscribed: a frame of this type, without a body, answers a request.
        refusals: symbols that are refused, and in which words: a request for one is answered with a `status` that is
            no null, as Datafye's other clients get it, and nothing more comes.
        indicator_symbols: frames of indicators name their symbol, beyond what a REST record holds: without it nobody
            could subscribe to two on one connection.
    """

    connected: bool = False
    subscribed: bool = False
    refusals: Mapping[str, str] = attrs.Factory(dict)
    indicator_symbols: bool = True


@attrs.define(eq=False)
class Peer:
    """One connection that was accepted. `request` is its one request, empty until it has come."""

    path: str
    websocket: WebSocketConnection
    request: dict[str, Any] = attrs.Factory(dict)

    def wants(self, kind: str, event: Event, dataset: str) -> bool:
        frequency = getattr(event, "frequency", None)
        return (
            KINDS.get(self.path) == kind
            and self.request.get("dataset") == dataset
            and event.symbol in self.request.get("symbols", ())
            and self.request.get("frequency") == frequency
        )


class _Mutable(trio.abc.Stream):
    """A stream whose owner may fall silent: what it sends is then dropped, the answers to pings included."""

    def __init__(self, inner: trio.abc.Stream, server: PlainServer) -> None:
        self._inner = inner
        self._server = server

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._server.muted:
            await trio.lowlevel.checkpoint()
        else:
            await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


class PlainServer:
    """The server; made by `open_plain_server`.

    Attributes:
        muted: connections stay open, but nothing more is sent, no pong either.
        peers: who is connected.
        requests: path and request of each connection, in order, whether it is still open or not.
        refused: the paths that were answered with 404.
        faults: what a client did that Datafye's samples do not do.
        history: stored bars, for the history path.
    """

    def __init__(self, nursery: trio.Nursery, config: PlainConfig) -> None:
        self.muted = False
        self.peers: list[Peer] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        self.faults: list[str] = []
        self.history: list[Bar] = []
        self._nursery = nursery
        self._config = config
        self._codec = Codec()

    def connect(self) -> MemoryStream:
        """The client's end of a connection in memory."""
        client, ours = memory_transport()
        self._nursery.start_soon(self._serve, ours)
        return client

    async def listen(self) -> int:
        """Listen on a free port of 127.0.0.1, and return it."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self._nursery.start_soon(trio.serve_listeners, self._serve, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    async def publish(self, *events: Event, dataset: str = "SIP") -> None:
        """Send events to whom they interest. Snapshots there are none, nor anything for those who come later."""
        for event in events:
            frame = self.frame(event)
            for peer in [peer for peer in self.peers if peer.wants(frame["type"], event, dataset)]:
                await self._send(peer, frame)

    def frame(self, event: Event) -> dict[str, Any]:
        """A data frame, as a REST record would put it."""
        fields = msgspec.to_builtins(self._codec.data(event, "", "", 0))
        kind = fields["type"]
        symbol = {"symbol": event.symbol} if kind in ("sma", "ema") and self._config.indicator_symbols else {}
        return {"type": kind, **symbol, **{name: fields[name] for name in FIELDS[kind] if name in fields}}

    async def tell(self, **fields: Any) -> None:
        """Send one frame to all, a `halt` say."""
        for peer in self.peers.copy():
            await self._send(peer, fields)

    async def close_all(self, code: int = 1001, reason: str = "") -> None:
        """Close every connection in good order."""
        for peer in self.peers.copy():
            # trio-websocket never wakes who closes where its reader is cancelled first: the peer's task may end before.
            with trio.move_on_after(2):
                await peer.websocket.aclose(code, reason)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, _Mutable(stream, self))
                await self._answer(request)
                nursery.cancel_scope.cancel()
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone, however it did
        finally:
            await trio.aclose_forcefully(stream)  # noqa: ASYNC102 -- does not wait

    async def _answer(self, request: WebSocketRequest) -> None:
        path = request.path
        if path not in (*KINDS, HISTORY):
            self.refused.append(path)
            await request.reject(404)
            return
        peer = Peer(path, await request.accept())
        self.peers.append(peer)
        try:
            if self._config.connected:
                await self._send(peer, {"type": "connected"})
            while True:
                await self._take(peer, await peer.websocket.get_message())
        finally:
            self.peers.remove(peer)

    async def _take(self, peer: Peer, message: str | bytes) -> None:
        request = json.loads(message)
        if peer.request:
            self.faults.append(f"a second request on {peer.path}: {request}")
            return
        self.requests.append((peer.path, request))
        self.faults += _complaints(peer.path, request)
        symbols = request["symbols"] if peer.path != HISTORY else [request["symbol"]]
        refused = [self._config.refusals[symbol] for symbol in symbols if symbol in self._config.refusals]
        if refused:
            await self._send(peer, {"type": "subscribed", "status": refused[0]})
        elif peer.path == HISTORY:
            await self._play(peer, request)
        else:
            peer.request = request
            if self._config.subscribed:
                await self._send(peer, {"type": "subscribed"})

    async def _play(self, peer: Peer, request: dict[str, Any]) -> None:
        peer.request = request
        begin, end = parse_time(request["from"]), parse_time(request["to"])
        for bar in self.history:
            wanted = bar.symbol == request["symbol"] and bar.frequency == request["frequency"]
            if wanted and begin <= bar.start < end:
                await self._send(peer, self.frame(bar))
        await self._send(peer, {"type": "stream_end"})

    async def _send(self, peer: Peer, fields: dict[str, Any]) -> None:
        await peer.websocket.send_message(json.dumps(fields))


def _complaints(path: str, request: dict[str, Any]) -> Iterable[str]:
    """What is not as in Datafye's samples."""
    kind = KINDS.get(path)
    if kind is None:
        names = {"action", "dataset", "symbol", "frequency", "from", "to"}
    else:
        names = {"action", "dataset", "symbols"} | ({"frequency"} if kind in ("ohlc", "sma", "ema") else set())
    if request.keys() != names:
        yield f"fields {sorted(request)} on {path}, not {sorted(names)}"
    if request.get("action") != ("subscribe" if kind else "start"):
        yield f"action {request.get('action')!r} on {path}"
    symbols = request.get("symbols", [])
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        yield f"symbols {symbols!r} on {path}"


@asynccontextmanager
async def open_plain_server(config: PlainConfig | None = None) -> AsyncIterator[PlainServer]:
    """Run the server while the body runs; at the end its connections are cut."""
    async with trio.open_nursery() as nursery:
        yield PlainServer(nursery, config or PlainConfig())
        nursery.cancel_scope.cancel()
