"""Contenders in turns: a server and the load client for each turn, and what the turns come to.

They take turns, A B A B, round after round, and every turn starts both processes anew, so that no contender lives on
what another has left, and none is older than the others. A contender's first turn begins with the audit, in which every
frame is read in full, and finds out how much it can do in the time of a round; the others begin with a warm-up. A
contender that fails, loses a message or takes too long is out of the benchmark and its error stands in the table; it
has no number.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from benchmark import ENVIRONMENT, program
from benchmark.processes import BenchError, Speaker, open_speaker

__all__ = [
    "OURS", "PICOWS", "Course", "Pair", "Peers", "Turns", "calibrate", "find_peers", "in_turns", "make_certificate",
    "open_pair", "say",
]  # fmt: skip

OURS: Final = "ours"
PICOWS: Final = "picows, uvloop"
State = TypeVar("State")


@attrs.frozen
class Peers:
    """Who is here: what each can do, who cannot run and why, and the versions of what they need."""

    contenders: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, str]
    versions: Mapping[str, str]

    def chosen(self, names: Sequence[str], only: Sequence[str] | None = None, can: str = "") -> list[str]:
        """Those of these names that are here, wanted and able; a line for each that is not here."""
        found = []
        for name in names:
            if only is not None and name not in only:
                continue
            if name not in self.contenders:
                say(f"  {name} is left out: {self.missing.get(name, 'there is none of that name')}")
            elif not can or self.contenders[name][can]:
                found.append(name)
        return found


@attrs.frozen
class Course:
    """How a run of benchmarks is done: `python` runs all servers and load clients, `seconds` is what a round of a burst
    should take, `clients` how many of them there are where the benchmark does not say so itself.
    """

    python: Path
    peers: Peers
    rounds: int = 5
    seconds: float = 1.2
    quick: bool = False
    contenders: Sequence[str] | None = None
    found: dict[str, float] = attrs.field(factory=dict)
    """What one benchmark has found and another builds on, by name."""


@attrs.frozen
class Pair:
    """A server and its load client, for one turn."""

    server: Speaker
    load: Speaker
    """Its clients have subscribed."""

    def audit(self, count: int) -> None:
        """Publish so many and check every frame."""
        self.order("audit", "burst", count)

    def burst(self, count: int) -> tuple[float, int]:
        """Publish so many as fast as it goes: the seconds from the order to the last byte, and the deliveries.

        A server that makes everything before it writes says in its answer when it began to write.
        """
        begin = time.perf_counter()
        received, done = self.order("burst", "burst", count)
        return received["end"] - done.get("begin", begin), received["frames"]

    def late(self, server: str, count: int, **how: float) -> dict[str, float]:
        """Publish so many, of one topic: the percentiles of the latency, in milliseconds."""
        return self.order("times", server, count, **how)[0]

    def order(self, load: str, server: str, count: int, **how: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Have the load client listen, the server publish, and both finish: what each then says.

        Raises:
            BenchError: something was lost, or one of them failed.
        """
        self.load.order(do=load, count=count)
        self.load.answer(self.server)
        self.server.order(do=server, count=count, **how)
        received = self.load.answer(self.server)
        return received, self.server.answer(self.load)


@attrs.frozen
class Tls:
    """The files of a server's certificate and key, and of the authority that its clients trust."""

    certificate: Path
    key: Path
    authority: Path


def make_certificate(folder: Path) -> Tls:
    """A certificate of `localhost`, from an authority of its own."""
    import trustme  # only this wants it

    tls = Tls(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    tls.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    tls.key.write_bytes(issued.private_key_pem.bytes())
    tls.authority.write_bytes(authority.cert_pem.bytes())
    return tls


@contextmanager
def open_pair(course: Course, name: str, clients: int, *, tls: Tls | None = None, **more: Any) -> Iterator[Pair]:
    """Start a contender and its clients, which are subscribed; `more` is what else the load client's `Job` takes.

    Raises:
        BenchError: one of them did not start.
    """
    job: dict[str, Any] = {"clients": clients, "symbols": more.get("symbols", 1)}
    if tls is not None:
        job |= {"certificate": str(tls.certificate), "key": str(tls.key)}
        more["certificate"] = str(tls.authority)
    with (
        open_speaker(name, course.python, "contend", name, json.dumps(job)) as server,
        open_speaker(f"the load client of {name}", course.python, "load") as load,
    ):
        dialect = course.peers.contenders[name]["dialect"]
        port = server.answer()["port"]
        load.order(port=port, clients=clients, dialect=dialect, pongs=name == OURS, **more)
        load.answer(server)
        yield Pair(server, load)


def calibrate(pair: Pair, seconds: float) -> int:
    """How many messages this contender publishes in so many seconds, by bursts that grow until one can be timed."""
    count = 32
    while True:
        took, _ = pair.burst(count)
        # Half of that at least: short bursts are mostly the wait for the first byte, and made rounds a tenth as long.
        if took > seconds / 2:
            return max(1, round(count * seconds / took))
        count = min(8 * count, max(2 * count, round(count * seconds * 0.75 / took)))


@attrs.frozen
class Turns:
    """What turns came to: for each contender that has not failed its figures, each with a value a round."""

    values: dict[str, dict[str, list[float]]]
    failed: dict[str, str]


def in_turns(
    course: Course, names: Sequence[str], turn: Callable[[str, State | None], tuple[State, Mapping[str, float]]]
) -> Turns:
    """Give each of the contenders a turn, round after round. A turn gets what the contender's turn before has found,
    None in its first, which begins with the audit, and gives that back with the figures.
    """
    states: dict[str, State] = {}
    turns = Turns({}, {})
    for number in range(course.rounds):
        say(f"  round {number + 1} of {course.rounds}")
        for name in names:
            if name in turns.failed:
                continue
            with _failing(turns, name):
                states[name], figures = turn(name, states.get(name))
                say(f"    {name:24}" + "  ".join(f"{value:14,.2f} {figure}" for figure, value in figures.items()))
                for figure, value in figures.items():
                    turns.values.setdefault(name, {}).setdefault(figure, []).append(value)
    return turns


@contextmanager
def _failing(turns: Turns, name: str) -> Iterator[None]:
    try:
        yield
    except BenchError as error:
        say(f"    {name} failed: {error}")
        turns.failed[name] = str(error)
        turns.values.pop(name, None)


def find_peers(python: Path) -> Peers:
    """Ask that Python who is here.

    Raises:
        BenchError: it cannot say.
    """
    done = subprocess.run(program(python, "contend"), env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the contenders cannot be listed: {done.stderr.strip()[-2_000:]}")
    return Peers(**json.loads(done.stdout))


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
