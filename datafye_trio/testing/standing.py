"""The server of `datafye-trio serve --testing`: an ordinary one behind the proxy, with faults by HTTP.

It differs from `open_test_server` in what a test in another process needs: it listens where its settings say, its
epochs are never those of the process before it, its time is the wall clock's, and at its end nobody checks anything.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

import trio

from datafye_trio.nurseries import BareNursery
from datafye_trio.protocol import BASE_PATH
from datafye_trio.server import ServerConfig
from datafye_trio.sources import Source
from datafye_trio.testing.control import Control
from datafye_trio.testing.door import Door
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.lives import Lives
from datafye_trio.testing.log import Log
from datafye_trio.testing.proxy import Proxy

__all__ = ["StandingServer", "open_standing_server"]

_ENTRIES: Final = 1_000
"""Of the log, which is for the faults' own parts: from outside nobody can ask for it."""
_END_SECONDS: Final = 1.0


class StandingServer:
    """A running server; made by `open_standing_server`.

    Attributes:
        url: the base URL, such as `ws://localhost:8080/datafye-ws/v1`.
        faults: what can be done to its clients; `POST /faults/...` does the same.
        source_crashed: set once a source has crashed, whichever life of the server it was.
    """

    def __init__(self, url: str, faults: Faults, source_crashed: trio.Event) -> None:
        self.url = url
        self.faults = faults
        self.source_crashed = source_crashed


class open_standing_server(AbstractAsyncContextManager[StandingServer]):  # noqa: N801 -- reads as the call that it is
    """Run the server while the body runs. At the end every client gets 1001; what the body raises leaves it bare.

    Args:
        config: the settings, without a certificate.
        sources: makes the sources; called anew for each restart.
        seed: of what chance decides of the faults.

    Raises:
        ConfigurationError: the port is in use, or two sources name one dataset.
    """

    def __init__(self, config: ServerConfig, sources: Callable[[], Sequence[Source]], *, seed: int = 0) -> None:
        self._config = config
        self._seed = seed
        self._tasks = BareNursery("the server")
        self._crashed = trio.Event()
        self._watching = trio.CancelScope()
        self._log = Log(_ENTRIES)
        # The epochs of each process are its own: a client that comes back to the next one has missed something.
        self._lives = Lives(config, sources, seed=secrets.randbits(64), wall_clock=time.time_ns)
        self._faults = Faults(
            self._log, seed, restart=self._restart, lose_ring=lambda: self._lives.current().lose_ring()
        )
        self._lives.beating = self._faults.beats

    async def __aenter__(self) -> StandingServer:
        nursery = await self._tasks.enter()
        try:
            url = await self._begin(nursery)
        except BaseException as error:
            await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
            raise
        return StandingServer(url, self._faults, self._crashed)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._faults.clear()  # a client that is mute hears the end, too
        # Cancelled means soon: each connection is cancelled as well, and tells its peer by itself.
        seconds = 0.0 if isinstance(error, trio.Cancelled) else self._config.drain_seconds + _END_SECONDS
        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds):
            await self._lives.finish()
        await self._tasks.leave(error)  # noqa: ASYNC102 -- likewise

    async def _begin(self, nursery: trio.Nursery) -> str:
        door = Door(self._log, self._faults, control=Control(self._faults, self._config.access))
        proxy = Proxy(self._lives.connect, None, nursery, door, self._seed)
        proxy.gate = self._faults.refuses
        await nursery.start(self._lives.run, proxy)
        self._watch(nursery)
        host = self._config.host
        port = await proxy.listen(host, self._config.port)
        return f"ws://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"

    async def _restart(self, down: float, clean: bool) -> None:
        await self._lives.restart(down, clean)
        assert self._tasks.nursery is not None  # noqa: S101 -- entered before there is anything to restart
        self._watch(self._tasks.nursery)

    def _watch(self, nursery: trio.Nursery) -> None:
        """See whether a source of the server of now crashes."""
        self._watching.cancel()
        self._watching = trio.CancelScope()
        if (server := self._lives.server) is not None:  # else it restarts once more, which comes back here
            nursery.start_soon(self._wait_crash, server.source_crashed, self._watching)

    async def _wait_crash(self, crashed: trio.Event, watching: trio.CancelScope) -> None:
        with watching:
            await crashed.wait()
            self._crashed.set()
