"""A proxy that cuts: between clients and a server, it ends connections at any byte, refuses them, and goes mute.

It knows no protocol, only bytes: a cut falls into a handshake or a frame as well as between two. In memory the peer
gets exactly the bytes before the cut, and then the end; by TCP it gets a reset, which can drop what its kernel had not
yet taken, as in life. Who wants frames gives a `greet`, which gives each connection a `Tap`. Rules:

- each connection has one task with a nursery of its own, which owns two tasks for each direction: a reader, a writer;
- whichever ends the connection cancels that nursery; the connection's task then closes both ends, once;
- a client that has the server's end is let go half a second later, whether or not it ends, too;
- a reader that stops stops the writer at the other end, as without a proxy: what is buffered here is bounded.
"""

from __future__ import annotations

import errno
import math
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import TypeAlias

import attrs
import trio

from datafye_trio.errors import DatafyeError
from datafye_trio.nurseries import BareNursery
from datafye_trio.server.listeners import open_listeners
from datafye_trio.testing.conditions import Conditions
from datafye_trio.testing.cuts import Cut, CutAfter, Direction, Plan
from datafye_trio.testing.lanes import Lane
from datafye_trio.testing.links import Greeting, Link, Tap, close_end
from datafye_trio.wire import MemoryStream, memory_transport

__all__ = ["Greet", "Greeting", "Proxy", "ProxyStatistics", "Tap", "Upstream", "open_proxy"]

Upstream: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens one connection to the server."""


@attrs.frozen
class ProxyStatistics:
    """Connections and bytes so far. `unreachable` were accepted, but the server could not be reached for them."""

    accepted: int
    refused: int
    unreachable: int
    open: int
    cut: int
    from_server: int
    from_client: int


Greet: TypeAlias = Callable[[trio.abc.HalfCloseableStream, int], Awaitable[Greeting | None]]
"""Called with the client's stream and the connection's number; None: it has answered the client itself. A
`trio.BrokenResourceError` that it raises resets the connection."""


class Proxy:
    """A running proxy; made by `open_proxy`. All but `listen` is sync and in effect when it returns.

    Attributes:
        plan: says of each new connection when to cut it; None lets all live. May be set at any time.
        cuts: what was cut, in order.
        gate: asked of each connection that comes in: True refuses it.
    """

    def __init__(
        self, upstream: Upstream, plan: Plan | None, nursery: trio.Nursery, greet: Greet | None = None, seed: int = 0
    ) -> None:
        self.plan = plan
        self.cuts: list[Cut] = []
        self.gate: Callable[[], bool] | None = None
        self._greet = greet
        self._seed = seed
        self._conditions: dict[Direction, Conditions] = {"from_server": Conditions(), "from_client": Conditions()}
        self._upstream = upstream
        self._nursery = nursery
        self._links: set[Link] = set()
        self._greeting: set[Link] = set()
        self._accepted = self._refused = self._unreachable = 0
        self._passed: dict[Direction, int] = {"from_server": 0, "from_client": 0}
        self._refuse_next = 0
        self._refuse_until = -math.inf
        self._flowing = True

    def connect(self) -> MemoryStream:
        """A connection in memory: the client's end.

        Raises:
            ConnectionRefusedError: this is an outage.
        """
        if self._refuses():
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        client, ours = memory_transport()
        self._nursery.start_soon(self._serve, ours)
        return client

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on a port, 0 for a free one, and return it; `localhost` is 127.0.0.1 and ::1.

        In an outage a connection is accepted and reset at once, as a load balancer without a server does it: the port
        stays this proxy's own.

        Raises:
            ConfigurationError: the port is in use, or the host is none of this machine's.
        """
        listeners = await open_listeners(host, port)
        self._nursery.start_soon(trio.serve_listeners, self._serve_socket, listeners)
        bound: int = listeners[0].socket.getsockname()[1]
        return bound

    def cut_all(self) -> int:
        """Cut every connection now; how many there were. Those that `greet` has still are none to the server yet."""
        links = sorted(self._links - self._greeting, key=lambda link: link.number)
        for link in links:
            link.drop()
        return len(links)

    def refuse_next(self, count: int) -> None:
        """Refuse the next `count` connections; those that are open live on."""
        self._refuse_next = count

    def refuse_for(self, seconds: float) -> None:
        """Refuse connections for so long from now on; those that are open live on. 0 ends an outage."""
        self._refuse_until = trio.current_time() + seconds

    def stall(self) -> None:
        """Accept, but pass nothing either way: an open connection that is mute. Idempotent."""
        self._flowing = False

    def resume(self) -> None:
        """End a stall; what was held back goes on. Idempotent."""
        self._flowing = True
        for link in self._links:
            link.to_client.wake()
            link.to_server.wake()

    def shape(self, direction: Direction, conditions: Conditions, *, connection: int | None = None) -> None:
        """Let bytes travel so from now on: of one connection that is open, or (None) of all, also those to come."""
        if connection is None:
            self._conditions[direction] = conditions
        for link in self._links:
            if connection in (None, link.number):
                link.lane(direction).conditions = conditions

    def statistics(self) -> ProxyStatistics:
        """What has come and gone."""
        counts = self._accepted, self._refused, self._unreachable, len(self._links), len(self.cuts)
        return ProxyStatistics(*counts, self._passed["from_server"], self._passed["from_client"])

    def _refuses(self) -> bool:
        if self._refuse_next > 0:
            self._refuse_next -= 1
        elif trio.current_time() >= self._refuse_until and not (self.gate is not None and self.gate()):
            return False
        self._refused += 1
        return True

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        if self._refuses():
            await close_end(stream, reset=True)
        else:
            await self._serve(stream)

    async def _serve(self, client: trio.abc.HalfCloseableStream) -> None:
        """Serve one connection to its end."""
        self._accepted += 1
        link = self._new_link(self._accepted)
        self._links.add(link)
        server: trio.abc.Stream | None = None
        tap: Tap | None = None
        try:
            with link.scope:
                greeting = await self._greeted(link, client)
                if greeting is not None:
                    tap = greeting.tap
                    server = await self._reach_server()
                if greeting is not None and server is not None:
                    await link.join(client, server, greeting)
                    link.reset = False
            if link.let_go:
                link.reset = False
        finally:
            self._links.discard(link)
            if tap is not None:
                tap.closed(_why(link, server))
            for stream in (client, server):
                if stream is not None:
                    await close_end(stream, reset=link.reset)  # noqa: ASYNC102 -- shields itself, with a deadline

    def _new_link(self, number: int) -> Link:
        cut_after = (self.plan(number) if self.plan is not None else None) or CutAfter()

        def lane(direction: Direction, limit: int | None) -> Lane:
            rng = random.Random(f"{self._seed}/{number}/{direction}")
            return Lane(self._conditions[direction], rng, limit)

        return Link(
            number,
            (lane("from_server", cut_after.from_server), lane("from_client", cut_after.from_client)),
            cut=partial(self._cut, outage=cut_after.outage),
            flowing=lambda: self._flowing,
            passed=self._count,
        )

    def _count(self, direction: Direction, size: int) -> None:
        self._passed[direction] += size

    async def _greeted(self, link: Link, client: trio.abc.HalfCloseableStream) -> Greeting | None:
        if self._greet is None:
            return Greeting()
        self._greeting.add(link)
        try:
            greeting = await self._greet(client, link.number)
        except trio.BrokenResourceError:
            return None
        finally:
            self._greeting.discard(link)
        link.reset = greeting is not None
        return greeting

    async def _reach_server(self) -> trio.abc.Stream | None:
        try:
            return await self._upstream()
        except (OSError, DatafyeError):  # a server that is down, or stopped: the client is told by a reset
            self._unreachable += 1
            return None

    def _cut(self, link: Link, direction: Direction | None, *, outage: float) -> None:
        if link.scope.cancel_called:
            return  # its task is on the way out, for another reason
        sent = link.to_client.sent, link.to_server.sent
        self.cuts.append(Cut(link.number, direction, *sent, trio.current_time()))
        if outage > 0 and direction is not None:
            self._refuse_until = max(self._refuse_until, trio.current_time() + outage)
        link.was_cut = link.reset = True
        link.scope.cancel()


def _why(link: Link, server: trio.abc.Stream | None) -> str:
    if server is None:
        return "the server could not be reached"
    return "cut" if link.was_cut else "lost" if link.reset else "ended"


class open_proxy(AbstractAsyncContextManager[Proxy]):  # noqa: N801 -- reads as the call that it is
    """Run a proxy while the body runs; at the end every connection is reset. What the body raises leaves it bare.

    `async with open_proxy(partial(trio.open_tcp_stream, "localhost", 8080), RandomCuts(1, most=10**6)) as proxy:`

    Args:
        upstream: opens a connection to the server, one for each client's.
        plan: says of each connection when to cut it; None lets all live.
        greet: looks at each new connection before the server is reached, and may answer it, or tap it.
        seed: of what chance decides (`Conditions.jitter`).
    """

    def __init__(
        self, upstream: Upstream, plan: Plan | None = None, *, greet: Greet | None = None, seed: int = 0
    ) -> None:
        self._upstream = upstream
        self._plan = plan
        self._greet = greet
        self._seed = seed
        self._tasks = BareNursery("the proxy")

    async def __aenter__(self) -> Proxy:
        return Proxy(self._upstream, self._plan, await self._tasks.enter(), self._greet, self._seed)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
