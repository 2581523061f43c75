"""A proxy that cuts: between clients and a server, it ends connections at any byte, refuses them, and goes mute.

It knows no protocol, only bytes: a cut falls into a handshake or a frame as well as between two. In memory the peer
gets exactly the bytes before the cut, and then the end; by TCP it gets a reset, which can drop what its kernel had not
yet taken, as in life. Rules:

- each connection has one task with a nursery of its own, which owns its two pipes;
- whichever pipe ends the connection cancels that nursery; the connection's task then closes both ends, once;
- nothing is buffered here: a reader that stops stops the writer at the other end, as without a proxy.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Final, TypeAlias

import attrs
import trio

from datafye_trio.errors import DatafyeError, leaves_of
from datafye_trio.testing.cuts import Cut, CutAfter, Direction, Plan
from datafye_trio.wire import MemoryStream, memory_transport

__all__ = ["Proxy", "ProxyStatistics", "Upstream", "open_proxy"]

Upstream: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens one connection to the server."""

_READ: Final = 64 * 1024
_CLOSE_SECONDS: Final = 1.0
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset at once, and what the peer's kernel has not taken is dropped."""


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


class _Link:
    """One connection through the proxy."""

    def __init__(self, number: int, cut: CutAfter | None) -> None:
        self.number = number
        self.cut_after = cut or CutAfter()
        self.passed: dict[Direction, int] = {"from_server": 0, "from_client": 0}
        self.scope = trio.CancelScope()
        self.reset = True
        """How it ends: both ends closed in good order clear it."""

    def left(self, direction: Direction) -> float:
        """How many bytes may still pass."""
        limit = self.cut_after.from_server if direction == "from_server" else self.cut_after.from_client
        return math.inf if limit is None else limit - self.passed[direction]


class Proxy:
    """A running proxy; made by `open_proxy`. All but `listen` is sync and in effect when it returns.

    Attributes:
        plan: says of each new connection when to cut it; None lets all live. May be set at any time.
        cuts: what was cut, in order.
    """

    def __init__(self, upstream: Upstream, plan: Plan | None, nursery: trio.Nursery) -> None:
        self.plan = plan
        self.cuts: list[Cut] = []
        self._upstream = upstream
        self._nursery = nursery
        self._links: set[_Link] = set()
        self._accepted = self._refused = self._unreachable = 0
        self._passed: dict[Direction, int] = {"from_server": 0, "from_client": 0}
        self._refuse_next = 0
        self._refuse_until = -math.inf
        self._flowing = trio.Event()
        self._flowing.set()

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

    async def listen(self) -> int:
        """Listen on a free port of 127.0.0.1, and return it.

        In an outage a connection is accepted and reset at once, as a load balancer without a server does it: the port
        stays this proxy's own.
        """
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self._nursery.start_soon(trio.serve_listeners, self._serve_socket, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    def cut_all(self) -> int:
        """Cut every connection now; how many there were."""
        links = sorted(self._links, key=lambda link: link.number)
        for link in links:
            self._cut(link, None)
        return len(links)

    def refuse_next(self, count: int) -> None:
        """Refuse the next `count` connections; those that are open live on."""
        self._refuse_next = count

    def refuse_for(self, seconds: float) -> None:
        """Refuse connections for so long from now on; those that are open live on. 0 ends an outage."""
        self._refuse_until = trio.current_time() + seconds

    def stall(self) -> None:
        """Accept, but pass nothing either way: an open connection that is mute. Idempotent."""
        if self._flowing.is_set():
            self._flowing = trio.Event()

    def resume(self) -> None:
        """End a stall; what was held back goes on. Idempotent."""
        self._flowing.set()

    def statistics(self) -> ProxyStatistics:
        """What has come and gone."""
        counts = self._accepted, self._refused, self._unreachable, len(self._links), len(self.cuts)
        return ProxyStatistics(*counts, self._passed["from_server"], self._passed["from_client"])

    def _refuses(self) -> bool:
        if self._refuse_next > 0:
            self._refuse_next -= 1
        elif trio.current_time() >= self._refuse_until:
            return False
        self._refused += 1
        return True

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        if self._refuses():
            await _close(stream, reset=True)
        else:
            await self._serve(stream)

    async def _serve(self, client: trio.abc.HalfCloseableStream) -> None:
        """Serve one connection to its end."""
        self._accepted += 1
        link = _Link(self._accepted, self.plan(self._accepted) if self.plan is not None else None)
        self._links.add(link)
        server: trio.abc.Stream | None = None
        try:
            with link.scope:
                server = await self._reach_server()
                if server is not None:
                    await self._join(link, client, server)
                    link.reset = False
        finally:
            self._links.discard(link)
            for stream in (client, server):
                if stream is not None:
                    await _close(stream, reset=link.reset)  # noqa: ASYNC102 -- shields itself, with a deadline

    async def _reach_server(self) -> trio.abc.Stream | None:
        try:
            return await self._upstream()
        except (OSError, DatafyeError):  # a server that is down, or stopped: the client is told by a reset
            self._unreachable += 1
            return None

    async def _join(self, link: _Link, client: trio.abc.Stream, server: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pipe, link, "from_server", server, client)
            nursery.start_soon(self._pipe, link, "from_client", client, server)

    async def _pipe(self, link: _Link, direction: Direction, source: trio.abc.Stream, target: trio.abc.Stream) -> None:
        """Pass bytes on until their end, which is passed on too; never reads a byte that is not to pass."""
        try:
            while (left := link.left(direction)) > 0:
                data = await source.receive_some(int(min(_READ, left)))
                while not self._flowing.is_set():
                    await self._flowing.wait()
                if not data:
                    await _pass_end(link, target)
                    return
                await target.send_all(data)
                link.passed[direction] += len(data)
                self._passed[direction] += len(data)
            self._cut(link, direction)
        except trio.BrokenResourceError:  # an end is gone without a word: so the other goes
            link.scope.cancel()

    def _cut(self, link: _Link, direction: Direction | None) -> None:
        if link.scope.cancel_called:
            return  # its task is on the way out, for another reason
        passed = link.passed
        self.cuts.append(Cut(link.number, direction, passed["from_server"], passed["from_client"], trio.current_time()))
        if link.cut_after.outage > 0 and direction is not None:
            self._refuse_until = max(self._refuse_until, trio.current_time() + link.cut_after.outage)
        link.scope.cancel()


async def _pass_end(link: _Link, target: trio.abc.Stream) -> None:
    if isinstance(target, trio.abc.HalfCloseableStream):
        await target.send_eof()
    else:  # TLS, say, has no half: its end is the end of both
        link.reset = False
        link.scope.cancel()


async def _close(stream: trio.abc.Stream, *, reset: bool) -> None:
    if reset and isinstance(stream, trio.SocketStream):
        with suppress(OSError):  # some systems refuse it once the peer is gone
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
        if reset:
            await trio.aclose_forcefully(stream)
        else:
            await stream.aclose()


class open_proxy(AbstractAsyncContextManager[Proxy]):  # noqa: N801 -- reads as the call that it is
    """Run a proxy while the body runs; at the end every connection is reset. What the body raises leaves it bare.

    `async with open_proxy(partial(trio.open_tcp_stream, "localhost", 8080), RandomCuts(1, most=10**6)) as proxy:`

    Args:
        upstream: opens a connection to the server, one for each client's.
        plan: says of each connection when to cut it; None lets all live.
    """

    def __init__(self, upstream: Upstream, plan: Plan | None = None) -> None:
        self._upstream = upstream
        self._plan = plan
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Proxy:
        self._nursery = await self._manager.__aenter__()
        return Proxy(self._upstream, self._plan, self._nursery)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._nursery is not None  # noqa: S101 -- set by __aenter__
        self._nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(kind, error, traceback)  # noqa: ASYNC102 -- ends when its tasks do
        except BaseExceptionGroup as group:
            own = {id(leaf) for leaf in leaves_of(error)} if error is not None else set()
            ours = [leaf for leaf in leaves_of(group) if id(leaf) not in own and not isinstance(leaf, trio.Cancelled)]
            if ours:  # an upstream that raised what no network raises
                raise BaseExceptionGroup("connections of the proxy failed", ours) from None
