"""`open_server`: a server as an async context manager."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

import trio

from datafye_trio.nurseries import BareNursery
from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.server.config import ServerConfig
from datafye_trio.server.server import Server
from datafye_trio.sources import Source

__all__ = ["open_server"]

_SHUTDOWN: Final = Ending(CloseCode.GOING_AWAY, "the server shuts down", drain=True)


class open_server(AbstractAsyncContextManager[Server]):  # noqa: N801 -- reads as the call that it is
    """Run a server while the body runs: `async with open_server(config, sources=[...]) as server: server.url`.

    At the end every client gets 1001 and what was queued for it, within `config.drain_seconds`. What the body raises
    leaves it bare, not in an exception group.

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
        self._tasks = BareNursery("the server")
        self._server: Server | None = None

    async def __aenter__(self) -> Server:
        server = Server(self._config, self._sources, wall_clock=self._wall_clock, new_epoch=self._new_epoch)
        nursery = await self._tasks.enter()
        try:
            await server.start(nursery, listen=self._listen)
        except BaseException as error:
            await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
            raise
        self._server = server
        return server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101 -- set by __aenter__
        # Cancelled means soon: each connection is cancelled as well, and tells its peer by itself.
        seconds = 0.0 if isinstance(error, trio.Cancelled) else self._config.drain_seconds
        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds):
            await self._server.stop(_SHUTDOWN)
        await self._tasks.leave(error)  # noqa: ASYNC102 -- likewise
