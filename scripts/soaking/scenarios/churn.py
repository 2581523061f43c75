"""Half an hour of coming and going: 200 clients, five changes of a subscription a second, a cut now and then.

Whatever a subscription gets is judged by the source's own log. The server is looked at every five seconds: its memory
may grow by no more than 1 MiB an hour after a warm-up, by the line of least squares; and when all has settled at the
end, it has as many descriptors and tasks as before the first change.

Memory is what is the process's own (`Pss_Anon`): a library's pages count for less as soon as another process uses it,
too. The number of Python's memory blocks is told besides, as it has no noise of the allocator in it. In less than ten
minutes after the warm-up the slope is told, but proves nothing.

What the first connections have is taken in one go, and lies close together; what takes its place when they end lies
scattered. So the heap grows a little until each of them has been replaced a few times, which at a cut in five seconds
takes an hour: while it warms up, there are ten times as many cuts.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from datafye_trio.testing import Topic, Verdict
from soaking.restless import Restless
from soaking.running import ServerProcess, say
from soaking.scenario import Report, Scenario, above_zero, judge, seed, whole
from soaking.server import ServerSettings, symbols_of
from soaking.trends import Trend, trend_of

__all__ = ["SCENARIO", "ChurnSettings", "Look", "judge_churn", "run_churn"]

_MOST_GROWTH: Final = 2**20 / 3600
"""Bytes a second: 1 MiB an hour."""
_SHORTEST: Final = 600.0
_LONGEST_WARM_UP: Final = 600.0
_WARMING: Final = 10.0
"""Cuts for one, while it warms up."""
_LOOK: Final = 5.0
_TELL: Final = 12
"""Looks from one line of progress to the next."""
_PACE: Final = 100.0
_LAST_SECONDS: Final = 30.0


@attrs.frozen
class ChurnSettings:
    """What to run: `changes` and `cuts` a second, over all clients together."""

    seconds: float = 1_800.0
    clients: int = 200
    changes: float = 5.0
    cuts: float = 0.2
    rate: float = 200.0
    seed: int = 1
    symbols: int = 50
    settle: float = 3.0
    """Seconds that the server has to clear away what is over, and each topic to have an event."""

    def server(self) -> ServerSettings:
        """The server's part: a ring that is as full after a minute as it will ever be."""
        return ServerSettings(self.symbols, self.rate, seed=self.seed, ring_seconds=60.0, ring_messages=100)

    @property
    def warm_up(self) -> float:
        """Seconds whose memory does not count."""
        return min(_LONGEST_WARM_UP, 0.4 * self.seconds)


@attrs.frozen
class Look:
    """What was seen of the server: `time` in seconds since the first change, memory in bytes, and Python's blocks."""

    time: float
    memory: int
    blocks: int
    descriptors: int
    tasks: int


@attrs.frozen
class Churned:
    """How it went."""

    looks: tuple[Look, ...]
    before: Look
    after: Look
    published: int
    verdict: Verdict
    changes: int
    cuts: int
    losses: int
    codes: Counter[int | None]
    failures: tuple[str, ...]


def memory_of(pid: int) -> int:
    """Bytes of memory that are a process's own: anonymous pages, by share where several have them."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines if words[-1] == "kB"}
    return sizes.get("Pss_Anon:", sizes["Pss:"])


async def run_churn(settings: ChurnSettings) -> Churned:
    """Run it."""
    names = symbols_of(settings.symbols)
    clients = [Restless(number, names, settings.seed) for number in range(settings.clients)]
    async with ServerProcess(settings.server()) as server, trio.open_nursery() as nursery:
        port = await server.listen()
        await server.tell("go")
        for client in clients:
            nursery.start_soon(client.run, port)
            await trio.sleep(1 / _PACE)
        for client in clients:
            await client.subscribed.wait()
        churning = _Churning(settings, server, clients)
        say(f"{settings.clients} clients have subscribed; {settings.seconds:g} s to go")
        churned = await churning.run()
        nursery.cancel_scope.cancel()
    return churned


class _Churning:
    def __init__(self, settings: ChurnSettings, server: ServerProcess, clients: Sequence[Restless]) -> None:
        self._settings = settings
        self._server = server
        self._clients = clients
        self._chance = random.Random(settings.seed)
        self._codes: Counter[int | None] = Counter()
        self._looks: list[Look] = []
        self._began = trio.current_time()

    async def run(self) -> Churned:
        """Churn, settle, and look."""
        before = await self._settled()
        changes = sum(client.changes for client in self._clients)
        self._began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._each, self._settings.changes, Restless.change)
            nursery.start_soon(self._cut)
            await self._watch()
            nursery.cancel_scope.cancel()
        changes = sum(client.changes for client in self._clients) - changes
        after = await self._settled()
        log = await self._end()
        return Churned(
            tuple(self._looks),
            before,
            after,
            sum(log.values()),
            Verdict.sum([client.verdict(log) for client in self._clients]),
            changes,
            sum(client.cuts for client in self._clients),
            sum(client.losses for client in self._clients),
            self._codes,
            tuple(client.failure for client in self._clients if client.failure),
        )

    async def _cut(self) -> None:
        with trio.move_on_after(self._settings.warm_up):
            await self._each(_WARMING * self._settings.cuts, Restless.cut)
        await self._each(self._settings.cuts, Restless.cut)

    async def _each(self, rate: float, act: Callable[[Restless], None]) -> None:
        """Have it done to a random client, so often a second."""
        while True:
            await trio.sleep(1 / rate)
            client = self._chance.choice(self._clients)
            if client.failure is None:
                act(client)

    async def _watch(self) -> None:
        end = self._began + self._settings.seconds
        while (left := end - trio.current_time()) > 0:
            await trio.sleep(min(_LOOK, left))
            self._looks.append(await self._look())
            if len(self._looks) % _TELL == 0:
                self._tell()

    def _tell(self) -> None:
        look = self._looks[-1]
        say(
            f"  {look.time:,.0f} s: {look.memory / 2**20:.2f} MiB, {look.blocks:,} blocks, "
            f"{look.descriptors} descriptors, {look.tasks} tasks; "
            f"{sum(client.received for client in self._clients):,} messages received, "
            f"{sum(client.changes for client in self._clients):,} changes, "
            f"{sum(client.cuts for client in self._clients):,} cuts"
        )

    async def _look(self) -> Look:
        seen = await self._server.watch()
        self._codes.update(code for _, code in seen["ended"])
        pid, time = self._server.pid, trio.current_time() - self._began
        return Look(time, memory_of(pid), seen["blocks"], descriptors_of(pid), seen["tasks"])

    async def _settled(self) -> Look:
        """What is seen of the server once every client has what it wants."""
        with trio.move_on_after(_LAST_SECONDS):
            for client in self._clients:
                await client.wait_live()
        await trio.sleep(self._settings.settle)
        return await self._look()

    async def _end(self) -> dict[Topic, int]:
        """Publish no more; the log, once all have it."""
        await self._server.tell("stop")
        log = await self._server.log()
        with trio.move_on_after(_LAST_SECONDS):
            for client in self._clients:
                client.end(log)
            for client in self._clients:
                await client.done.wait()
        return log


def descriptors_of(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def judge_churn(settings: ChurnSettings, found: Churned) -> Report:
    """The figures and the promises."""
    looks = [look for look in found.looks if look.time >= settings.warm_up]
    times = [look.time for look in looks]
    memory, blocks = (trend_of(times, values) for values in _columns(looks))
    span = times[-1] - times[0] if times else 0.0
    before, after = found.before, found.after
    figures = (
        f"{settings.clients} clients for {settings.seconds:g} s: {found.changes:,} changes of subscriptions, "
        f"{found.cuts:,} cuts, {found.losses:,} connections lost",
        f"{found.published:,} messages published; {found.verdict}",
        f"memory after {settings.warm_up:g} s of warm-up: {_per_hour(memory, 2**20)} MiB an hour over {span:.0f} s "
        f"({_first_and_last(looks)}); Python's blocks: {_per_hour(blocks, 1)} an hour",
        f"descriptors: {before.descriptors} before, {after.descriptors} after, "
        f"{max((look.descriptors for look in found.looks), default=0)} at most; "
        f"tasks: {before.tasks} before, {after.tasks} after, {max((look.tasks for look in found.looks), default=0)} "
        "at most",
    )
    by_server = {code: count for code, count in found.codes.items() if code is not None}
    promises = {
        "not all that was published came once, in order, or was told lost": found.verdict.sound,
        f"memory grew by {memory.slope * 3600 / 2**20:.2f} MiB an hour": memory.slope <= _MOST_GROWTH,
        f"{span:.0f} s are too short to tell how memory grows: {_SHORTEST:g} are not": span >= _SHORTEST,
        f"descriptors: {before.descriptors} before, {after.descriptors} after": before.descriptors == after.descriptors,
        f"tasks: {before.tasks} before, {after.tasks} after": before.tasks == after.tasks,
        f"the server ended connections by itself: {by_server}": not by_server,
        f"{len(found.failures)} feeds have ended: {found.failures[:1]}": not found.failures,
    }
    return judge(figures, promises)


def _columns(looks: Sequence[Look]) -> tuple[list[int], list[int]]:
    return [look.memory for look in looks], [look.blocks for look in looks]


def _per_hour(trend: Trend, unit: int) -> str:
    return f"{trend.slope * 3600 / unit:+,.2f} +- {trend.error * 3600 / unit:,.2f}"


def _first_and_last(looks: Sequence[Look]) -> str:
    return f"{looks[0].memory / 2**20:.2f} to {looks[-1].memory / 2**20:.2f} MiB" if looks else "never looked at"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=above_zero, default=1_800.0, help="default: 1800")
    parser.add_argument("--clients", type=whole, default=200, help="default: 200")
    parser.add_argument("--changes", type=above_zero, default=5.0, help="a second, of all together (default: 5)")
    parser.add_argument("--cuts", type=above_zero, default=0.2, help="a second, likewise (default: 0.2)")
    parser.add_argument("--rate", type=above_zero, default=200.0, help="messages a second (default: 200)")
    seed(parser, "changes, cuts and symbols")


async def _run(given: argparse.Namespace) -> Report:
    settings = ChurnSettings(given.seconds, given.clients, given.changes, given.cuts, given.rate, given.seed)
    return judge_churn(settings, await run_churn(settings))


SCENARIO: Final = Scenario("churn", "half an hour of coming and going", _arguments, _run)
