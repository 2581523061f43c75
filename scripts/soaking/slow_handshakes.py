"""An attacker's process: many connections at once that never finish their handshake.

Its argument is a job, `{"port": P, "count": n, "kind": K, "again": false, "patience": s}`. Kinds: `silent` sends
nothing, which at a server with TLS is a TLS handshake that never begins; `half` sends half a request; `drip` a byte of
it a second. When all are connected it writes `{"connected": n}`; when all were closed, or after `patience` seconds,
`{"closed": [seconds from connecting, ...], "open": how many were not}`. With `again`, each that is closed is made anew
at once, until the process is killed.
"""

from __future__ import annotations

import errno
import json
import resource
import select
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from soaking.frames import upgrade

__all__ = ["KINDS"]

KINDS: Final = ("silent", "half", "drip")
_TICK: Final = 0.02
_DRIP_SECONDS: Final = 1.0


class _Slow:
    """One connection."""

    def __init__(self, port: int, kind: str) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.began = time.monotonic()
        self.connected = False
        self._dripped = 0
        self._last_drip = self.began
        self._request = upgrade()
        self._kind = kind
        if self.socket.connect_ex(("127.0.0.1", port)) not in (0, errno.EINPROGRESS):
            self.socket.close()

    def go_on(self) -> None:
        """The connection is made: send what its kind sends at first."""
        self.connected = True
        if self._kind == "half":
            self.socket.send(self._request[: len(self._request) // 2])

    def drip(self, now: float) -> None:
        """Send the next byte when it is time."""
        if self._kind == "drip" and self.connected and now >= self._last_drip + _DRIP_SECONDS:
            self._last_drip = now
            self.socket.send(self._request[self._dripped : self._dripped + 1])
            self._dripped += 1

    def over(self) -> bool:
        """Whether the server has closed it; what it has answered is of no interest."""
        try:
            return not self.socket.recv(65_536)
        except BlockingIOError:
            return False
        except OSError:
            return True


class _Attack:
    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._poll = select.epoll()
        self._slow: dict[int, _Slow] = {}
        self._closed: list[float] = []
        self._told = False

    def run(self) -> None:
        """Connect all, and wait for the ends of all."""
        for _ in range(self._job["count"]):
            self._connect()
        until = time.monotonic() + self._job["patience"]
        while self._slow and (self._job["again"] or time.monotonic() < until):
            for number, event in self._poll.poll(_TICK):
                self._look(number, event)
            now = time.monotonic()
            for slow in self._slow.values():
                with suppress(OSError):  # its end is seen by reading
                    slow.drip(now)
            if not self._told and all(slow.connected for slow in self._slow.values()):
                self._told = True
                print(json.dumps({"connected": len(self._slow)}), flush=True)
        print(json.dumps({"closed": self._closed, "open": len(self._slow)}), flush=True)

    def _connect(self) -> None:
        slow = _Slow(self._job["port"], self._job["kind"])
        self._slow[slow.socket.fileno()] = slow
        self._poll.register(slow.socket, select.EPOLLIN | select.EPOLLOUT)

    def _look(self, number: int, event: int) -> None:
        slow = self._slow[number]
        if not slow.connected and event & select.EPOLLOUT:
            self._poll.modify(number, select.EPOLLIN)
            with suppress(OSError):
                slow.go_on()
        if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and slow.over():
            del self._slow[number]
            slow.socket.close()
            self._closed.append(round(time.monotonic() - slow.began, 4))
            if self._job["again"]:
                self._connect()


def _main(job: dict[str, Any]) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _Attack(job).run()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _main(json.loads(sys.argv[1]))
