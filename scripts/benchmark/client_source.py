"""The server of `scripts/bench client`: a plain loop that writes ready-made frames, so that it is not what is measured.

Run by `client_rounds` with: SYMBOLS MESSAGES. It makes the quotes of all symbols in turn, framed as the real
server frames them, and writes its port to stdout. For each line `N` on stdin it serves one connection: handshake,
`connected`, the answer to one `subscribe`, the first N quotes in chunks of 64 KiB, and the close handshake.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import sys
import time
from typing import Any, Final

from datafye_trio import Quote
from datafye_trio.protocol import Codec
from datafye_trio.wire import data_frame

_DATASET: Final = {"dataset": "Bench", "assetClass": "stocks"}
_EPOCH: Final = "1"
_BEGIN: Final = 1_704_205_800_000_000_000  # 2024-01-02T14:30:00Z
_CHUNK: Final = 64 * 1024
_CLOSE: Final = 8
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Peer:
    """One connection, from the handshake to the close."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file = connection.makefile("rb")

    def shake_hands(self) -> None:
        """Answer any WebSocket request, on any path."""
        key = b""
        while (line := self._file.readline()).strip():
            if found := re.match(rb"sec-websocket-key:\s*(\S+)", line, re.IGNORECASE):
                key = found[1]
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._socket.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())

    def receive(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; a connection that has ended reads as a close."""
        head = self._file.read(2)
        if len(head) < 2:
            return _CLOSE, b""
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self._file.read(2 if size == 126 else 8), "big")
        mask, payload = self._file.read(4), self._file.read(size)
        return head[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))

    def send(self, message: dict[str, Any]) -> None:
        """One message, as JSON."""
        self._socket.sendall(data_frame(json.dumps(message).encode(), "json"))

    def flood(self, stream: memoryview) -> None:
        """Everything, as fast as it is taken."""
        for start in range(0, len(stream), _CHUNK):
            self._socket.sendall(stream[start : start + _CHUNK])

    def finish(self) -> None:
        """Answer an `unsubscribe`, and the close."""
        while (received := self.receive())[0] != _CLOSE:
            if b'"unsubscribe"' in received[1]:
                self.send(answer("unsubscribed", json.loads(received[1])))
        self._socket.sendall(b"\x88\x02\x03\xe8")


def symbol_at(number: int, symbols: int) -> str:
    """The symbol of this quote, from 0: all in turn."""
    return f"S{number % symbols:03}"


def time_at(number: int) -> int:
    """The time of this quote, which no other has."""
    return _BEGIN + number * 1_117


def make_stream(symbols: int, messages: int) -> tuple[bytes, list[int]]:
    """The frames one after the other, and where each ends."""
    codec, frames, ends, end = Codec(), [], [0], 0
    for number in range(messages):
        symbol, bid = symbol_at(number, symbols), 10_000 + number * 7_919 % 5_000
        quote = Quote(symbol, time_at(number), bid / 100, 100 + number % 900, (bid + 3) / 100, 500)
        fields = codec.data(quote, _DATASET["dataset"], _DATASET["assetClass"], number // symbols + 1)
        frames.append(data_frame(codec.write(fields, "json"), "json"))
        end += len(frames[-1])
        ends.append(end)
    return b"".join(frames), ends


def connected() -> dict[str, Any]:
    """The first message of a connection."""
    return {
        "type": "connected",
        "connectionId": "1",
        "protocol": 1,
        "timestampUnit": "ns",
        "heartbeatInterval": 10,
        "heartbeatTimeout": 30,
        "datasets": [_DATASET | {"epoch": _EPOCH, "channels": ["quotes"], "frequencies": []}],
        "limits": {"requestBytes": 131_072},
        "timestamp": time.time_ns(),
    }


def answer(kind: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request about quotes; at the time of a subscribe, nothing has been sent of any topic."""
    symbols = request["symbols"]
    return {
        "type": kind,
        **({"id": request["id"]} if "id" in request else {}),
        **_DATASET,
        "channels": ["quotes"],
        "symbols": symbols,
        "epoch": _EPOCH,
        "positions": {"quotes": dict.fromkeys(symbols, 0)},
        "total": len(symbols),
    }


def serve(peer: Peer, stream: memoryview) -> None:
    """One connection, whose first request is its one subscribe."""
    peer.shake_hands()
    peer.send(connected())
    opcode, payload = peer.receive()
    if opcode == _CLOSE:
        return
    peer.send(answer("subscribed", json.loads(payload)))
    peer.flood(stream)
    peer.finish()


def main() -> None:
    """Serve one connection for each line on stdin."""
    symbols, messages = int(sys.argv[1]), int(sys.argv[2])
    stream, ends = make_stream(symbols, messages)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            connection, _ = listener.accept()
            with connection:
                try:
                    serve(Peer(connection), memoryview(stream)[: ends[int(line)]])
                except OSError as error:
                    # A client that went away has told its own story; the next one is to be served.
                    print(f"  the source lost its client: {error.strerror}", file=sys.stderr)


if __name__ == "__main__":
    main()
