"""A stranger takes all descriptors of a server that may have few of them (`ulimit -n`), while clients receive.

The stranger opens more connections than there are descriptors, says nothing on them, and makes each that is closed
anew. The clients that were there must lose nothing; once the stranger has left, a new client must be let in within a
second.
"""

from __future__ import annotations

import argparse
from typing import Final

import attrs
import trio

from soaking import SYMBOL
from soaking.children import open_child
from soaking.crowd import Figures
from soaking.knocking import knock, knock_until
from soaking.running import say
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.serving import Serve, open_serve

__all__ = ["SCENARIO", "Result", "judge_result"]

_LONGEST: Final = 1.0
_PATIENCE: Final = 15.0
_INTERVAL: Final = 0.02
_SAMPLE_SECONDS: Final = 0.1


@attrs.frozen
class Result:
    """What came of it; `back` are the seconds until a new client was let in, None where it never was."""

    limit: int
    most: int
    tried: int
    let_in: int
    before: Figures
    during: Figures
    after: Figures
    back: float | None


def judge_result(result: Result, failures: list[str]) -> Report:
    """The verdict."""
    before, during = result.before, result.during
    back = "never" if result.back is None else f"{result.back:.2f} s"
    figures = [
        f"at most {result.most} of {result.limit} descriptors were open; of {result.tried} new clients meanwhile, "
        f"{result.let_in} were let in",
        f"{during.open} clients: {during.messages:,} messages in {during.seconds:.1f} s, {during.lost} lost, "
        f"{during.disordered} out of order; p99 {during.p99:.1f} ms, {before.p99:.1f} ms before; worst "
        f"{during.worst:.0f} ms, {before.worst:.0f} ms before",
        f"a new client was let in after the stranger had left: {back}",
    ]
    promises = {
        "clients that were there were harmed": all(
            one.sound and one.messages > 0 for one in (before, during, result.after)
        ),
        f"a new client was not let in within {_LONGEST:g} s": result.back is not None and result.back <= _LONGEST,
        "the stranger could not use up what there was": result.let_in < result.tried,
        f"the server has logged errors: {failures[:3]}": not failures,
    }
    return judge(figures, promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=whole, default=128, help="of the server, as by ulimit -n (default: 128)")
    parser.add_argument("--connections", type=whole, default=500, help="of the stranger (default: 500)")
    parser.add_argument("--clients", type=whole, default=20, help="that are there before (default: 20)")
    parser.add_argument("--rate", type=above_zero, default=500.0, help="messages a second to each (default: 500)")
    parser.add_argument("--seconds", type=above_zero, default=10.0, help="of the attack (default: 10)")


async def _run(given: argparse.Namespace) -> Report:
    async with (
        open_serve(rate=given.rate, descriptors=given.limit) as server,
        open_child("crowd", port=server.port, clients=given.clients, symbol=SYMBOL) as clients,
    ):
        await clients.answer()
        say(f"{given.clients} clients have subscribed")
        await clients.ask({})
        await trio.sleep(given.seconds / 2)
        before = Figures(**await clients.ask({}))
        say(f"a stranger opens {given.connections} connections")
        job = {"port": server.port, "count": given.connections, "kind": "silent", "again": True, "patience": 0}
        seen = _Seen()
        async with open_child("slow_handshakes", **job):
            with trio.move_on_after(given.seconds):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(seen.look, server)
                    await seen.knock(server.port)
        back = await knock_until(server.port, _INTERVAL, _PATIENCE)
        during = Figures(**await clients.ask({}))
        await trio.sleep(given.seconds / 4)
        after = Figures(**await clients.ask({}))
        result = Result(given.limit, seen.most, seen.tried, seen.let_in, before, during, after, back)
        return judge_result(result, server.failures)


class _Seen:
    """What is seen of a server under attack."""

    def __init__(self) -> None:
        self.most = self.tried = self.let_in = 0

    async def look(self, server: Serve) -> None:
        """Note the most descriptors that it has open, for ever."""
        while True:
            self.most = max(self.most, server.descriptors)
            await trio.sleep(_SAMPLE_SECONDS)

    async def knock(self, port: int) -> None:
        """Try to be let in, for ever."""
        while True:
            with trio.move_on_after(1) as patience:
                self.let_in += await knock(port) is not None
            self.tried += 1
            if not patience.cancelled_caught:
                await trio.sleep(_SAMPLE_SECONDS)


SCENARIO: Final = Scenario("descriptors", "a stranger who takes all descriptors", _arguments, _run)
