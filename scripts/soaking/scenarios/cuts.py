"""Connections are cut at random bytes, in handshakes and frames too, while the source publishes on.

Some outages are longer than the server's ring reaches. Each message that a client gets is judged by the source's own
log, which tells what was published: 0 lost, 0 repeated, 0 out of order, and each gap exactly right.

The server is one process; clients, their proxies and their judges are another, this one. The log comes from the server
by a pipe, at the end: neither the clients' processes nor the network have a part in it. Every client has a proxy of its
own, so that its outages are its own.
"""

from __future__ import annotations

import argparse
import time
from typing import Final

import attrs
import trio

from datafye_trio.client import Reconnect
from datafye_trio.testing import Proxy, RandomCuts, Verdict, open_proxy
from soaking.running import Client, ServerProcess, say, topics_of, wait_for_all
from soaking.scenario import Report, Scenario, above_zero, judge, seed, whole
from soaking.server import ServerSettings

__all__ = ["SCENARIO", "CutsResult", "CutsSettings", "run_cuts"]

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
            run = _Cutting(settings, port)
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


class _Cutting:
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


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cuts", type=whole, default=1_000, help="at least so many (default: 1000)")
    parser.add_argument("--messages", type=whole, default=1_000_000, help="published in all (default: 1000000)")
    parser.add_argument(
        "--seconds", type=above_zero, default=120.0, help="over which they are published (default: 120)"
    )
    parser.add_argument("--clients", type=whole, default=20, help="default: 20")
    seed(parser, "cuts, outages and symbols")


async def _run(given: argparse.Namespace) -> Report:
    found = await run_cuts(CutsSettings(given.cuts, given.clients, given.messages, given.seconds, given.seed))
    figures = (
        f"{found.published:,} messages published in {found.seconds:.0f} s to {given.clients} clients",
        f"{found.cuts:,} cuts: {found.handshakes:,} within the handshake, {found.by_client:,} in what a client sent; "
        f"{found.refused:,} connections refused in outages, {found.bytes / 2**20:,.0f} MiB passed",
        str(found.verdict),
    )
    promises = {
        "not all that was published came once, in order, or was told lost": found.verdict.sound,
        f"only {found.cuts:,} cuts: more --seconds give room for more": found.cuts >= given.cuts,
        "no outage was longer than the ring, so no gap was tried": found.verdict.gaps > 0,
    }
    return judge(figures, promises)


SCENARIO: Final = Scenario("cuts", "connections cut at random bytes", _arguments, _run)
