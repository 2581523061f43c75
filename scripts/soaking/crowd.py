"""A process of clients that behave well and are watched: what they get, in which order, and how late.

Its argument is a job, `{"port": P, "clients": n, "symbol": S}`. Each client subscribes to the quotes of the symbol,
whose stamps are the times at which they were due; then comes the line `{"ready": n}`. For each line on stdin it tells
what happened since the one before (`Figures`). It ends with its stdin.
"""

from __future__ import annotations

import gc
import json
import re
import select
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final

import attrs

from soaking.frames import CLOSE, PING, PONG, TEXT, Frames, close_code, frame, shake_hands

__all__ = ["Figures", "Watched", "percentile"]

_QUOTE: Final = re.compile(rb'"seq":(\d+),"symbol":"[^"]*","exchangeTimestamp":(\d+)')
_READ: Final = 256 * 1024
_STEP_NS: Final = 10_000
"""Latencies are counted in steps of so many nanoseconds."""


@attrs.frozen
class Figures:
    """What clients got within a time. Latencies are in milliseconds; `ended` counts those who are gone, by their code.

    A code is that of the close frame, or `reset`, or `end` for an end without either.
    """

    seconds: float
    messages: int
    p50: float
    p99: float
    worst: float
    lost: int
    disordered: int
    open: int
    ended: dict[str, int]

    @property
    def sound(self) -> bool:
        """Whether every client is there and got all, in order."""
        return not (self.lost or self.disordered or self.ended)


def percentile(counts: Counter[int], share: float) -> int:
    """The value at or below which that share of what was counted is; 0 where nothing was."""
    left = share * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return 0


class Watched:
    """What is known of one client."""

    def __init__(self) -> None:
        self.messages = self.lost = self.disordered = 0
        self.late: Counter[int] = Counter()
        self.code = ""
        self._next = 0
        self._frames = Frames()

    def take(self, data: bytes, now: int) -> bytes:
        """What has come at `now`, in nanoseconds since 1970; the answer is what is to be sent."""
        texts, answer = [], b""
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                texts.append(payload)
            elif opcode == PING:
                answer += frame(payload, PONG)
            elif opcode == CLOSE:
                self.code = str(close_code(payload))
                answer += frame(payload[:2], CLOSE)
        found = _QUOTE.findall(b"\n".join(texts))
        if found:
            numbers, stamps = zip(*found, strict=True)
            self._count(list(map(int, numbers)))
            # All that came at once is taken to be as late as the oldest of it: a third less time for each message.
            self.late[(now - int(stamps[0])) // _STEP_NS] += len(found)
        if len(found) < len(texts) and any(b'"heartbeat"' in text for text in texts):
            answer += frame(b'{"action":"pong"}')
        return answer

    def _count(self, numbers: list[int]) -> None:
        self.messages += len(numbers)
        first = self._next or numbers[0]
        self._next = numbers[-1] + 1
        if numbers == list(range(first, first + len(numbers))):
            return
        for number in numbers:
            self.lost += max(0, number - first)
            self.disordered += number < first
            first = max(first, number + 1)
        self._next = first


class _Client:
    def __init__(self, port: int, symbol: str) -> None:
        self.watched = Watched()
        self.socket, rest = shake_hands(port)
        request = {"action": "subscribe", "symbols": [symbol], "snapshot": False}
        self.socket.sendall(frame(json.dumps(request).encode()))
        self.socket.setblocking(False)
        self.watched.take(rest, 0)

    def read(self) -> bool:
        """Take what has come; whether it goes on."""
        try:
            data = self.socket.recv(_READ)
            if data and (answer := self.watched.take(data, time.time_ns())):
                self.socket.sendall(answer)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
            self.watched.code = self.watched.code or "reset"
        if data and not self.watched.code:
            return True
        self.watched.code = self.watched.code or "end"
        self.socket.close()
        return False


class _Crowd:
    def __init__(self, port: int, clients: int, symbol: str) -> None:
        self._everybody = [_Client(port, symbol) for _ in range(clients)]
        self._open = {client.socket.fileno(): client for client in self._everybody}
        self._poll = select.epoll()
        self._poll.register(sys.stdin, select.EPOLLIN)
        for number in self._open:
            self._poll.register(number, select.EPOLLIN)
        self._since = time.monotonic()

    def run(self) -> None:
        """Read, and answer each line of stdin, until it ends."""
        while True:
            for number, _ in self._poll.poll():
                if number == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    print(json.dumps(attrs.asdict(self._figures())), flush=True)
                elif not self._open[number].read():
                    del self._open[number]  # closed, so that epoll has forgotten it

    def _figures(self) -> Figures:
        since, self._since = self._since, time.monotonic()
        late: Counter[int] = Counter()
        sums: Counter[str] = Counter()
        for client in self._everybody:
            watched = client.watched
            late.update(watched.late)
            sums.update(messages=watched.messages, lost=watched.lost, disordered=watched.disordered)
            watched.late.clear()
            watched.messages = watched.lost = watched.disordered = 0
        p50, p99 = (percentile(late, share) * _STEP_NS / 1e6 for share in (0.5, 0.99))
        worst = max(late, default=0) * _STEP_NS / 1e6
        ended = Counter(client.watched.code for client in self._everybody if client.watched.code)
        return Figures(
            self._since - since, sums["messages"], p50, p99, worst, sums["lost"], sums["disordered"],
            len(self._open), dict(ended),
        )  # fmt: skip


def _main(job: dict[str, Any]) -> None:
    try:
        crowd = _Crowd(job["port"], job["clients"], job["symbol"])
    except OSError as error:
        print(json.dumps({"error": f"a client was not let in: {error}"}))
        return
    gc.disable()  # a pause of this process would look like one of the server's
    print(json.dumps({"ready": job["clients"]}), flush=True)
    crowd.run()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _main(json.loads(sys.argv[1]))
