"""A herd: 500 clients of one address lose their server at the same moment, and come back at the same moment.

First the server is killed (SIGKILL), then the next one is ended in good order, which sends 1001 to all. Each time the
port is silent for a second, and then there is a new server. Loopback is held to the limits of any other address here:
500 connections, 200 new ones a second. All must be back within 10 s, counted from when the port answers, each with an
event of the new server; and nobody may be turned away (503) again and again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal, TypeAlias

import attrs
import trio

from datafye_trio import ConnectionLimits
from datafye_trio.client import FeedConfig, Reconnect
from datafye_trio.testing import Verdict
from soaking.running import ServerProcess, say, topics_of, wait_for_all
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.server import ServerSettings
from soaking.watched import WatchedClient, account_of

__all__ = ["SCENARIO", "HerdSettings", "Return", "judge_herd", "run_herd"]

_IN_TIME: Final = 10.0
_MOST_BUSY: Final = 3
"""Times that one client may be told 503 after one restart. With the limits as they are, two can happen."""
_PACE: Final = 150.0
"""New connections a second at the start, which is not what is tried here."""
_WAIT_SECONDS: Final = 60.0

How: TypeAlias = Literal["killed", "ended"]


@attrs.frozen
class HerdSettings:
    """What to run: the port is silent for `down` seconds; before that, clients were well for `healthy`."""

    clients: int = 500
    healthy: float = 60.0
    down: float = 1.0
    rate: float = 200.0
    ways: tuple[How, ...] = ("killed", "ended")
    spare: float = 5.0
    """Seconds beyond that; in each, every topic has an event."""
    symbols: int = 50
    each: int = 2

    def server(self, life: int, port: int) -> ServerSettings:
        """The server of a life."""
        return ServerSettings(self.symbols, self.rate, port, life=life, seed=life, count_loopback=True)


@attrs.frozen
class Return:
    """One restart: seconds from when the port answered to each client's first event, and what that took."""

    how: How
    back: tuple[float, ...]
    absent: int
    attempts: int
    busy: tuple[int, ...]
    """For each client, how often it was told 503."""

    def __str__(self) -> str:
        times = sorted(self.back)
        half, last = (times[len(times) // 2], times[-1]) if times else (0.0, 0.0)
        return (
            f"{self.how}: half are back within {half:.2f} s, all within {last:.2f} s of the port's answering"
            + (f"; {self.absent} are not back" if self.absent else "")
            + f"; {self.attempts:,} attempts, {sum(self.busy):,} answers with 503, "
            f"{max(self.busy, default=0)} of them at most for one client"
        )


@attrs.define(eq=False)
class _Before:
    """How often each client had tried, and been told 503, before a restart."""

    attempts: list[int]
    busy: list[int]

    @classmethod
    def of(cls, clients: Sequence[WatchedClient]) -> _Before:
        return cls([client.attempts for client in clients], [client.busy for client in clients])


async def run_herd(settings: HerdSettings) -> tuple[list[Return], Verdict, list[str]]:
    """Run it; the restarts, what clients got, and what has ended feeds."""
    config = FeedConfig(Reconnect(healthy_after=settings.healthy))
    clients = [
        WatchedClient(number, topics_of(number, settings.each, settings.symbols), config)
        for number in range(settings.clients)
    ]
    returns: list[Return] = []
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        server = await stack.enter_async_context(ServerProcess(settings.server(0, 0)))
        port = await server.listen()
        for client in clients:
            nursery.start_soon(client.run, port)
            await trio.sleep(1 / _PACE)
        for client in clients:
            await client.subscribed.wait()
        say(f"{settings.clients} clients have subscribed")
        await server.tell("go")
        for life, how in enumerate(settings.ways, 1):
            spare = await stack.enter_async_context(ServerProcess(settings.server(life, port)))
            await trio.sleep(settings.healthy + settings.spare)
            before = _Before.of(clients)
            server.kill() if how == "killed" else await server.end()
            await trio.sleep(settings.down)
            await spare.listen()
            up = time.monotonic()
            await spare.tell("go")
            server = spare
            returns.append(await _return(how, life, up, clients, before))
            say(f"  {returns[-1]}")
        await trio.sleep(settings.spare)
        await server.tell("stop")
        await wait_for_all(clients, await server.log(), _WAIT_SECONDS)
        verdict = account_of(clients, len(settings.ways))
        nursery.cancel_scope.cancel()
    return returns, verdict, [client.failure for client in clients if client.failure]


async def _return(how: How, life: int, up: float, clients: Sequence[WatchedClient], before: _Before) -> Return:
    """Wait for all, and look."""
    with trio.move_on_after(_WAIT_SECONDS):
        for client in clients:
            await client.wait_back(life)
    back = tuple(client.back[life] - up for client in clients if life in client.back)
    attempts = sum(client.attempts for client in clients) - sum(before.attempts)
    busy = tuple(client.busy - old for client, old in zip(clients, before.busy, strict=True))
    return Return(how, back, len(clients) - len(back), attempts, busy)


def judge_herd(settings: HerdSettings, returns: Sequence[Return], verdict: Verdict, failures: Sequence[str]) -> Report:
    """The figures and the promises."""
    figures = (
        f"{settings.clients} clients of one address, held to its limits; {settings.down:g} s without a server",
        *map(str, returns),
        str(verdict),
    )
    promises = {"not all that was published came once, in order, or was told lost": verdict.sound}
    for one in returns:
        late = one.absent + sum(seconds > _IN_TIME for seconds in one.back)
        looped = sum(count > _MOST_BUSY for count in one.busy)
        promises[f"{one.how}: {late} were not back within {_IN_TIME:g} s"] = not late
        promises[f"{one.how}: {looped} were told 503 more than {_MOST_BUSY} times"] = not looped
    promises |= {f"a feed has ended: {why}": False for why in failures[:3]}
    return judge(figures, promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clients", type=_clients, default=500, help="default: 500, the most that one address may have"
    )
    parser.add_argument(
        "--healthy", type=above_zero, default=60.0, help="seconds that clients were well before (default: 60)"
    )
    parser.add_argument("--down", type=above_zero, default=1.0, help="seconds without a server (default: 1)")


def _clients(text: str) -> int:
    count = whole(text)
    if count > (most := ConnectionLimits().per_address):
        raise argparse.ArgumentTypeError(f"{text}: one address may have {most} connections (connections.per_address)")
    return count


async def _run(given: argparse.Namespace) -> Report:
    settings = HerdSettings(given.clients, given.healthy, given.down)
    return judge_herd(settings, *await run_herd(settings))


SCENARIO: Final = Scenario("herd", "500 clients of one address come back at once", _arguments, _run)
