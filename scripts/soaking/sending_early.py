"""An attacker's process: one client that sends much more than it may, before or behind its request, and reads nothing.

Its argument is a job, `{"port": P, "kind": K, "bytes": n}`. Kinds: `head` never ends its request; `behind` ends it, and
sends on without waiting for the answer; `frame` waits for the 101 and sends one frame; `messages` sends whole messages
instead, each as large as a message may be. It ends when all is sent or nothing more is taken for eight seconds, which
is longer than anything here may take; then comes the line `{"sent": bytes that were taken, "seconds": s, "end": ...}`,
`end` being the status or the close code that the server has answered with, or `reset` or `end` for neither, or `open`.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from soaking.frames import CLOSE, Frames, close_code, frame, shake_hands, upgrade

__all__ = ["KINDS"]

KINDS: Final = ("head", "behind", "frame", "messages")
_PATIENCE: Final = 8.0
_ANSWER_SECONDS: Final = 2.0
_CHUNK: Final = 256 * 1024
_MESSAGE: Final = b'{"action":"ping"' + b" " * (128 * 1024 - 17) + b"}"


def _open(job: dict[str, Any]) -> tuple[socket.socket, bytes, bytes]:
    """The connection, what is sent first, and what is sent over and over again behind it."""
    kind, size = job["kind"], job["bytes"]
    if kind in ("head", "behind"):
        connection = socket.create_connection(("127.0.0.1", job["port"]), timeout=_PATIENCE)
        return connection, (upgrade() if kind == "behind" else upgrade()[:-2] + b"X-More: "), b"x" * _CHUNK
    connection, _ = shake_hands(job["port"])
    if kind == "frame":
        return connection, frame(b"x" * _CHUNK)[:2] + size.to_bytes(8) + bytes(4), b"x" * _CHUNK
    return connection, b"", frame(_MESSAGE)


def _send(connection: socket.socket, first: bytes, over: bytes, size: int) -> int:
    """Send without reading; how many bytes were taken."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    connection.setblocking(False)
    rest, sent = memoryview(first or over), 0
    while sent < size and (events := poll.poll(_PATIENCE * 1_000)):
        if events[0][1] & (select.POLLERR | select.POLLHUP):
            break
        try:
            taken = connection.send(rest)
        except BlockingIOError:
            continue
        except OSError:
            break
        sent += taken
        rest = rest[taken:] or memoryview(over)
    return sent


def _answer(connection: socket.socket) -> str:
    """What the server has to say, read at last."""
    data, end = b"", "end"
    connection.settimeout(_ANSWER_SECONDS)
    try:
        while received := connection.recv(_CHUNK):
            data += received
    except TimeoutError:
        end = "open"
    except OSError:
        end = "reset"
    if data.startswith(b"HTTP/1.1 "):
        return data[9:12].decode()
    codes = [str(close_code(payload)) for opcode, payload in Frames().feed(data) if opcode == CLOSE]
    return codes[0] if codes else end


def _main(job: dict[str, Any]) -> None:
    connection, first, over = _open(job)
    with connection:
        began = time.monotonic()
        sent = _send(connection, first, over, job["bytes"])
        answer = _answer(connection)
    print(json.dumps({"sent": sent, "seconds": round(time.monotonic() - began, 3), "end": answer}), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _main(json.loads(sys.argv[1]))
