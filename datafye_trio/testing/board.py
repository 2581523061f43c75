"""What is done to whom at the moment: the faults that are active, and what the parts of a test server ask of them."""

from __future__ import annotations

from typing import TypeVar

import trio

from datafye_trio.testing.conditions import Conditions, together
from datafye_trio.testing.damage import Damage
from datafye_trio.testing.fault import Fault
from datafye_trio.testing.log import Entry, Log
from datafye_trio.testing.orders import Drop, Refuse
from datafye_trio.testing.tapping import ConnectionTap
from datafye_trio.wire import HttpError

__all__ = ["Board"]

_F = TypeVar("_F", bound=Fault)


class Board:
    """The active faults of one test server.

    Attributes:
        taps: the connections that are open, by number.

    Args:
        log: takes what is done.
        seed: of all chance.
    """

    def __init__(self, log: Log, seed: int = 0) -> None:
        self.taps: dict[int, ConnectionTap] = {}
        self._log = log
        self._seed = seed
        self._active: list[Fault] = []
        self._last = 0

    @property
    def active(self) -> tuple[Fault, ...]:
        """What lasts, or waits for its moment, in the order in which it was called for."""
        return tuple(self._active)

    # What is called for.

    def add(self, fault: _F) -> _F:
        """Begin a fault.

        Raises:
            ValueError: its connection has gone.
        """
        self.check(fault.connection)
        self._active.append(fault)
        self.note(fault.connection, f"{fault} begins")
        return fault

    def ended(self, fault: Fault) -> None:
        """A fault has ended: what it holds back goes on."""
        self._active.remove(fault)
        self.note(fault.connection, f"{fault} ends, done {fault.hits} times")
        self.apply(fault)
        for tap in self.taps.values():
            if fault.name == "reorder" and fault.concerns(tap.number):
                tap.release()

    def apply(self, fault: Fault) -> None:
        """Let bytes travel as the faults want it, from now on."""
        for tap in self.taps.values():
            if fault.concerns(tap.number):
                tap.link.to_client.conditions = self.conditions(tap.number)

    def conditions(self, number: int) -> Conditions:
        """All conditions of a connection together."""
        return together([fault.conditions for fault in self._active if fault.concerns(number)])

    def check(self, connection: int | None) -> None:
        """Refuse a connection that has gone.

        Raises:
            ValueError: so it has.
        """
        if connection is not None and (connection < 1 or (connection <= self._last and connection not in self.taps)):
            raise ValueError(f"there is no connection #{connection}: open are {sorted(self.taps) or 'none'}")

    def note(self, connection: int | None, reason: str) -> None:
        """Log what is done."""
        self._log.add(Entry(connection or 0, self._log.now(), "out", "fault", reason=reason))

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
        tap.link.to_client.conditions = self.conditions(tap.number)
        for order in self.active:
            if isinstance(order, Drop):
                order.meet(tap)

    def detach(self, tap: ConnectionTap) -> None:
        """A connection has ended."""
        del self.taps[tap.number]
        for order in self.active:
            if isinstance(order, Drop):
                order.leave(tap)

    def _next_refusal(self) -> Refuse | None:
        return next((fault for fault in self._active if isinstance(fault, Refuse)), None)
