"""An attacker's process: one client that writes as fast as the server takes it, and comes back whenever it is cut.

Its argument is a job, `{"port": P, "kind": K, "seconds": s}`. For each connection it writes a line
`{"seconds": from its first byte to its end, "code": ..., "bytes": written}`; when the time is over, `{"over": true}`.
The code is that of the close frame, or `reset`, or `end`; `open` where it was not cut within 15 seconds.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from soaking import SYMBOL
from soaking.frames import CLOSE, PING, TEXT, Frames, close_code, frame, shake_hands

__all__ = ["KINDS", "flood_of"]

_CONTINUATION: Final = 0x0
_PATIENCE: Final = 15.0
_CHUNK: Final = 64 * 1024
_LARGEST: Final = 128 * 1024
_PONG: Final = b'{"action":"pong"}'


def _fragmented(message: bytes) -> bytes:
    """A message in fragments of one byte."""
    first, *middle, final = (message[place : place + 1] for place in range(len(message)))
    fragments = (frame(part, _CONTINUATION, last=False) for part in middle)
    return b"".join((frame(first, TEXT, last=False), *fragments, frame(final, _CONTINUATION)))


def _subscriptions(symbols: list[str]) -> bytes:
    """Subscribing and leaving, in requests that are nearly as large as a message may be."""
    requests = ({"action": action, "symbols": symbols} for action in ("subscribe", "unsubscribe"))
    return b"".join(frame(json.dumps(request, separators=(",", ":")).encode()) for request in requests)


KINDS: Final = {
    "frames": _fragmented(b'{"action":"ping"}'),
    "fragments": frame(b"", _CONTINUATION, last=False),
    "pings": frame(b"", PING),
    "requests": frame(b'{"action":"ping"}'),
    "strangers": _subscriptions([f"S{number:05}" for number in range(10_000)]),
    "repeated": _subscriptions([SYMBOL] * 10_000),
    "padding": frame(_PONG[:-1] + b" " * (_LARGEST - len(_PONG)) + b"}"),
    "garbage": frame(b'{"action":'),
}
"""What is written over and over again, by its name."""


def flood_of(kind: str) -> bytes:
    """Some 64 KiB of it, or one repetition where that is more."""
    return KINDS[kind] * max(1, _CHUNK // len(KINDS[kind]))


def _flood(connection: socket.socket, kind: str) -> dict[str, Any]:
    """Write until it ends."""
    data = memoryview(flood_of(kind))
    rest = memoryview(frame(b"[", TEXT, last=False)) if kind == "fragments" else data
    frames, code, written = Frames(), "", 0
    connection.setblocking(False)
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    began = time.monotonic()
    while (now := time.monotonic()) < began + _PATIENCE:
        events = poll.poll(1_000)
        try:
            if events and events[0][1] & ~select.POLLOUT:
                if not (received := connection.recv(_CHUNK)):
                    break
                for opcode, payload in frames.feed(received):
                    if opcode == CLOSE:
                        code = code or str(close_code(payload))
            if events and events[0][1] & select.POLLOUT:
                sent = connection.send(rest)
                written += sent
                rest = rest[sent:] or data
        except BlockingIOError:
            continue
        except OSError:
            code = code or "reset"
            break
    else:
        return {"seconds": round(now - began, 3), "code": "open", "bytes": written}
    return {"seconds": round(time.monotonic() - began, 3), "code": code or "end", "bytes": written}


def _main(job: dict[str, Any]) -> None:
    until = time.monotonic() + job["seconds"]
    while time.monotonic() < until:
        connection, _ = shake_hands(job["port"])
        with connection:
            print(json.dumps(_flood(connection, job["kind"])), flush=True)
    print(json.dumps({"over": True}), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _main(json.loads(sys.argv[1]))
