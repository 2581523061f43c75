"""The server behind a test server: one life after another, each with epochs of its own, and outages between them."""

from __future__ import annotations

import contextvars
import math
import random
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from datafye_trio.errors import ServerClosedError
from datafye_trio.model import Event
from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.server import Server, ServerConfig, open_server
from datafye_trio.sources import Source
from datafye_trio.testing.failures import Failures
from datafye_trio.testing.proxy import Proxy
from datafye_trio.wire import MemoryStream

__all__ = ["Lives", "Outlet"]

_EARLY: Final = 1e-6
"""Seconds by which heartbeats come before their time. Data mostly comes at whole seconds, and so would they: which of
two things at one moment comes first is chance, and their `lag` told it, so that no two logs were equal."""
_RESTART: Final = Ending(CloseCode.RESTART, "the server restarts", drain=True)


@attrs.frozen
class _Order:
    """How a life ends, and for how many seconds there is no other."""

    down: float
    clean: bool


class Lives:
    """Runs a server, and restarts it when it is asked to.

    Attributes:
        server: the one that runs now; None while it is down.
        count: which life this is, from 1.
        now: nanoseconds since 1970 UTC.
        beating: whether the connection of an id gets heartbeats; set it before `run`.
        failures: what went wrong in any of them.

    Args:
        config: of each server.
        sources: makes the sources of a life.
        seed: of the epochs.
        wall_clock: nanoseconds since 1970 UTC.
    """

    def __init__(
        self,
        config: ServerConfig,
        sources: Callable[[], Sequence[Source]],
        *,
        seed: int,
        wall_clock: Callable[[], int],
    ) -> None:
        self.server: Server | None = None
        self.count = 0
        self.failures = Failures()
        self._config = config
        self._sources = sources
        self._seed = seed
        self.beating: Callable[[str], bool] = lambda _: True
        self.now = wall_clock
        self._context = contextvars.copy_context()
        self._order: _Order | None = None
        self._finishing = trio.Event()
        self._wake = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()
        self._ended = trio.Event()

    async def run(self, proxy: Proxy, *, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128 -- by _live
        """Run a life after another until `finish`; `started` once the first one takes connections.

        Raises:
            ConfigurationError: the settings or the sources cannot be used.
        """
        self.failures.own()
        self._context = contextvars.copy_context()
        try:
            with self.failures:
                while not self._finishing.is_set():
                    order = await self._live(proxy, task_status)
                    task_status = trio.TASK_STATUS_IGNORED
                    if order is not None:
                        with trio.move_on_after(order.down):
                            await self._finishing.wait()
        finally:
            self._ended.set()

    async def _live(self, proxy: Proxy, task_status: trio.TaskStatus[None]) -> _Order | None:
        """One life; returns how it ended, None for good."""
        self.count += 1
        async with self._open() as server:
            server.set_beating(self.beating, early=_EARLY)
            self.server = server
            proxy.refuse_for(0)
            self._changed.unpark_all()
            task_status.started()
            try:
                await self._wake.wait()
            finally:
                self.server = None
            order, self._order, self._wake = self._order, None, trio.Event()
            if order is not None:
                proxy.refuse_for(math.inf)
                if not order.clean:
                    proxy.cut_all()
                with trio.move_on_after(self._config.drain_seconds):
                    await server.stop(_RESTART)
            return order

    async def connect(self) -> MemoryStream:
        """A connection to the server of now; the `Upstream` of a proxy.

        Raises:
            ConnectionRefusedError: it is down.
        """
        await trio.lowlevel.checkpoint()
        if self.server is None:
            raise ConnectionRefusedError("the server is down")
        # The connection's tasks are the server's, whoever connects: what goes wrong in them is found by that.
        return self._context.run(self.server.connect)

    def current(self) -> Server:
        """The server of now.

        Raises:
            ServerClosedError: it is down, or has ended.
        """
        if self.server is None:
            raise ServerClosedError(
                "the test server has ended" if self._finishing.is_set() else "the server is down: it restarts"
            )
        return self.server

    async def wait_up(self) -> Server:
        """Wait until there is a server. Cancel-safe.

        Raises:
            ServerClosedError: there will be none.
        """
        await self._wait_life(self.count)
        return self.current()

    async def restart(self, down: float, clean: bool) -> None:
        """End the server, and start another one after `down` seconds; returns when that takes connections.

        Cancelled, it happens all the same. While it restarts already, this waits for it.

        Args:
            down: seconds in which connections are refused, after the old one has gone.
            clean: whether clients are told, with 1012, or just cut.

        Raises:
            ServerClosedError: the end came first.
        """
        if self.server is not None:
            self._order = _Order(down, clean)
            self._wake.set()
        await self._wait_life(self.count + 1)

    async def finish(self) -> None:
        """Let `run` end, once clients have got 1001 and what was queued for them; returns then. Cancel-safe."""
        self._finishing.set()
        self._wake.set()
        self._changed.unpark_all()
        await self._ended.wait()

    async def _wait_life(self, number: int) -> None:
        await trio.lowlevel.checkpoint()
        while (self.server is None or self.count < number) and not self._finishing.is_set():
            await self._changed.park()
        self.current()

    def _open(self) -> open_server:
        names = random.Random(f"epochs of {self._seed}, life {self.count}")
        return open_server(
            self._config,
            self._sources(),
            listen=False,
            wall_clock=self.now,
            new_epoch=lambda: f"{names.getrandbits(64):016x}",
        )


class Outlet:
    """Publishes to the server of now: what falls into an outage is lost, as in life."""

    def __init__(self, lives: Lives, dataset: str) -> None:
        self._lives = lives
        self._dataset = dataset

    async def publish(self, events: Sequence[Event]) -> None:
        """See `datafye_trio.sources.pacing.Outlet`."""
        try:
            await self._lives.current().publish(events, dataset=self._dataset)
        except ServerClosedError:
            await trio.lowlevel.checkpoint()

    async def room(self) -> None:
        """See `datafye_trio.sources.pacing.Outlet`."""
        server = await self._lives.wait_up()
        await server.publisher(self._dataset).room()
