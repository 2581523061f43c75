"""How late messages are: `single`, `latency`, and the highest `rate` at which they are not late.

The latency of a message is the time from its stamp to when the last of 100 clients has it. Where messages come at a
rate, each is stamped with the time at which it was due, so that a server that holds up its own producer hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

from benchmark.processes import BenchError
from benchmark.rounds import OURS, PICOWS, Course, Pair, calibrate, in_turns, open_pair, say
from benchmark.table import Row, rows_of

__all__ = ["latency", "rate", "single"]

_CLIENTS: Final = 100
_AUDITED: Final = 100
_LIMIT_MS: Final = 50.0
_LOWEST: Final = 400.0
_INTERVAL: Final = 0.02
_STEP: Final = 1.25


def single(course: Course) -> list[Row]:
    """An idle server, and one message now and then, each 20 ms: p50 and p99 in milliseconds."""
    count = 30 if course.quick else 200

    def turn(name: str, audited: bool | None) -> tuple[bool, Mapping[str, float]]:
        with open_pair(course, name, _CLIENTS) as pair:
            if not audited:
                pair.audit(_AUDITED)
            # Some before, which are not timed: each connection's first frames find everything cold.
            pair.late("single", 10, interval=_INTERVAL)
            return True, _figures(pair.late("single", count, interval=_INTERVAL), "p50", "p99")

    names = course.peers.chosen((OURS, "websockets", "websockets, uvloop", PICOWS), course.contenders)
    return rows_of("single", in_turns(course, names, turn))


def latency(course: Course) -> list[Row]:
    """All at the same rate, half of the most that picows delivers: p50, p99 and p99.9 in milliseconds."""
    names = course.peers.chosen((OURS, PICOWS, "aiohttp, uvloop"), course.contenders)
    if PICOWS not in course.peers.contenders:
        say("  latency is left out: it is measured at half of what picows delivers, which is not here")
        return []
    per_second = course.found.get(f"fanout-100 of {PICOWS}", 0.0) / _CLIENTS / 2
    if not per_second:
        with open_pair(course, PICOWS, _CLIENTS) as pair:
            pair.audit(_AUDITED)
            per_second = calibrate(pair, 1.0) / 2
    per_second = max(1.0, round(per_second))
    say(f"  {per_second:,.0f} messages a second")
    seconds = 2 * course.seconds

    def turn(name: str, audited: bool | None) -> tuple[bool, Mapping[str, float]]:
        with open_pair(course, name, _CLIENTS) as pair:
            if not audited:
                pair.audit(_AUDITED)
            _pace(pair, per_second, 0.2)
            return True, _figures(_pace(pair, per_second, seconds), "p50", "p99", "p99.9")

    return rows_of("latency", in_turns(course, names, turn))


def rate(course: Course) -> list[Row]:
    """The highest rate of the feed to 100 clients at which p99 stays below 50 ms and nothing is lost.

    The first turn doubles the rate until that does not hold; each then looks closer, in steps of a quarter: up from
    where it held, or down where it does not hold again.
    """

    def turn(name: str, start: float | None) -> tuple[float, Mapping[str, float]]:
        with _Search(course, name) as search:
            if start is None:
                search.audit()
                start = search.highest(_LOWEST, 2.0)
                return start, {"messages/s": search.higher(start, _STEP)}
            search.holds(_LOWEST)
            return start, {"messages/s": search.highest(start, _STEP)}

    names = course.peers.chosen((OURS, PICOWS, "websockets, uvloop"), course.contenders)
    return rows_of("rate", in_turns(course, names, turn))


class _Search:
    """Tries rates on one server, which is started anew when a rate was more than it survived."""

    def __init__(self, course: Course, name: str) -> None:
        self._course = course
        self._name = name
        self._stack = ExitStack()
        self._pair: Pair | None = None

    def __enter__(self) -> _Search:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def audit(self) -> None:
        """The audit of a warm-up."""
        self._opened().audit(_AUDITED)

    def highest(self, start: float, step: float) -> float:
        """The highest rate that holds, in steps from `start`: up, or down where `start` does not hold.

        Raises:
            BenchError: not even the lowest rate holds.
        """
        if self.holds(start):
            return self.higher(start, step)
        current = start
        while current > _LOWEST / 2:
            current /= step
            if self.holds(current):
                return current
        raise BenchError(f"{self._name} does not hold {current:,.0f} messages a second: {self._why}")

    def higher(self, current: float, step: float) -> float:
        """The highest rate that holds, where this one does."""
        while self.holds(current * step):
            current *= step
        return current

    def holds(self, per_second: float) -> bool:
        """Whether all that is published at this rate is received, and p99 in time, at the second try at the latest:
        what another process of the machine does for a moment is no limit of a server.
        """
        return self._holds(per_second) or self._holds(per_second)

    def _holds(self, per_second: float) -> bool:
        try:
            late = _pace(self._opened(), per_second, 0.25 if self._course.quick else 1.0)
        except BenchError as error:
            self._stack.close()
            self._pair = None
            self._why = str(error)
            say(f"      {self._name}: {per_second:10,.0f} messages/s: {error}")
            return False
        self._why = f"p99 is {late['p99']:,.1f} ms"
        say(f"      {self._name}: {per_second:10,.0f} messages/s: {self._why}")
        return bool(late["p99"] < _LIMIT_MS)

    def _opened(self) -> Pair:
        if self._pair is None:
            self._pair = self._stack.enter_context(open_pair(self._course, self._name, _CLIENTS))
        return self._pair


def _pace(pair: Pair, per_second: float, seconds: float) -> dict[str, float]:
    return pair.late("pace", max(1, round(per_second * seconds)), rate=per_second)


def _figures(late: Mapping[str, float], *names: str) -> dict[str, float]:
    return {f"ms {name}": late[name] for name in names}
