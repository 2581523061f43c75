"""A server that does what a test says, frame by frame, over memory streams."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Self

import attrs
import trio

from datafye_trio import FeedConfig, Reconnect
from datafye_trio.wire import Opcode, close_frame, frame, memory_transport

URL = "ws://test"
QUICK = Reconnect(first=0.001, ceiling=0.001)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@attrs.define(eq=False)
class Peer:
    """One client, as the server sees it."""

    stream: trio.abc.Stream
    path: str = ""
    buffer: bytes = b""
    opened: float = 0.0
    pings: int = 0
    writing: trio.Lock = attrs.Factory(trio.Lock)

    @classmethod
    async def accept(cls, stream: trio.abc.Stream, answer: bytes | None = None) -> Self:
        """Read the request, and answer 101 unless told otherwise."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (data := await stream.receive_some(65_536)):
                raise trio.BrokenResourceError("the client has left")
            head += data
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        key = next(value for name, value in lines.items() if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        await stream.send_all(answer or upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        return cls(stream, head.split(b" ")[1].decode(), opened=trio.current_time())

    async def send(self, **fields: Any) -> None:
        """Send a message."""
        await self.send_bytes(frame(Opcode.TEXT, json.dumps(fields).encode()))

    async def send_bytes(self, data: bytes) -> None:
        """Send what may be no frame at all."""
        async with self.writing:
            await self.stream.send_all(data)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the client, unmasked; (-1, b"") at the end."""
        while True:
            if len(self.buffer) >= 6:
                size, start = self.buffer[1] & 0x7F, 2
                if size == 126:
                    (size,), start = struct.unpack_from("!H", self.buffer, 2), 4
                if len(self.buffer) >= start + 4 + size:
                    mask, payload = self.buffer[start : start + 4], self.buffer[start + 4 : start + 4 + size]
                    opcode, self.buffer = self.buffer[0] & 0x0F, self.buffer[start + 4 + size :]
                    return opcode, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
            try:
                data = await self.stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                return -1, b""
            self.buffer += data

    async def request(self) -> dict[str, Any]:
        """The next message of the client; pings are counted, and answered by nobody."""
        while True:
            opcode, payload = await self.frame()
            if opcode == Opcode.PING:
                self.pings += 1
                continue
            assert opcode == Opcode.TEXT, (opcode, payload)
            found: dict[str, Any] = json.loads(payload)
            return found

    async def ended(self) -> bool:
        """Wait until the client closes or is gone."""
        while True:
            opcode, _ = await self.frame()
            if opcode in (-1, Opcode.CLOSE):
                return True

    async def greet(self, heartbeat: float = 10.0, **more: Any) -> None:
        """The first message."""
        offer = {"dataset": "Program", "assetClass": "stocks", "epoch": "e1", "channels": ["trades"], "frequencies": []}
        fields = {
            "type": "connected", "connectionId": "c1", "protocol": 1, "timestampUnit": "ns",
            "heartbeatInterval": heartbeat, "heartbeatTimeout": 3 * heartbeat, "datasets": [offer],
            "limits": {"requestBytes": 131_072}, "timestamp": 1,
        }  # fmt: skip
        await self.send(**fields | more)

    async def accept_subscribe(self, epoch: str = "e1", **positions: int) -> dict[str, Any]:
        """Wait for a subscribe request, and accept all of it."""
        request = await self.request()
        assert request["action"] == "subscribe", request
        (channel,) = request["channels"]
        answer = {
            "type": "subscribed", "dataset": "Program", "assetClass": "stocks", "channels": [channel],
            "symbols": request["symbols"], "epoch": epoch, "total": 1, "id": request["id"],
        }  # fmt: skip
        if "resume" not in request:
            answer["positions"] = {channel: {symbol: positions.get(symbol, 0) for symbol in request["symbols"]}}
        await self.send(**answer)
        return request

    async def trade(self, seq: int, symbol: str = "AAPL", **more: Any) -> None:
        """Send a trade whose id is its seq."""
        await self.send(
            type="trade", dataset="Program", assetClass="stocks", seq=seq, symbol=symbol, exchangeTimestamp=seq,
            exchangeID="XNAS", tradeID=str(seq), tradePrice=1.5, tradeSize=1, **more,
        )  # fmt: skip

    async def heartbeat(self, stamp: int = 1) -> None:
        """Send a heartbeat."""
        await self.send(type="heartbeat", timestamp=stamp, lag=7, sent=0)

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, and end once the client has answered."""
        await self.send_bytes(close_frame(code, reason))
        await self.ended()
        await self.stream.aclose()


class ScriptedServer:
    """`dial` is a feed's `open_stream`; each connection runs the next script, the last one again and again."""

    def __init__(self, nursery: trio.Nursery, *scripts: Callable[[Peer], Awaitable[object]]) -> None:
        self.peers: list[Peer] = []
        self.times: list[float] = []
        self.answer: bytes | None = None
        self._nursery = nursery
        self._scripts = list(scripts)

    async def dial(self) -> trio.abc.Stream:
        """Connect."""
        client, server = memory_transport()
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.times.append(trio.current_time())
        self._nursery.start_soon(self._serve, server, script)
        return client

    async def _serve(self, stream: trio.abc.Stream, script: Callable[[Peer], Awaitable[object]]) -> None:
        answer = self.answer
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the client was faster
            peer = await Peer.accept(stream, answer)
            if answer is None:
                self.peers.append(peer)
                await script(peer)
        await stream.aclose()


def config(server: ScriptedServer, **options: object) -> FeedConfig:
    """A feed of that server, which comes back at once unless told otherwise."""
    return FeedConfig(**{"open_stream": server.dial, "reconnect": QUICK, **options})  # type: ignore[arg-type]
