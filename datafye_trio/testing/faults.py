"""Faults on demand: what goes wrong between a server and its clients, called for by name and drawn from a seed.

Conditions last until they are ended (`with faults.mute(): ...`, `fault.end()`, `faults.clear()`); several add up.
Orders are done once. All but `restart` is sync and in effect when it returns, and all that is done stands in the log.
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable
from typing import Final

from datafye_trio.errors import ConfigurationError
from datafye_trio.testing.board import Board
from datafye_trio.testing.conditions import Conditions
from datafye_trio.testing.fault import Fault
from datafye_trio.testing.log import Log
from datafye_trio.testing.orders import Drop, Refuse
from datafye_trio.testing.tapping import ConnectionTap

__all__ = ["Fault", "Faults"]

_REASON_BYTES: Final = 123
_NO_CODES: Final = frozenset((1004, 1005, 1006, 1015))
"""What RFC 6455 keeps out of close frames."""


class Faults(Board):
    """The faults of one test server, by name.

    `connection` is a connection's number as the log has it, from 1 in order of arrival, also one that has not come
    yet; None: all, also those to come. Orders are for WebSocket connections; conditions hold for plain HTTP, too.

    Args:
        log: takes what is done.
        seed: of all chance. Each connection draws from its own, so that one does not change what another gets.
        restart: restarts the server: the seconds that it is down, and whether it says goodbye.
        lose_ring: makes the server forget what it keeps for those who resume.
    """

    def __init__(
        self,
        log: Log,
        seed: int = 0,
        *,
        restart: Callable[[float, bool], Awaitable[None]] | None = None,
        lose_ring: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(log, seed)
        self._restart = restart
        self._lose_ring = lose_ring

    def clear(self) -> None:
        """End all that is active."""
        for fault in self.active:
            fault.end()

    # Conditions.

    def mute(self, *, connection: int | None = None) -> Fault:
        """Send nothing to the client, and stay open: it hears nothing, not even that the server has gone.

        What the client sends goes on to the server. What the server sends it has to keep; it goes on afterwards.
        """
        return self._begin("mute", connection, conditions=Conditions(held=True))

    def no_heartbeats(self, *, connection: int | None = None) -> Fault:
        """The server makes no heartbeats, and cuts nobody for want of an answer."""
        return self._begin("no_heartbeats", connection)

    def delay(self, seconds: float, jitter: float = 0.0, *, connection: int | None = None) -> Fault:
        """What goes to the client is `seconds` under way, and up to `jitter` more; in order, at full throughput.

        Raises:
            ValueError: a time below 0.
        """
        conditions = Conditions(latency=seconds, jitter=jitter)
        return self._begin("delay", connection, conditions=conditions, said=f"{seconds:g}, jitter={jitter:g}")

    def slow_reads(self, bytes_per_second: float, *, connection: int | None = None) -> Fault:
        """The client reads so slowly, as the server sees it.

        Raises:
            ValueError: a rate that is not above 0.
        """
        conditions = Conditions(bytes_per_second=bytes_per_second)
        return self._begin("slow_reads", connection, conditions=conditions, said=f"{bytes_per_second:g}")

    def slices(self, *, connection: int | None = None) -> Fault:
        """Each byte to the client is written by itself."""
        return self._begin("slices", connection, conditions=Conditions(slices=True))

    def reorder(self, probability: float = 0.1, *, connection: int | None = None) -> Fault:
        """A message to the client comes after the next one, with this probability; it waits for that one.

        Raises:
            ValueError: a probability that is not from 0 to 1.
        """
        return self._chance("reorder", probability, connection)

    def duplicate(self, probability: float = 0.1, *, connection: int | None = None) -> Fault:
        """A message to the client comes twice, with this probability.

        Raises:
            ValueError: a probability that is not from 0 to 1.
        """
        return self._chance("duplicate", probability, connection)

    def corrupt(self, probability: float = 0.1, *, connection: int | None = None) -> Fault:
        """One byte of a message to the client is another, with this probability; its frame is sound.

        Raises:
            ValueError: a probability that is not from 0 to 1.
        """
        return self._chance("corrupt", probability, connection)

    # Orders.

    def drop(self, after: int | None = None, *, mid_frame: bool = False, connection: int | None = None) -> Fault:
        """Cut without a word (TCP: a reset): now, after so many more bytes to the client, or within its next message.

        Now means the connections that are open: `hits` says how many there were. `after` and `mid_frame` hold for each
        that is open, or, if none is, for the next that comes.

        Raises:
            ValueError: both `after` and `mid_frame`, or bytes below 0.
            TypeError: bytes that are no whole number.
        """
        after = None if after is None else operator.index(after)
        if (after is not None and mid_frame) or (after or 0) < 0:
            raise ValueError(f"after={after}, mid_frame={mid_frame}: give one of them; bytes are from 0")
        if after is None and not mid_frame:
            return self._now("drop", connection, lambda tap: tap.link.drop())
        self.check(connection)
        taps = [tap for tap in self.taps.values() if tap.request.upgrade and connection in (None, tap.number)]
        return self.add(Drop(connection, self.ended, after, taps))

    def close(self, code: int, reason: str = "", *, connection: int | None = None) -> Fault:
        """Send a close frame to each client that is open now, and end its connection; `hits` says how many.

        Raises:
            ValueError: a code that cannot be sent, or a reason of more than 123 bytes.
            TypeError: a code that is no whole number.
        """
        if not 1000 <= operator.index(code) <= 4999 or code in _NO_CODES:
            raise ValueError(f"{code} is no code of a close frame: 1000 to 4999 without 1004, 1005, 1006, 1015")
        if len(reason.encode()) > _REASON_BYTES:
            raise ValueError(f"the reason has {len(reason.encode())} bytes: a close frame has room for {_REASON_BYTES}")
        return self._now("close", connection, lambda tap: tap.close(code, reason), f"{code}, {reason!r}")

    def refuse(self, count: int = 1, status: int | None = 503, *, retry_after: float | None = None) -> Fault:
        """Refuse the next `count` handshakes with an HTTP status, or (None) the connections: by TCP with a reset.

        Several calls are worked off one after the other.

        Raises:
            ValueError: a count below 1, a status that no final answer of HTTP has, or seconds below 0.
            TypeError: a count that is no whole number.
        """
        return self.add(Refuse(self.ended, operator.index(count), status, retry_after))

    async def restart(self, down: float = 0.0, *, clean: bool = True) -> None:
        """Restart the server, with a new epoch; it is away for `down` seconds. Clean: 1012 to all first.

        Raises:
            ConfigurationError: this server cannot be restarted.
            ValueError: seconds below 0.
        """
        if not down >= 0:
            raise ValueError(f"restart: seconds are from 0, not {down}")
        if self._restart is None:
            raise ConfigurationError("this server cannot be restarted from here: it is not a test server")
        self.note(None, f"restart({down:g}, clean={clean})")
        await self._restart(down, clean)

    def lose_ring(self) -> None:
        """The server forgets what it keeps for those who resume: they get a gap.

        Raises:
            ConfigurationError: this server has none that could be lost.
        """
        if self._lose_ring is None:
            raise ConfigurationError("this server's ring cannot be lost from here: it is not a test server")
        self.note(None, "lose_ring()")
        self._lose_ring()

    # Inside.

    def _begin(
        self, name: str, connection: int | None, *, conditions: Conditions | None = None, said: str = ""
    ) -> Fault:
        fault = self.add(Fault(name, connection, self.ended, conditions=conditions, said=said))
        self.apply(fault)
        return fault

    def _chance(self, name: str, probability: float, connection: int | None) -> Fault:
        if not 0 <= probability <= 1:
            raise ValueError(f"{name}: a probability is from 0 to 1, not {probability}")
        return self.add(Fault(name, connection, self.ended, probability=probability, said=f"{probability:g}"))

    def _now(self, name: str, connection: int | None, act: Callable[[ConnectionTap], None], said: str = "") -> Fault:
        self.check(connection)
        fault = Fault(name, connection, lambda _: None, said=said)
        for tap in [tap for tap in self.taps.values() if tap.request.upgrade and fault.concerns(tap.number)]:
            tap.scribe.note("fault", reason=str(fault))
            fault.hit()
            act(tap)
        fault.end()
        return fault
