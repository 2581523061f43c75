"""One client writes as fast as it can, and comes back whenever it is cut, while others receive the market.

A round for each thing to flood with: `frames` are requests in fragments of one byte, `fragments` are empty and belong
to a message that never ends, `pings` are WebSocket pings, `requests` are pings of ours, `strangers` subscribe to 10,000
symbols that there are not, `repeated` to one symbol 10,000 times, and unsubscribe, `padding` is pongs of 128 KiB, most
of it blanks, `garbage` is JSON cut short. Each connection of the flooder must be ended within two seconds,
and the others must lose nothing, with a p99 of latency that is at most 20 ms worse than without the flooder.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Final

import attrs
import trio

from soaking import SYMBOL
from soaking.children import Child, open_child
from soaking.crowd import Figures
from soaking.flooding import KINDS
from soaking.running import say
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.serving import open_serve

__all__ = ["SCENARIO", "Round", "judge_rounds"]

_LONGEST: Final = 2.0
_WORSE_MS: Final = 20.0


@attrs.frozen
class Round:
    """One flood: the seconds that each of the flooder's connections had, the codes, and what the others saw."""

    kind: str
    seconds: tuple[float, ...]
    codes: dict[str, int]
    quiet: Figures
    flooded: Figures

    def __str__(self) -> str:
        codes = ", ".join(f"{count} with {code}" for code, count in sorted(self.codes.items()))
        return (
            f"{self.kind}: {len(self.seconds)} connections ended within {max(self.seconds, default=0.0):.2f} s "
            f"({codes}); the others' p99 {self.flooded.p99:.1f} ms, {self.quiet.p99:.1f} ms before; worst "
            f"{self.flooded.worst:.0f} ms, {self.quiet.worst:.0f} ms before"
        )


def judge_rounds(rounds: list[Round], failures: list[str]) -> Report:
    """The verdict on all rounds."""
    promises: dict[str, bool] = {}
    for one in rounds:
        cut = bool(one.seconds) and max(one.seconds) < _LONGEST and "open" not in one.codes
        promises |= {
            f"{one.kind}: a flooder was not ended within {_LONGEST:g} s": cut,
            f"{one.kind}: the others' p99 is more than {_WORSE_MS:g} ms worse": (
                one.flooded.p99 - one.quiet.p99 <= _WORSE_MS
            ),
            f"{one.kind}: the others have lost something": one.flooded.sound and one.flooded.messages > 0,
        }
    promises[f"the server has logged errors: {failures[:3]}"] = not failures
    return judge([str(one) for one in rounds], promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=whole, default=20, help="that are not to be hurt (default: 20)")
    parser.add_argument("--rate", type=above_zero, default=1_000.0, help="messages a second to each (default: 1000)")
    parser.add_argument("--seconds", type=above_zero, default=5.0, help="of each flood, and before it (default: 5)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this one; may be repeated (default: all)")


async def _run(given: argparse.Namespace) -> Report:
    async with (
        open_serve(rate=given.rate) as server,
        open_child("crowd", port=server.port, clients=given.clients, symbol=SYMBOL) as others,
    ):
        await others.answer()
        say(f"{given.clients} clients have subscribed")
        rounds = [await _round(others, server.port, kind, given.seconds) for kind in given.kind or KINDS]
        return judge_rounds(rounds, server.failures)


async def _round(others: Child, port: int, kind: str, seconds: float) -> Round:
    await others.ask({})
    await trio.sleep(seconds)
    quiet = Figures(**await others.ask({}))
    say(f"flooding with {kind}")
    ends = []
    async with open_child("flooding", port=port, kind=kind, seconds=seconds) as flooder:
        while "over" not in (end := await flooder.answer()):
            ends.append(end)
    flooded = Figures(**await others.ask({}))
    return Round(kind, tuple(end["seconds"] for end in ends), Counter(end["code"] for end in ends), quiet, flooded)


SCENARIO: Final = Scenario("flood", "a client that writes as fast as it can", _arguments, _run)
