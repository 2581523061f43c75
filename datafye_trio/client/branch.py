"""One of the connections of a feed that has several."""

from __future__ import annotations

from typing import Final, NoReturn, Protocol

import trio

from datafye_trio.client.line import Line
from datafye_trio.client.link import Link
from datafye_trio.client.plain_talk import PlainTalk
from datafye_trio.client.states import PartStates
from datafye_trio.client.talk import Talk
from datafye_trio.errors import ConnectError, FeedError
from datafye_trio.protocol import Connected, ErrorCode

__all__ = ["Branch", "GreetedBranch", "PlainBranch"]

_SETTLE_SECONDS: Final = 0.25
"""Changes within this time make one new connection."""
_NOT_FOUND: Final = 404


class Branch(Protocol):
    """A connection, and what it carries."""

    line: Line

    @property
    def connected(self) -> Connected | None:
        """What the server said about itself on it."""

    @property
    def lag(self) -> int:
        """Messages that waited for us at the server when it last sent a heartbeat."""

    def wake(self) -> None:
        """Something is wanted, or no longer."""

    def note(self) -> None:
        """Something has come."""

    async def run(self) -> NoReturn:
        """Keep the connection until cancelled.

        Raises:
            FeedError: it cannot be kept.
        """


class GreetedBranch:
    """To a server that greets: kept whether something is wanted or not."""

    def __init__(self, talk: Talk, link: Link, states: PartStates) -> None:
        self.line = talk.line
        self._talk = talk
        self._link = link
        self._states = states

    @property
    def connected(self) -> Connected | None:
        """See `Branch`."""
        return self._talk.connected

    @property
    def lag(self) -> int:
        """See `Branch`."""
        return self._talk.lag

    def wake(self) -> None:
        """See `Branch`."""
        self._link.wake()

    def note(self) -> None:
        """See `Branch`."""

    async def run(self) -> NoReturn:
        """See `Branch`."""
        self._states.start()
        await self._link.run()


class PlainBranch:
    """To a server that takes one request on a connection.

    It is connected while something is wanted. What is added to its symbols takes a new connection with all of them,
    and what may be missed by that is told as a gap; what is taken out of them waits for the next connection, and is
    dropped until then, since to hang up for it would cost the others a gap.
    """

    connected: Final = None
    lag: Final = 0

    def __init__(self, talk: PlainTalk, link: Link, states: PartStates) -> None:
        self.line: Line = talk.line
        self._talk = talk
        self._link = link
        self._states = states
        self._news = trio.lowlevel.ParkingLot()
        self._failure: FeedError | None = None

    def wake(self) -> None:
        """See `Branch`."""
        self._talk.refuse_all_symbols()
        self._link.wake()
        self._news.unpark_all()

    def note(self) -> None:
        """See `Branch`."""
        if self._talk.refused:
            self._news.unpark_all()

    async def run(self) -> NoReturn:
        """See `Branch`."""
        while True:
            while not self._talk.held:
                await self._news.park()
            self._states.start()
            await self._connect()
            self._states.rest()

    async def _connect(self) -> None:
        """Be connected for as long as the request is the right one."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, nursery.cancel_scope)
            await self._until_stale()
            nursery.cancel_scope.cancel()
        failure, self._failure = self._failure, None
        if failure is None:
            return
        if self._talk.begun or not (isinstance(failure, ConnectError) and failure.status == _NOT_FOUND):
            raise failure
        self._talk.refuse(f"this server has no such channel: {failure}", ErrorCode.CHANNEL_NOT_AVAILABLE)
        self._talk.cut()

    async def _keep(self, connection: trio.CancelScope) -> None:
        try:
            await self._link.run()
        except FeedError as failure:
            self._failure = failure
            connection.cancel()

    async def _until_stale(self) -> None:
        while True:
            while not self._talk.stale:
                await self._news.park()
            await trio.sleep(_SETTLE_SECONDS)
            if self._talk.stale:
                return
