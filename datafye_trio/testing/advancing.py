"""A test server's clock moved by hand, in steps that clients in the real world can follow.

A client has its own clock, the machine's. Were the server's moved by an hour in one go, every client would be cut for
heartbeats that it had no chance to answer. So the clock jumps from one deadline of the server to the next, and after
each jump those clients are waited for, in real time, who owe something: an answer to a heartbeat, the end of a
handshake, or the reading of what is being written to them. The wait is as long as it has to be for those who do what
they owe, and bounded for the others: a client that never answers costs `grace` a heartbeat, and is cut in the end; one
that has always answered is believed in longer, since it may be the machine that is slow.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Final

import attrs
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.testing.log import Entry, Log
from datafye_trio.testing.tapping import ConnectionTap

__all__ = ["GRACE", "Advancer"]

GRACE: Final = 0.1
"""Real seconds for a client that owes something, and has not shown yet that it pays."""
_TRUSTED: Final = 10
"""How many times as long for one that has paid until now: it is trusted until it fails once."""
_STEP: Final = 0.01
"""Seconds of the shortest jump: a source of a thousand events a second is not to make a thousand steps of it."""
_LOOK: Final = 0.005
"""Real seconds between two looks at what makes no noise: whether a client reads."""
_COUNTED: Final = 2 * _LOOK
"""What a look counts at most. Where the machine is so busy that we come back late, clients do, too."""
_HEARTBEAT_BYTES: Final = 1024
"""No heartbeat is longer; larger messages need not be looked into."""


@attrs.define(eq=False)
class _Client:
    """What one client owes, and how long it has been waited for.

    Attributes:
        heartbeats: the stamps of those that it has not answered.
        closing: it has a close frame to answer.
        opened: its handshake is over.
        trusted: it has paid whenever it was waited for.
        waited: real seconds since it last did something, or owed something new.
        sent: bytes that it had been sent when it was last looked at.
    """

    heartbeats: deque[object] = attrs.field(factory=deque)
    closing: bool = False
    opened: bool = False
    trusted: bool = False
    waited: float = 0.0
    sent: int = 0

    def hear(self, entry: Entry) -> None:
        """Take note of what has passed."""
        match entry.kind:
            case "open" | "refused" | "http":
                self.opened = True
            case "close":
                self.closing = entry.direction == "out"
                self.waited = 0.0
            case "text" | "binary" if len(entry.payload) <= _HEARTBEAT_BYTES:
                if entry.direction == "in" and b"pong" in entry.payload:
                    self._answer(entry.message or {})
                elif entry.direction == "out" and b"heartbeat" in entry.payload:
                    self._ask(entry.message or {})
            case _:
                pass

    def look(self, sent: int) -> None:
        """Take note of what it has read."""
        if sent > self.sent:
            self.sent, self.waited = sent, 0.0

    def believed(self, grace: float) -> bool:
        """Whether to wait on; one that is given up is no longer trusted."""
        if self.waited < grace * (_TRUSTED if self.trusted else 1):
            return True
        self.trusted = False
        return False

    def _ask(self, message: Mapping[str, object]) -> None:
        if message.get("type") == "heartbeat":
            self.heartbeats.append(message.get("timestamp"))
            self.waited = 0.0

    def _answer(self, message: Mapping[str, object]) -> None:
        if message.get("action") != "pong":
            return
        stamp = message.get("timestamp")
        if stamp in self.heartbeats:
            while self.heartbeats.popleft() != stamp:
                pass
        else:
            self.heartbeats.clear()
        self.waited, self.trusted = 0.0, True


class Advancer:
    """Moves the clock of a run in which a test server is.

    Args:
        clock: the run's.
        log: the server's.
        taps: its open connections, by number.
    """

    def __init__(self, clock: MockClock, log: Log, taps: Mapping[int, ConnectionTap]) -> None:
        self._clock = clock
        self._taps = taps
        self._clients: dict[int, _Client] = {}
        self._heard = trio.Event()
        log.listeners.append(self._hear)

    async def advance(self, seconds: float, grace: float = GRACE) -> None:
        """Move the clock by `seconds`, with all that is due until then, and what clients answer to it.

        Cancelled, it has moved by less.

        Raises:
            ValueError: a number below 0, or none that is finite.
        """
        if not (0 <= seconds < math.inf and 0 <= grace < math.inf):
            raise ValueError(f"seconds={seconds}, grace={grace}: both are finite, and from 0")
        end = trio.current_time() + seconds
        while True:
            await self._settle(grace)
            left = end - trio.current_time()
            if left <= 0:
                return
            next_deadline = trio.lowlevel.current_statistics().seconds_to_next_deadline
            self._clock.jump(min(left, max(next_deadline, _STEP)))

    def _hear(self, entry: Entry) -> None:
        if entry.kind == "gone":
            self._clients.pop(entry.connection, None)
        elif entry.connection:
            self._clients.setdefault(entry.connection, _Client()).hear(entry)
        self._heard.set()

    async def _settle(self, grace: float) -> None:
        """Let all that is due happen, and wait for those who owe something and are still believed."""
        looked = time.monotonic()
        while True:
            await wait_all_tasks_blocked()
            elapsed, looked = time.monotonic() - looked, time.monotonic()
            if not self._look(grace, min(elapsed, _COUNTED)):
                return
            self._heard = trio.Event()
            with trio.move_on_after(_LOOK):
                await self._heard.wait()

    def _look(self, grace: float, elapsed: float) -> bool:
        """Whether anybody is to be waited for, after so many more seconds.

        What is on its way to a client by this very clock (a delay, say) is not owed by the client.
        """
        waiting = False
        for number, tap in self._taps.items():
            lane, client = tap.link.to_client, self._clients.setdefault(number, _Client())
            client.look(lane.sent)
            owes = client.heartbeats or client.closing or not client.opened
            if lane.writing or (owes and not lane.waiting):
                client.waited += elapsed
                waiting |= client.believed(grace)
        return waiting
