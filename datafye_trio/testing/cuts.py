"""Where a proxy cuts a connection: plans, written down or drawn at random, and the log of what was cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

import attrs

__all__ = ["Cut", "CutAfter", "Direction", "Plan", "RandomCuts", "scripted"]

Direction: TypeAlias = Literal["from_server", "from_client"]


@attrs.frozen
class CutAfter:
    """Cut one connection once exactly so many bytes have passed in a direction; of two, whichever comes first.

    Attributes:
        from_server: bytes that the client still gets; 0 cuts before the first.
        from_client: bytes that the server still gets.
        outage: seconds from the cut on in which the proxy refuses new connections.

    Raises:
        ValueError: a number below 0.
    """

    from_server: int | None = None
    from_client: int | None = None
    outage: float = 0.0

    def __attrs_post_init__(self) -> None:
        if min(self.from_server or 0, self.from_client or 0, self.outage) < 0:
            raise ValueError(f"{self}: bytes and seconds are from 0")


@attrs.frozen
class Cut:
    """One cut that was made.

    Attributes:
        connection: which one, from 1 in the order in which they came.
        direction: the one whose bytes brought it about; None where it was asked for from outside.
        from_server: bytes that had passed to the client.
        from_client: bytes that had passed to the server.
        time: trio's time.
    """

    connection: int
    direction: Direction | None
    from_server: int
    from_client: int
    time: float


Plan: TypeAlias = Callable[[int], CutAfter | None]
"""Says of each connection, by its number from 1, when to cut it; None lets it live."""


def scripted(cuts: Iterable[CutAfter | None]) -> Plan:
    """A plan: the first connection gets the first of `cuts`, and so on; those after the last live."""
    rest = iter(cuts)
    return lambda _: next(rest, None)


class RandomCuts:
    """A plan: every connection is cut, at a byte that `seed` decides.

    The logarithm of the place is uniform, so that cuts fall into the handshake, the first answers, a replay and the
    live stream alike; uniform ones would nearly all fall into the live stream. One in four may be brought about by
    the client's bytes instead, in its handshake or its first requests. Outages are as many as the cuts, most of them
    short: a quarter of the longest on average.

    Args:
        seed: the same one makes the same cuts.
        most: bytes from the server before the latest cut.
        longest_outage: seconds.
    """

    _CLIENT_BYTES: Final = 600
    """A handshake and a subscription or two: a place that a client reaches at once, or it is never reached."""

    def __init__(self, seed: int, *, most: int, longest_outage: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._most = most
        self._longest_outage = longest_outage

    def __call__(self, _connection: int) -> CutAfter:
        """The next cut, whichever connection it is for."""
        draw = self._random.random
        from_server = int(self._most ** draw())
        from_client = int(self._CLIENT_BYTES * draw()) if draw() < 0.25 else None
        return CutAfter(from_server, from_client, self._longest_outage * draw() ** 3)
