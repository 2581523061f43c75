"""The load client of the benchmarks: raw sockets in one process, an epoll loop that counts every frame it gets.

Run by the benchmarks with: PORT PATH CLIENTS LAST REQUEST. It writes `ready` when all have subscribed, and at the end
one JSON object: frames, bytes, seconds from the first frame to the last, and whether each client ended at LAST.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time

_SEQ = re.compile(rb'"seq":(\d+)')
_READ = 1 << 18


class Client:
    """One connection: counts data frames, and remembers the tail for the last `seq`."""

    def __init__(self, port: int, path: str, request: str) -> None:
        self.frames = self.bytes = self.last = 0
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(4096)
        self.rest = head.split(b"\r\n\r\n", 1)[1]
        payload = request.encode()
        self.socket.sendall(bytes([0x81, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)
        while b'"subscribed"' not in self.rest:
            self.rest += self.socket.recv(4096)
        self.socket.setblocking(False)

    def take(self, data: bytes) -> None:
        """Count the whole data frames in what has come. Heartbeats and answers carry no `seq` and are not counted."""
        self.bytes += len(data)
        buffer = self.rest + data
        position, end, last_start = 0, len(buffer), -1
        while end - position >= 2:
            size, start = buffer[position + 1], position + 2
            if size == 126:
                start += 2
                size = buffer[position + 2] << 8 | buffer[position + 3] if end - position >= 4 else end
            elif size == 127:
                raise ValueError("a frame of 64 KiB or more has no place in this benchmark")
            if start + size > end:
                break
            # The type comes first: quotes begin with {"type":"q, trades with {"type":"t.
            if buffer[start + 9] in b"qt":
                self.frames += 1
                last_start = start
            position = start + size
        if last_start >= 0 and (found := _SEQ.search(buffer, last_start)):
            self.last = int(found.group(1))
        self.rest = buffer[position:]


def main() -> None:
    """Connect, count, report."""
    port, path, count, last, request = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    selector = selectors.DefaultSelector()
    clients = [Client(port, path, request) for _ in range(count)]
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    print("ready", flush=True)
    began = ended = 0.0
    behind = count
    while behind:
        for key, _ in selector.select(30):
            client = key.data
            data = client.socket.recv(_READ)
            if not data:
                print(json.dumps({"error": "a connection was closed", "last": client.last}), flush=True)
                return
            was = client.last
            client.take(data)
            ended = time.perf_counter()
            began = began or ended
            if was < last <= client.last:
                behind -= 1
    print(
        json.dumps(
            {
                "frames": sum(client.frames for client in clients),
                "bytes": sum(client.bytes for client in clients),
                "seconds": ended - began,
                "complete": all(client.last == last and client.frames == last for client in clients),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
