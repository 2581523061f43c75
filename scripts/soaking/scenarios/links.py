"""Bad links: nothing may be lost, and no connection may be taken for dead that is only bad.

Some clients have a latency of 50 +- 10 ms each way, others get every byte by itself, and so does the server from them;
both come by the fault proxy. Where the kernel can be made to drop packets (root, Linux, iptables), 2 % of those to and
from the server are lost besides, also those of the proxies, and some more clients connect directly.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import attrs
import trio

from datafye_trio.client import FeedConfig
from datafye_trio.testing import Conditions, Verdict, open_proxy
from soaking.packets import drop_some, enter_own_network, pass_all
from soaking.running import ServerProcess, say, topics_of, wait_for_all
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.server import ServerSettings
from soaking.watched import WatchedClient, account_of, undisturbed

__all__ = ["SCENARIO", "LinksSettings", "run_links"]

_LATE: Final = "latency 50 +- 10 ms"
_CRUMBS: Final = "1-byte slices"
_LOSSY: Final = "loss of 2 % alone"
_CONDITIONS: Final = {_LATE: Conditions(latency=0.04, jitter=0.02), _CRUMBS: Conditions(slices=True)}
_LOSS: Final = 0.02
_LAST_SECONDS: Final = 30.0


@attrs.frozen
class LinksSettings:
    """What to run, for `seconds`: `clients` of each kind, but a quarter of them with crumbs.

    Each byte that comes by itself costs this process as much as a message.
    """

    clients: int = 8
    seconds: float = 90.0
    loss: bool = True
    rate: float = 100.0
    symbols: int = 20
    each: int = 2

    def server(self) -> ServerSettings:
        """The server's part."""
        return ServerSettings(self.symbols, self.rate)

    def group(self, name: str) -> list[WatchedClient]:
        """The clients of a kind."""
        count = self.clients if name != _CRUMBS else max(1, self.clients // 4)
        topics = [topics_of(number, self.each, self.symbols) for number in range(count)]
        return [WatchedClient(number, own, FeedConfig()) for number, own in enumerate(topics)]


async def run_links(settings: LinksSettings) -> Report:
    """Run it."""
    no_loss = enter_own_network() if settings.loss else "it was not wanted"
    names = (_LATE, _CRUMBS) if no_loss else (_LATE, _CRUMBS, _LOSSY)
    groups = {name: settings.group(name) for name in names}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ServerProcess(settings.server()))
        port = await server.listen()
        if no_loss is None:
            await drop_some(port, _LOSS)
        nursery = await stack.enter_async_context(trio.open_nursery())
        for name, clients in groups.items():
            its_port = port
            if (conditions := _CONDITIONS.get(name)) is not None:
                proxy = await stack.enter_async_context(open_proxy(partial(trio.open_tcp_stream, "127.0.0.1", port)))
                proxy.shape("from_server", conditions)
                proxy.shape("from_client", conditions)
                its_port = await proxy.listen()
            for client in clients:
                nursery.start_soon(client.run, its_port)
        for client in (client for clients in groups.values() for client in clients):
            await client.subscribed.wait()
        say(f"{sum(map(len, groups.values()))} clients have subscribed; {settings.seconds:g} s to go")
        await server.tell("go")
        await trio.sleep(settings.seconds)
        await server.tell("stop")
        log = await server.log()
        await wait_for_all([client for clients in groups.values() for client in clients], log, _LAST_SECONDS)
        if no_loss is None:
            await pass_all()
        report = _judged(settings, groups, await server.watch(), no_loss)
        nursery.cancel_scope.cancel()
    return report


def _judged(
    settings: LinksSettings, groups: Mapping[str, list[WatchedClient]], seen: Mapping[str, Any], no_loss: str | None
) -> Report:
    verdicts = {name: account_of(clients) for name, clients in groups.items()}
    loss = "no loss of packets: " + no_loss if no_loss else "2 % of all packets to and from the server lost"
    figures = (
        f"{settings.seconds:g} s at {settings.rate:g} messages a second; {loss}",
        *(f"{name}, {len(groups[name])} clients: {verdict}" for name, verdict in verdicts.items()),
    )
    everybody = [client for clients in groups.values() for client in clients]
    return judge(figures, undisturbed(Verdict.sum(verdicts.values()), everybody, seen))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=whole, default=8, help="of each kind (default: 8)")
    parser.add_argument(
        "--seconds", type=above_zero, default=90.0, help="default: 90, twice what it takes to find a dead connection"
    )
    parser.add_argument("--no-loss", action="store_true", help="lose no packets, even where that is possible")


async def _run(given: argparse.Namespace) -> Report:
    return await run_links(LinksSettings(given.clients, given.seconds, not given.no_loss))


SCENARIO: Final = Scenario("links", "latency, bytes by themselves, lost packets", _arguments, _run)
