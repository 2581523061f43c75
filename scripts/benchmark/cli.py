"""Benchmarks: `scripts/bench` measures server and client beside their peers, `scripts/bench NAME...` a part of that.

Each contender is a server in a process of its own, and raw sockets in another are its clients, the same for all; they
take turns, A B A B, round after round. Figures are medians of the rounds, with the lowest and the highest. A ratio is
made within a round, ours over the contender's, and then summed up, so that what else the machine does falls on both.
What is wanted of us stands beside it, with whether it is met. Who loses a message, fails or takes too long has no
figure, and the exit code is 1. The peers live in `.venv-bench`, made on first use; who is not here is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Final

from benchmark.machine import describe, facts
from benchmark.own import OWN, bench_python, count
from benchmark.own import run as run_own
from benchmark.processes import BenchError
from benchmark.rounds import Course, find_peers
from benchmark.suite import SUITE, TITLES, run
from benchmark.table import render, to_json

__all__ = ["main"]

_EXAMPLES: Final = """examples:
  scripts/bench                                   all of them, some ten minutes
  scripts/bench --quick                           the same checks in two minutes, for figures that are rough
  scripts/bench fanout-100 rate --json            two of them, as one JSON object on stdout
  scripts/bench fanout-100 --contenders ours "picows, uvloop"

alone, these have options and tables of their own (scripts/bench client --help):
  """ + ", ".join(OWN)


def main() -> int:
    """Run benchmarks and print a table or JSON; 1 where one has no figure, 130 at Ctrl-C."""
    arguments = sys.argv[1:]
    try:
        if arguments and arguments[0] in OWN and not set(arguments[1:]) & {*SUITE, *OWN}:
            return run_own(arguments)
        return _run_table(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _run_table(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    if unknown := [name for name in given.names if name not in SUITE]:
        raise SystemExit(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(SUITE)}; and {', '.join(OWN)}")
    machine = facts()  # before: the load tells whether somebody else was measured, too
    try:
        course = _course(given)
    except BenchError as error:
        raise SystemExit(str(error)) from None
    print(describe(machine), file=sys.stderr)
    rows = run(given.names or list(SUITE), course)
    if given.json:
        print(json.dumps({"machine": machine, "versions": dict(course.peers.versions), "rows": to_json(rows)}))
    else:
        versions = ", ".join(f"{name} {number}" for name, number in course.peers.versions.items())
        print(f"{describe(machine)}\n{versions}\n{render(rows, TITLES)}")
    return int(any(row.failure for row in rows))


def _course(given: argparse.Namespace) -> Course:
    python = bench_python(offline=given.offline)
    peers = find_peers(python)
    if unknown := [name for name in given.contenders or () if name not in {*peers.contenders, *peers.missing}]:
        raise SystemExit(f"there is no contender {unknown[0]!r}; there are: {'; '.join(peers.contenders)}")
    rounds = given.rounds or (2 if given.quick else 5)
    seconds = given.seconds or (0.3 if given.quick else 1.2)
    return Course(python, peers, rounds, seconds, given.quick, given.contenders)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITE)} [default: all]")
    parser.add_argument("--rounds", type=count, help="turns of each contender [default: 5; quick: 2]")
    parser.add_argument("--seconds", type=_seconds, help="what a burst should take [default: 1.2; quick: 0.3]")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and messages, under two minutes in all")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="only these servers; a wrong name shows all")
    parser.add_argument("--offline", action="store_true", help="only the peers that are installed in .venv")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.01 <= seconds <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0.01 to 10")
    return seconds
