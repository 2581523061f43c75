"""A load on a server: all its clients, from connecting to the last second that is measured.

One thing after another, so that none disturbs the other: all clients connect, none of them asks for anything yet; all
subscribe at once; the warm-up; what is measured. Every `seq` counts from subscribing on, rates and latencies only in
what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs
import trio

from datafye_trio.cli.bench_client import BenchClient, Wanted
from datafye_trio.cli.bench_intake import Gauge, Totals
from datafye_trio.cli.bench_topics import Topics

__all__ = ["Load", "LoadConfig", "Measured"]

_CONNECTING: Final = "connecting"


@attrs.frozen
class LoadConfig:
    """What is put on a server. Times in seconds.

    Attributes:
        wanted: what each client does.
        clients: how many.
        connect_rate: new connections a second.
        warmup, seconds: before what is measured, and of it.
        wall_clock: nanoseconds since 1970, to compare stamps with.
        cpu_clock: seconds that this process has worked.
    """

    wanted: Wanted
    clients: int
    connect_rate: float
    warmup: float
    seconds: float
    wall_clock: Callable[[], int]
    cpu_clock: Callable[[], float]


@attrs.frozen
class Measured:
    """What was measured: seconds by the clock, those that this process worked, and each client's messages and bytes."""

    seconds: float
    cpu_seconds: float
    messages: list[int]
    bytes: list[int]


class Load:
    """See the module.

    Attributes:
        clients: those that have begun.
        gauge: what they measure with.
        phase: what goes on, in words.
        measured: None until something was.
    """

    def __init__(self, config: LoadConfig) -> None:
        self.clients: list[BenchClient] = []
        self.gauge = Gauge(config.wall_clock, Topics(shared=config.clients > 1))
        self.phase = _CONNECTING
        self.measured: Measured | None = None
        self.config = config
        self._alive = config.clients
        self._none_left = trio.Event()
        self._working = trio.CancelScope()
        self._began: float | None = None
        self._cpu_began = 0.0
        self._before: list[Totals] = []

    def stop(self) -> None:
        """End early; what was measured so far is what was measured."""
        self._working.cancel()

    @property
    def messages(self) -> int:
        """All that has come so far."""
        return sum(client.intake.totals.messages for client in self.clients)

    @property
    def seconds_left(self) -> float | None:
        """Of what is measured; None before that."""
        if self._began is None:
            return None
        return max(0.0, self._began + self.config.seconds - trio.current_time())

    async def run(self) -> None:
        """Put the load on the server, and take it off again. Cancelled, every client says goodbye within 2 s."""
        async with trio.open_nursery() as nursery:
            with self._working:
                await self._connect(nursery)
                await self._subscribe()
                if any(client.answer is not None for client in self.clients):
                    self.phase = "warming up"
                    await self._wait(self.config.warmup)
                    await self._measure()
            self._finish()
            self.phase = "closing"
            nursery.cancel_scope.cancel()

    async def _connect(self, nursery: trio.Nursery) -> None:
        began = trio.current_time()
        for number in range(self.config.clients):
            await trio.sleep_until(began + number / self.config.connect_rate)
            client = BenchClient(self.config.wanted, self.gauge, self._lose_one)
            self.clients.append(client)
            nursery.start_soon(client.run)
        for client in self.clients:
            await client.greeted.wait()

    async def _subscribe(self) -> None:
        self.phase = "subscribing"
        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(client.subscribe)

    async def _wait(self, seconds: float) -> None:
        """For this time, or until no client is left."""
        with trio.move_on_after(seconds):
            await self._none_left.wait()

    def _lose_one(self) -> None:
        self._alive -= 1
        if not self._alive:
            self._none_left.set()

    async def _measure(self) -> None:
        if self._none_left.is_set():
            return
        self.phase = "measuring"
        self.gauge.latencies = self.gauge.latencies.fresh()
        self._before = [attrs.evolve(client.intake.totals) for client in self.clients]
        self._began, self._cpu_began = trio.current_time(), self.config.cpu_clock()
        await self._wait(self.config.seconds)

    def _finish(self) -> None:
        if self._began is None:
            return
        pairs = [(client.intake.totals, before) for client, before in zip(self.clients, self._before, strict=True)
                 if client.answer is not None]  # fmt: skip
        self.measured = Measured(
            max(trio.current_time() - self._began, math.ulp(1.0)),
            self.config.cpu_clock() - self._cpu_began,
            [after.messages - before.messages for after, before in pairs],
            [after.bytes - before.bytes for after, before in pairs],
        )
