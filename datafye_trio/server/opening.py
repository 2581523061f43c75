"""`open_server`: a server as an async context manager."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

import trio

from datafye_trio.errors import leaves_of
from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.server.config import ServerConfig
from datafye_trio.server.server import Server
from datafye_trio.sources import Source

__all__ = ["open_server"]

_SHUTDOWN: Final = Ending(CloseCode.GOING_AWAY, "the server shuts down", drain=True)


class open_server(AbstractAsyncContextManager[Server]):  # noqa: N801 -- reads as the call that it is
    """Run a server while the body runs: `async with open_server(config, sources=[...]) as server: server.url`.

    At the end every client gets 1001 and what was queued for it, within `config.drain_seconds`. What the body raises
    leaves it bare, not in an exception group. A class, not an async generator, because a nursery must not stay open
    across a yield, and because the group that a nursery makes is taken apart here.

    Args:
        config: the settings; the default is `localhost:8080`.
        sources: what to serve, each a dataset of its own; the first is the default dataset. Without any, the dataset
            `Program`, which `server.publish` feeds.
        listen: False for no sockets at all: clients come by `server.connect()`.
        wall_clock: nanoseconds since 1970 UTC, for stamps.
        new_epoch: names one life of a dataset's sequence numbers; unique, unless a test says otherwise.

    Raises:
        ConfigurationError: the port is in use, a certificate cannot be read, two sources name one dataset.
    """

    def __init__(
        self,
        config: ServerConfig | None = None,
        sources: Sequence[Source] = (),
        *,
        listen: bool = True,
        wall_clock: Callable[[], int] = time.time_ns,
        new_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._config = config if config is not None else ServerConfig()
        self._sources = sources
        self._listen = listen
        self._wall_clock = wall_clock
        self._new_epoch = new_epoch
        self._manager = trio.open_nursery()
        self._server: Server | None = None
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Server:
        server = Server(self._config, self._sources, wall_clock=self._wall_clock, new_epoch=self._new_epoch)
        self._nursery = await self._manager.__aenter__()
        try:
            await server.start(self._nursery, listen=self._listen)
        except BaseException as error:
            self._nursery.cancel_scope.cancel()
            await self._leave(error)  # noqa: ASYNC102 -- leaves the nursery: ends when its tasks do
            raise
        self._server = server
        return server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None and self._nursery is not None  # noqa: S101, PT018 -- set by __aenter__
        # Cancelled means soon: each connection is cancelled as well, and tells its peer by itself.
        seconds = 0.0 if isinstance(error, trio.Cancelled) else self._config.drain_seconds
        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds):
            await self._server.stop(_SHUTDOWN)
        self._nursery.cancel_scope.cancel()
        await self._leave(error)  # noqa: ASYNC102 -- likewise

    async def _leave(self, error: BaseException | None) -> None:
        """Leave the nursery; raises what a task of ours raised, and nothing where only the body's own error is left."""
        try:
            await self._manager.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseExceptionGroup as group:
            # Leaf by leaf: taking cancellations out of a group makes it anew, so a body's own group is not itself here.
            own = {id(leaf) for leaf in leaves_of(error)} if error is not None else set()
            ours = [leaf for leaf in leaves_of(group) if id(leaf) not in own and not isinstance(leaf, trio.Cancelled)]
            if len(ours) == 1:
                raise ours[0] from None
            if ours:
                raise BaseExceptionGroup("several tasks of the server failed", ours) from None
