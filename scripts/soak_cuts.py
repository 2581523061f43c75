"""`scripts/soak cuts`: connections cut at random bytes, over TCP, while the source publishes on.

The server is one process; clients, their proxies and their judges are another, this one. The log comes from the server
by a pipe, at the end: neither the clients' processes nor the network have a part in it. Every client has a proxy of its
own, so that its outages are its own.
"""

from __future__ import annotations

import time

import attrs
import trio
from soak_running import Client, ServerProcess, say, topics_of, wait_for_all
from soak_server import ServerSettings

from datafye_trio.client import Reconnect
from datafye_trio.testing import Proxy, RandomCuts, Verdict, open_proxy

__all__ = ["CutsResult", "CutsSettings", "run_cuts"]

_RECONNECT = Reconnect(first=0.05, ceiling=0.5, refused_ceiling=0.5, healthy_after=0.5)
"""Quick: what is tried here is what happens after a connection, not how long a client waits for one."""
_LAST_SECONDS = 60.0


@attrs.frozen
class CutsSettings:
    """What to run. Each client is subscribed to `each` of the symbols; outages are up to `outage` seconds."""

    cuts: int
    clients: int
    messages: int
    seconds: float
    seed: int
    symbols: int = 50
    each: int = 5
    outage: float = 3.0
    ring_seconds: float = 1.5

    def server(self) -> ServerSettings:
        """The server's part: a ring that outlasts only the shorter outages."""
        return ServerSettings(
            self.symbols,
            self.messages / self.seconds,
            messages=self.messages,
            seed=self.seed,
            ring_seconds=self.ring_seconds,
            ring_messages=50,
        )

    @property
    def most_bytes(self) -> int:
        """Before the latest cut of a connection: eight times the bytes between two; the mean is far below."""
        of_client = self.messages * min(1, self.each / self.symbols) * 180
        return max(2_000, round(8 * of_client * self.clients / self.cuts))


@attrs.frozen
class CutsResult:
    """How it went. `handshakes` of the cuts came before the client had 200 bytes: within the HTTP answer."""

    verdict: Verdict
    published: int
    cuts: int
    by_client: int
    handshakes: int
    refused: int
    bytes: int
    seconds: float


async def run_cuts(settings: CutsSettings) -> CutsResult:
    """Run it."""
    async with ServerProcess(settings.server()) as server:
        port = await server.listen()
        async with trio.open_nursery() as nursery:
            run = _Run(settings, port)
            for number in range(settings.clients):
                await nursery.start(run.one_client, number)
            say(f"{settings.clients} clients have subscribed")
            began = time.monotonic()
            nursery.start_soon(run.report)
            run.start_cutting()
            await server.tell("go")
            log = await server.log()
            run.stop_cutting()
            say(f"all is published; waiting for the clients, {_LAST_SECONDS:g} s at most")
            await wait_for_all(run.clients, log, _LAST_SECONDS)
            result = run.result(sum(log.values()), time.monotonic() - began)
            nursery.cancel_scope.cancel()
    return result


class _Run:
    def __init__(self, settings: CutsSettings, port: int) -> None:
        self.clients: list[Client] = []
        self._proxies: list[Proxy] = []
        self._settings = settings
        self._port = port

    async def one_client(self, number: int, task_status: trio.TaskStatus[None]) -> None:
        client = Client(number, topics_of(number, self._settings.each, self._settings.symbols), _RECONNECT)
        self.clients.append(client)
        async with open_proxy(self._upstream) as proxy, trio.open_nursery() as nursery:
            self._proxies.append(proxy)
            nursery.start_soon(client.run, await proxy.listen())
            await client.subscribed.wait()
            task_status.started()

    async def _upstream(self) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", self._port)

    async def report(self) -> None:
        """Progress each five seconds; no more cuts once there were enough."""
        ticks = 0
        while True:
            await trio.sleep(0.2)
            cuts = sum(len(proxy.cuts) for proxy in self._proxies)
            if cuts >= self._settings.cuts:
                self.stop_cutting()
            if (ticks := ticks + 1) % 25 == 0:
                items = sum(client.oracle.received for client in self.clients)
                say(f"  {cuts:,} cuts, {items:,} messages received")

    def start_cutting(self) -> None:
        """Plans tell of new connections when to cut them: the first ones are cut by hand."""
        settings = self._settings
        for number, proxy in enumerate(self._proxies):
            seed = settings.seed * 10_000 + number
            proxy.plan = RandomCuts(seed, most=settings.most_bytes, longest_outage=settings.outage)
            proxy.cut_all()

    def stop_cutting(self) -> None:
        for proxy in self._proxies:
            proxy.plan = None

    def result(self, published: int, seconds: float) -> CutsResult:
        cuts = [cut for proxy in self._proxies for cut in proxy.cuts]
        counts = [proxy.statistics() for proxy in self._proxies]
        return CutsResult(
            Verdict.sum([client.verdict() for client in self.clients]),
            published,
            len(cuts),
            sum(cut.direction == "from_client" for cut in cuts),
            sum(cut.from_server < 200 for cut in cuts),
            sum(count.refused for count in counts),
            sum(count.from_server for count in counts),
            seconds,
        )
