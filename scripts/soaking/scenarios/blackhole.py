"""A black hole: from one moment on, nothing passes either way, and nobody is told. Both ends must find it within 45 s.

Some clients come by the fault proxy, which goes mute, and keeps their connections open. Where the kernel can be made to
drop packets (root, Linux, iptables), all those of some other clients are dropped, on another server. The clients have
connected a part of a heartbeat after each other, so that it begins at all phases of it. A client has found it when it
has given up its connection; the server, when it is done with it: it has waited for an answer, and said goodbye.

Then all passes again, and every client must be back, with all that was published meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from functools import partial
from typing import Final

import attrs
import trio

from datafye_trio.client import FeedConfig
from datafye_trio.testing import Verdict, open_proxy
from soaking.packets import drop_all, enter_own_network, pass_all
from soaking.running import ServerProcess, say, topics_of, wait_for_all
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.server import ServerSettings
from soaking.watched import WatchedClient, account_of

__all__ = ["SCENARIO", "Found", "HoleSettings", "judge_holes", "run_holes"]

_IN_TIME: Final = 4.5
"""Heartbeats: 45 s of 10 s."""
_LONGER: Final = 0.2
"""Heartbeats that the hole lasts beyond that."""
_LAST_SECONDS: Final = 60.0
_RING_SECONDS: Final = 300.0
_MUTE: Final = "a proxy that goes mute"
_DROPPED: Final = "all packets dropped"


@attrs.frozen
class HoleSettings:
    """What to run: `clients` of each kind; `heartbeat` is the seconds between two, and answers are due within three."""

    clients: int = 10
    heartbeat: float = 10.0
    drop: bool = True
    rate: float = 50.0
    symbols: int = 20
    each: int = 2

    @property
    def in_time(self) -> float:
        """The seconds within which it must be found."""
        return _IN_TIME * self.heartbeat

    def server(self) -> ServerSettings:
        """The server's part: a ring that outlasts the hole, and the time in which clients come back."""
        return ServerSettings(self.symbols, self.rate, ring_seconds=_RING_SECONDS, heartbeat=self.heartbeat)


@attrs.frozen
class Found:
    """When a hole was found, in seconds after its beginning: by clients, and by the server (with its close code)."""

    kind: str
    connections: int
    clients: tuple[float, ...]
    server: tuple[tuple[float, int | None], ...]
    verdict: Verdict

    def __str__(self) -> str:
        codes = Counter(code for _, code in self.server)
        told = ", ".join(f"{count} with {code}" for code, count in codes.items())
        return (
            f"{self.kind}: found by {len(self.clients)} of {self.connections} clients within "
            f"{max(self.clients, default=0):.1f} s, by the server for {len(self.server)} within "
            f"{max((seconds for seconds, _ in self.server), default=0):.1f} s ({told}); afterwards {self.verdict}"
        )

    def promises(self, seconds: float) -> dict[str, bool]:
        """What must hold, in so many seconds."""
        clients = sum(found <= seconds for found in self.clients)
        server = sum(found <= seconds for found, _ in self.server)
        sound = self.verdict.sound and not self.verdict.gaps + self.verdict.restarts
        return {
            f"{self.kind}: {clients} of {self.connections} clients found it within {seconds:g} s": (
                clients >= self.connections
            ),
            f"{self.kind}: the server found {server} of {self.connections} within {seconds:g} s": (
                server >= self.connections
            ),
            f"{self.kind}: not all that was published came once and in order": sound,
        }


async def run_holes(settings: HoleSettings) -> tuple[list[Found], str | None]:
    """Run it: what was found, and why no packets were dropped, if none were."""
    no_drop = enter_own_network() if settings.drop else "it was not wanted"
    found: list[Found] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_mute, settings, found)
        if no_drop is None:
            nursery.start_soon(_dropped, settings, found)
    return found, no_drop


async def _mute(settings: HoleSettings, found: list[Found]) -> None:
    async with ServerProcess(settings.server()) as server:
        hole = _Hole(_MUTE, settings, server)
        reach = partial(trio.open_tcp_stream, "127.0.0.1", await server.listen())
        async with open_proxy(reach) as proxy, trio.open_nursery() as nursery:
            await hole.join(nursery, await proxy.listen())
            await hole.begin()
            proxy.stall()
            await hole.wait()
            proxy.resume()
            found.append(await hole.end())
            nursery.cancel_scope.cancel()


async def _dropped(settings: HoleSettings, found: list[Found]) -> None:
    async with ServerProcess(settings.server()) as server, trio.open_nursery() as nursery:
        hole = _Hole(_DROPPED, settings, server)
        port = await server.listen()
        await hole.join(nursery, port)
        await hole.begin()
        await drop_all(port)
        await hole.wait()
        await pass_all()
        found.append(await hole.end())
        nursery.cancel_scope.cancel()


class _Hole:
    """One server, its clients, and what they find."""

    def __init__(self, kind: str, settings: HoleSettings, server: ServerProcess) -> None:
        self._kind = kind
        self._settings = settings
        self._server = server
        topics = [topics_of(number, settings.each, settings.symbols) for number in range(settings.clients)]
        self._clients = [WatchedClient(number, own, FeedConfig()) for number, own in enumerate(topics)]
        self._began = 0.0
        self._seen: list[tuple[float, int | None]] = []

    async def join(self, nursery: trio.Nursery, port: int) -> None:
        """Connect all to a port, over one heartbeat, and one more later all is as ever."""
        for client in self._clients:
            nursery.start_soon(client.run, port)
            await client.subscribed.wait()
            await trio.sleep(self._settings.heartbeat / len(self._clients))
        await self._server.tell("go")
        await trio.sleep(self._settings.heartbeat)

    async def begin(self) -> None:
        """It begins now."""
        say(f"  {self._kind}: {len(self._clients)} clients; the hole begins")
        await self._server.watch()  # what was before is none of it
        self._began = time.monotonic()

    async def wait(self) -> None:
        """As long as it lasts."""
        await trio.sleep((_IN_TIME + _LONGER) * self._settings.heartbeat)
        self._seen = [(when - self._began, code) for when, code in (await self._server.watch())["ended"]]

    async def end(self) -> Found:
        """All passes again: what was found."""
        since = [[when - self._began for when, _ in client.lost if when >= self._began] for client in self._clients]
        clients = [first for first, *_ in filter(None, since)]
        say(f"  {self._kind}: the hole has ended; waiting for the clients")
        await self._server.tell("stop")
        await wait_for_all(self._clients, await self._server.log(), _LAST_SECONDS)
        verdict = account_of(self._clients)
        return Found(self._kind, len(self._clients), tuple(clients), tuple(self._seen), verdict)


def judge_holes(settings: HoleSettings, found: list[Found], no_drop: str | None) -> Report:
    """The figures and the promises."""
    figures = [str(one) for one in found]
    if no_drop is not None:
        figures.append(f"left out: {_DROPPED} ({no_drop})")
    promises: dict[str, bool] = {}
    for one in found:
        promises |= one.promises(settings.in_time)
    return judge(figures, promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=whole, default=10, help="of each kind (default: 10)")
    parser.add_argument(
        "--heartbeat",
        type=above_zero,
        default=10.0,
        help="seconds between two; it must be found within four and a half (default: 10, as servers have it)",
    )
    parser.add_argument("--no-drop", action="store_true", help="drop no packets, even where that is possible")


async def _run(given: argparse.Namespace) -> Report:
    settings = HoleSettings(given.clients, given.heartbeat, not given.no_drop)
    return judge_holes(settings, *await run_holes(settings))


SCENARIO: Final = Scenario("blackhole", "nothing passes any more, and nobody is told", _arguments, _run)
