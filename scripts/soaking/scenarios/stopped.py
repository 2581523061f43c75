"""One of many clients is stopped (SIGSTOP) while it reads a fast market.

It must be cut within 15 seconds, with 4008 or a reset as it finds when it goes on; the others must lose nothing, with
the same p99 of latency as before and after, up to a fifth. The p99 is that of a second, the median of all seconds:
another process that takes the machine for a moment is not the server's doing.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import time
from datetime import datetime
from typing import Final

import attrs
import trio

from soaking import SYMBOL
from soaking.children import Child, open_child
from soaking.crowd import Figures
from soaking.running import say
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.serving import Serve, open_serve

__all__ = ["SCENARIO", "Result", "judge_result"]

_LONGEST: Final = 15.0
_SHARE: Final = 1.2
_LEAST_MS: Final = 1.0
"""What the scheduler of a busy machine adds now and then: less than that is no difference."""
_CODES: Final = {"4008", "reset"}
_PATIENCE: Final = 10.0
_CUT: Final = "disconnected"


@attrs.frozen
class Result:
    """What came of it; `cut` is None where it was not cut, `code` what the stopped client found when it went on."""

    cut: float | None
    code: str
    before: tuple[Figures, ...]
    during: tuple[Figures, ...]
    after: tuple[Figures, ...]

    @property
    def p99(self) -> tuple[float, float]:
        """The others' p99 before the stop and after the cut, and in between, in milliseconds."""
        quiet, during = ((*self.before, *self.after), self.during)
        return statistics.median(one.p99 for one in quiet), statistics.median(one.p99 for one in during)

    def figures(self) -> list[str]:
        """As lines for a person."""
        cut = "not cut" if self.cut is None else f"cut {self.cut:.1f} s after the stop"
        lines = [f"the stopped client: {cut}, found {self.code or 'nothing'} when it went on"]
        for name, some in (("before", self.before), ("stopped", self.during), ("after the cut", self.after)):
            seconds, messages = sum(one.seconds for one in some), sum(one.messages for one in some)
            clients = max(1, some[-1].open)
            lines.append(
                f"{name}: {messages / seconds / clients:,.0f} messages a second to each of {clients} others, "
                f"{sum(one.lost for one in some)} lost, {sum(one.disordered for one in some)} out of order; p50 "
                f"{statistics.median(one.p50 for one in some):.2f} ms, p99 "
                f"{statistics.median(one.p99 for one in some):.2f} ms, worst {max(one.worst for one in some):.0f} ms"
            )
        return lines


def judge_result(result: Result, failures: list[str]) -> Report:
    """The verdict."""
    quiet, during = result.p99
    sound = all(one.sound and one.messages for one in (*result.before, *result.during, *result.after))
    promises = {
        f"the stopped client was not cut within {_LONGEST:g} s": result.cut is not None and result.cut <= _LONGEST,
        f"the stopped client found {result.code or 'nothing'}": result.code in _CODES,
        "the others have lost something": sound,
        f"the others' p99 is more than a fifth worse: {during:.2f} ms, {quiet:.2f} ms before and after": (
            during <= max(quiet * _SHARE, quiet + _LEAST_MS)
        ),
        f"the server has logged errors: {failures[:3]}": not failures,
    }
    return judge(result.figures(), promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=whole, default=50, help="the stopped one included (default: 50)")
    parser.add_argument("--rate", type=above_zero, default=5_000.0, help="messages a second to each (default: 5000)")
    parser.add_argument("--seconds", type=whole, default=10, help="before the stop, and after the cut (default: 10)")


async def _run(given: argparse.Namespace) -> Report:
    async with (
        open_serve(rate=given.rate) as server,
        open_child("crowd", port=server.port, clients=1, symbol=SYMBOL) as stopped,
        open_child("crowd", port=server.port, clients=max(1, given.clients - 1), symbol=SYMBOL) as others,
    ):
        await stopped.answer()
        await others.answer()
        say(f"{given.clients} clients have subscribed")
        await others.ask({})
        before = [await _second(others) for _ in range(given.seconds)]
        say("stopping one")
        stopped.signal(signal.SIGSTOP)
        cut, during = await _until_cut(server, others)
        stopped.signal(signal.SIGCONT)
        after = [await _second(others) for _ in range(given.seconds)]
        return judge_result(
            Result(cut, await _code(stopped), tuple(before), tuple(during), tuple(after)), server.failures
        )


async def _second(others: Child) -> Figures:
    await trio.sleep(1)
    return Figures(**await others.ask({}))


async def _until_cut(server: Serve, others: Child) -> tuple[float | None, list[Figures]]:
    """Watch the others, a second at a time, until the server's log says that it has cut the one that is stopped."""
    began, during = time.time(), []
    while time.time() < began + _LONGEST + _PATIENCE:
        during.append(await _second(others))
        for entry in server.log:
            if entry.get("event") == _CUT:
                return datetime.fromisoformat(entry["timestamp"]).timestamp() - began, during
    return None, during


async def _code(stopped: Child) -> str:
    """What the client that goes on finds, after all that was under way to it."""
    with trio.move_on_after(_PATIENCE):
        while True:
            figures = Figures(**await stopped.ask({}))
            if figures.ended:
                return str(next(iter(figures.ended)))
            await trio.sleep(0.1)
    return ""


SCENARIO: Final = Scenario("stopped", "a client that is stopped (SIGSTOP) while it reads", _arguments, _run)
