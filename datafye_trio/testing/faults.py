"""Faults on demand: what goes wrong between a server and its clients, called for by name and drawn from a seed.

Conditions last until they are ended (`with faults.mute(): ...`, `fault.end()`, `faults.clear()`); several add up.
Orders are done once. All but `restart` is sync and in effect when it returns, and all that is done stands in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from datafye_trio.errors import ConfigurationError
from datafye_trio.testing.conditions import Conditions
from datafye_trio.testing.damage import Damage
from datafye_trio.testing.fault import Fault
from datafye_trio.testing.log import Entry, Log
from datafye_trio.testing.orders import Drop, Refuse
from datafye_trio.testing.tapping import ConnectionTap
from datafye_trio.wire import HttpError

__all__ = ["Fault", "Faults"]

_F = TypeVar("_F", bound=Fault)

_REASON_BYTES: Final = 123
_NO_CODES: Final = frozenset((1004, 1005, 1006, 1015))
"""What RFC 6455 keeps out of close frames."""


class Faults:
    """The faults of one test server.

    `connection` is a connection's number as the log has it, from 1 in order of arrival, also one that has not come
    yet; None: all, also those to come.

    Attributes:
        taps: the connections that are open, by number.

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
        self.taps: dict[int, ConnectionTap] = {}
        self._log = log
        self._seed = seed
        self._restart = restart
        self._lose_ring = lose_ring
        self._active: list[Fault] = []
        self._last = 0

    @property
    def active(self) -> tuple[Fault, ...]:
        """What lasts, or waits for its moment, in the order in which it was called for."""
        return tuple(self._active)

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
        """
        if (after is not None and mid_frame) or (after or 0) < 0:
            raise ValueError(f"after={after}, mid_frame={mid_frame}: give one of them; bytes are from 0")
        if after is None and not mid_frame:
            return self._now("drop", connection, lambda tap: tap.link.drop())
        self._check(connection)
        taps = [tap for tap in self.taps.values() if tap.request.upgrade and connection in (None, tap.number)]
        return self._add(Drop(connection, self._ended, after, taps))

    def close(self, code: int, reason: str = "", *, connection: int | None = None) -> Fault:
        """Send a close frame to each client that is open now, and end its connection; `hits` says how many.

        Raises:
            ValueError: a code that cannot be sent, or a reason of more than 123 bytes.
        """
        if not 1000 <= code <= 4999 or code in _NO_CODES:
            raise ValueError(f"{code} is no code of a close frame: 1000 to 4999 without 1004, 1005, 1006, 1015")
        if len(reason.encode()) > _REASON_BYTES:
            raise ValueError(f"the reason has {len(reason.encode())} bytes: a close frame has room for {_REASON_BYTES}")
        return self._now("close", connection, lambda tap: tap.close(code, reason), f"{code}, {reason!r}")

    def refuse(self, count: int = 1, status: int | None = 503, *, retry_after: float | None = None) -> Fault:
        """Refuse the next `count` handshakes with an HTTP status, or (None) the connections: by TCP with a reset.

        Several calls are worked off one after the other.

        Raises:
            ValueError: a count below 1, a status that no final answer of HTTP has, or seconds below 0.
        """
        return self._add(Refuse(self._ended, count, status, retry_after))

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
        self._note(None, f"restart({down:g}, clean={clean})")
        await self._restart(down, clean)

    def lose_ring(self) -> None:
        """The server forgets what it keeps for those who resume: they get a gap.

        Raises:
            ConfigurationError: this server has none that could be lost.
        """
        if self._lose_ring is None:
            raise ConfigurationError("this server's ring cannot be lost from here: it is not a test server")
        self._note(None, "lose_ring()")
        self._lose_ring()

    # What the server, the proxy, the door and the taps ask.

    def beats(self, name: str) -> bool:
        """Whether the connection that the server calls so gets heartbeats (for `Server.set_beating`)."""
        number = next((tap.number for tap in self.taps.values() if tap.name == name), 0)
        return not any(fault.name == "no_heartbeats" and fault.concerns(number) for fault in self._active)

    def refuses(self) -> bool:
        """Whether a connection that comes in now is to be refused unseen (for `Proxy.gate`)."""
        order = self._next_refusal()
        if order is None or order.status is not None:
            return False
        self._log.add(Entry(0, self._log.now(), "in", "refused", reason="connection refused: a fault"))
        order.hit()
        return True

    def take_refusal(self) -> HttpError | None:
        """The answer that the next handshake gets in place of a connection, if it is to get one.

        Raises:
            trio.BrokenResourceError: it is to be reset.
        """
        order = self._next_refusal()
        if order is None:
            return None
        order.hit()
        if order.status is None:
            raise trio.BrokenResourceError("a fault")
        return HttpError(order.status, "refused: a fault of the test server's", order.headers)

    def damage(self, number: int) -> Damage:
        """What is done to the frames of a connection."""
        return Damage(number, self._seed, self)

    def find(self, name: str, number: int) -> Fault | None:
        """The strongest active fault of a name that concerns a connection."""
        found = (fault for fault in self._active if fault.name == name and fault.concerns(number))
        return max(found, key=lambda fault: fault.probability, default=None)

    def cuts_within(self, tap: ConnectionTap) -> bool:
        """Whether a connection is to be cut in the middle of the message that is about to pass."""
        return any(order.cuts_within(tap) for order in self.active if isinstance(order, Drop))

    def attach(self, tap: ConnectionTap) -> None:
        """A connection has reached the server."""
        self.taps[tap.number] = tap
        self._last = max(self._last, tap.number)
        tap.link.to_client.conditions = self._conditions(tap.number)
        for order in self.active:
            if isinstance(order, Drop):
                order.meet(tap)

    def detach(self, tap: ConnectionTap) -> None:
        """A connection has ended."""
        del self.taps[tap.number]
        for order in self.active:
            if isinstance(order, Drop):
                order.leave(tap)

    # Inside.

    def _next_refusal(self) -> Refuse | None:
        return next((fault for fault in self._active if isinstance(fault, Refuse)), None)

    def _begin(
        self, name: str, connection: int | None, *, conditions: Conditions | None = None, said: str = ""
    ) -> Fault:
        fault = self._add(Fault(name, connection, self._ended, conditions=conditions, said=said))
        self._apply(fault)
        return fault

    def _chance(self, name: str, probability: float, connection: int | None) -> Fault:
        if not 0 <= probability <= 1:
            raise ValueError(f"{name}: a probability is from 0 to 1, not {probability}")
        return self._add(Fault(name, connection, self._ended, probability=probability, said=f"{probability:g}"))

    def _now(self, name: str, connection: int | None, act: Callable[[ConnectionTap], None], said: str = "") -> Fault:
        self._check(connection)
        fault = Fault(name, connection, lambda _: None, said=said)
        for tap in [tap for tap in self.taps.values() if fault.concerns(tap.number)]:
            tap.scribe.note("fault", reason=str(fault))
            fault.hit()
            act(tap)
        fault.end()
        return fault

    def _add(self, fault: _F) -> _F:
        self._check(fault.connection)
        self._active.append(fault)
        self._note(fault.connection, f"{fault} begins")
        return fault

    def _ended(self, fault: Fault) -> None:
        self._active.remove(fault)
        self._note(fault.connection, f"{fault} ends, done {fault.hits} times")
        self._apply(fault)
        for tap in self.taps.values():
            if fault.name == "reorder" and fault.concerns(tap.number):
                tap.release()

    def _apply(self, fault: Fault) -> None:
        for tap in self.taps.values():
            if fault.concerns(tap.number):
                tap.link.to_client.conditions = self._conditions(tap.number)

    def _conditions(self, number: int) -> Conditions:
        """All conditions of a connection together."""
        concerned = [fault.conditions for fault in self._active if fault.concerns(number)]
        rates = [one.bytes_per_second for one in concerned if one.bytes_per_second is not None]
        return Conditions(
            latency=sum(one.latency for one in concerned),
            jitter=sum(one.jitter for one in concerned),
            bytes_per_second=min(rates, default=None),
            slices=any(one.slices for one in concerned),
            held=any(one.held for one in concerned),
        )

    def _check(self, connection: int | None) -> None:
        if connection is not None and (connection < 1 or (connection <= self._last and connection not in self.taps)):
            raise ValueError(f"there is no connection #{connection}: open are {sorted(self.taps) or 'none'}")

    def _note(self, connection: int | None, reason: str) -> None:
        self._log.add(Entry(connection or 0, self._log.now(), "out", "fault", reason=reason))
