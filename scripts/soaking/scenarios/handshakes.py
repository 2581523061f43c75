"""Many connections at once that never finish their handshake, beside a good client that connects again and again.

A round for each way not to finish: nothing is sent, or half a request, or a byte of it a second. Each connection must
be gone after the server's handshake time, a second more or less; the good client must be let in quickly all the while;
and the server must have as many descriptors open afterwards as before. With --tls, the silent ones keep the server in
TLS handshakes, and the good client comes by TLS.
"""

from __future__ import annotations

import argparse
import ssl
import statistics
import tempfile
from pathlib import Path
from typing import Final

import attrs
import trio
from benchmark.rounds import make_certificate

from soaking.children import open_child
from soaking.knocking import knock, knock_while
from soaking.running import say
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.serving import Serve, open_serve
from soaking.slow_handshakes import KINDS

__all__ = ["SCENARIO", "Round", "judge_rounds"]

_INTERVAL: Final = 0.05
_SLACK: Final = 1.0
_LONGEST: Final = 0.1
_SETTLE_SECONDS: Final = 3.0


@attrs.frozen
class Round:
    """One way not to finish. `closed` and `good` are seconds; a `good` of None was not let in."""

    kind: str
    closed: tuple[float, ...]
    open: int
    good: tuple[float | None, ...]
    descriptors: tuple[int, int]

    def __str__(self) -> str:
        let_in = sorted(seconds for seconds in self.good if seconds is not None)
        times = f"p50 {statistics.median(let_in) * 1e3:.1f} ms, worst {let_in[-1] * 1e3:.1f} ms" if let_in else "never"
        gone = f"gone after {min(self.closed):.2f} to {max(self.closed):.2f} s" if self.closed else "none gone"
        return (
            f"{self.kind}: {len(self.closed)} of {len(self.closed) + self.open} {gone}; a good client "
            f"{len(let_in)} of {len(self.good)} times let in: {times}; descriptors {self.descriptors[0]} before, "
            f"{self.descriptors[1]} after"
        )


def judge_rounds(rounds: list[Round], seconds: float, failures: list[str]) -> Report:
    """The verdict on all rounds, where a handshake may take so many seconds."""
    promises: dict[str, bool] = {}
    for one in rounds:
        in_time = all(abs(taken - seconds) <= _SLACK for taken in one.closed)
        quick = all(taken is not None and taken < _LONGEST for taken in one.good)
        promises |= {
            f"{one.kind}: not all were gone after {seconds:g} s, a second more or less": in_time and not one.open,
            f"{one.kind}: a good client was not always let in within {_LONGEST * 1e3:g} ms": quick and bool(one.good),
            f"{one.kind}: descriptors were left open": one.descriptors[1] <= one.descriptors[0],
        }
    promises[f"the server has logged errors: {failures[:3]}"] = not failures
    return judge([str(one) for one in rounds], promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=whole, default=500, help="at once (default: 500)")
    parser.add_argument("--seconds", type=above_zero, default=5.0, help="the server's handshake time (default: 5)")
    parser.add_argument("--tls", action="store_true", help="TLS handshakes that never begin")


async def _run(given: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        flags: list[str] = []
        tls = None
        if given.tls:
            files = make_certificate(Path(folder))
            flags = ["--cert", str(files.certificate), "--key", str(files.key)]
            tls = ssl.create_default_context(cafile=files.authority)
        async with open_serve(*flags, settings={"handshake_seconds": given.seconds}) as server:
            await knock(server.port, tls)  # the first one ever loads what later ones find loaded
            kinds = ("silent",) if given.tls else KINDS
            rounds = [await _round(server, kind, given.connections, given.seconds, tls) for kind in kinds]
            return judge_rounds(rounds, given.seconds, server.failures)


async def _round(server: Serve, kind: str, count: int, seconds: float, tls: ssl.SSLContext | None) -> Round:
    say(f"{count} connections, {kind}")
    before = server.descriptors
    good: list[float | None] = []
    job = {"port": server.port, "count": count, "kind": kind, "again": False, "patience": seconds + 3 * _SLACK}
    async with open_child("slow_handshakes", **job) as attacker, trio.open_nursery() as nursery:
        nursery.start_soon(knock_while, server.port, _INTERVAL, good, tls)
        await attacker.answer()
        ends = await attacker.answer()
        nursery.cancel_scope.cancel()
    with trio.move_on_after(_SETTLE_SECONDS):
        while server.descriptors > before:  # noqa: ASYNC110 -- nothing tells this process when that one closes them
            await trio.sleep(_INTERVAL)
    return Round(kind, tuple(ends["closed"]), ends["open"], tuple(good), (before, server.descriptors))


SCENARIO: Final = Scenario("handshakes", "connections that never finish their handshake", _arguments, _run)
