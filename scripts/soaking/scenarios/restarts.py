"""A server is killed (SIGKILL) and started again under load, on the same port; what clients got is judged as in `cuts`.

The next server's process is ready before the one before it is killed, so that how long the port is silent is this
program's choice and not the machine's. A client is back when it gets the first event of the new life.
"""

from __future__ import annotations

import argparse
import random
import statistics
from contextlib import AsyncExitStack
from typing import Final

import attrs
import trio

from datafye_trio.client import Reconnect
from datafye_trio.model import FeedItem, Trade
from datafye_trio.testing import Verdict, number_of
from soaking.running import Client, ServerProcess, say, topics_of, wait_for_all
from soaking.scenario import Report, Scenario, above_zero, judge, seed, whole
from soaking.server import ServerSettings

__all__ = ["SCENARIO", "RestartsResult", "RestartsSettings", "run_restarts"]

_IN_TIME = 3.0
_SHARE_IN_TIME = 0.99
_LAST_SECONDS = 60.0
_SPARE_SECONDS = 3.0
"""For which a server lives beyond the time that its clients take for healthy: all have come back by then."""


@attrs.frozen
class RestartsSettings:
    """What to run. A server is silent for up to `down` seconds, and lives until its clients were well for `healthy`."""

    kills: int
    clients: int
    rate: float
    seed: int
    healthy: float = 60.0
    down: float = 0.9
    symbols: int = 50
    each: int = 5

    def server(self, life: int, port: int) -> ServerSettings:
        """The server of a life."""
        return ServerSettings(self.symbols, self.rate, port, life=life, seed=self.seed + life)


@attrs.frozen
class RestartsResult:
    """How it went. `back` are the seconds from the server's being up to the first event, for each return in time."""

    verdict: Verdict
    back: tuple[float, ...]
    absent: int
    down: tuple[float, ...]

    def within(self, seconds: float) -> float:
        """The share of returns that took at most so long."""
        return sum(one <= seconds for one in self.back) / max(1, len(self.back) + self.absent)

    def percentile(self, share: float) -> float:
        """The time within which that share of those who came back did."""
        return sorted(self.back)[round(share * (len(self.back) - 1))] if self.back else 0.0

    @property
    def median(self) -> float:
        """Half of them were quicker."""
        return statistics.median(self.back) if self.back else 0.0


class _Returning(Client):
    """A client that notes when each life of the server began for it."""

    def __init__(self, number: int, settings: RestartsSettings) -> None:
        reconnect = Reconnect(healthy_after=settings.healthy)
        super().__init__(number, topics_of(number, settings.each, settings.symbols), reconnect)
        self.back: dict[int, float] = {}
        self._life = 0

    def take(self, item: FeedItem) -> None:
        if isinstance(item, Trade) and (life := number_of(item)[0]) != self._life:
            self._life = life
            self.back[life] = trio.current_time()
        super().take(item)


async def run_restarts(settings: RestartsSettings) -> RestartsResult:
    """Run it."""
    clients = [_Returning(number, settings) for number in range(settings.clients)]
    chance = random.Random(settings.seed)
    up: dict[int, float] = {}
    down = []
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        server = await stack.enter_async_context(ServerProcess(settings.server(0, 0)))
        port = await server.listen()
        for client in clients:
            nursery.start_soon(client.run, port)
        for client in clients:
            await client.subscribed.wait()
        say(f"{settings.clients} clients have subscribed")
        await server.tell("go")
        for life in range(1, settings.kills + 1):
            spare = await stack.enter_async_context(ServerProcess(settings.server(life, port)))
            await trio.sleep(settings.healthy + _SPARE_SECONDS + chance.random())
            server.kill()
            killed = trio.current_time()
            await trio.sleep(settings.down * chance.random())
            await spare.listen()
            up[life] = trio.current_time()
            down.append(up[life] - killed)
            await spare.tell("go")
            server = spare
            absent = sum(life - 1 not in client.back for client in clients) if life > 1 else 0
            say(f"  kill {life} of {settings.kills}: down for {down[-1]:.2f} s" + (f", {absent} absent" * bool(absent)))
        await trio.sleep(settings.healthy + _SPARE_SECONDS)
        await server.tell("stop")
        await wait_for_all(clients, await server.log(), _LAST_SECONDS)
        verdict = Verdict.sum([client.verdict(settings.kills) for client in clients])
        nursery.cancel_scope.cancel()
    back = [client.back[life] - up[life] for client in clients for life in up if life in client.back]
    return RestartsResult(verdict, tuple(back), settings.kills * settings.clients - len(back), tuple(down))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=whole, default=20, help="default: 20")
    parser.add_argument("--rate", type=above_zero, default=2_000.0, help="messages a second (default: 2000)")
    parser.add_argument(
        "--healthy",
        type=above_zero,
        default=60.0,
        help="seconds after which a client begins its backoff anew, and a server may be killed (default: 60)",
    )
    parser.add_argument("--clients", type=whole, default=20, help="default: 20")
    seed(parser, "outages and symbols")


async def _run(given: argparse.Namespace) -> Report:
    found = await run_restarts(RestartsSettings(given.kills, given.clients, given.rate, given.seed, given.healthy))
    figures = (
        f"{given.kills} kills under {given.clients} clients; down for {min(found.down):.2f} to {max(found.down):.2f} s",
        str(found.verdict),
        f"back after the server was up: median {found.median:.2f} s, 99 % within {found.percentile(0.99):.2f} s, "
        f"all within {max(found.back, default=0):.2f} s; {found.within(_IN_TIME):.1%} within {_IN_TIME:g} s"
        + (f"; {found.absent} did not come back before the next kill" if found.absent else ""),
    )
    promises = {
        "not all that was published came once, in order, or was told lost": found.verdict.sound,
        f"fewer than {_SHARE_IN_TIME:.0%} were back within {_IN_TIME:g} s": found.within(_IN_TIME) >= _SHARE_IN_TIME,
    }
    return judge(figures, promises)


SCENARIO: Final = Scenario("restarts", "a server killed and started again", _arguments, _run)
