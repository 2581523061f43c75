"""The long proofs that the server keeps its promises whatever happens to it: `scripts/soak SCENARIO`.

Each scenario runs a real server in a process of its own, does its worst to it, and judges what came of it. The exit
code is 0 where every promise held, 1 where one did not (`NOT PROVED`), 130 at Ctrl-C. Progress goes to stderr, the
figures and the verdict to stdout. Without a scenario, it runs `cuts`. `scripts/soak SCENARIO --help` tells more.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from datafye_trio.errors import leaves_of
from soaking.children import SoakError
from soaking.scenario import Report
from soaking.scenarios import all_scenarios

__all__ = ["main", "parser"]


def main() -> int:
    """Run a scenario; 0: proved, 1: not proved, or it could not go on, 130: interrupted."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "cuts")
    given = parser().parse_args(arguments)
    logging.getLogger("datafye_trio").setLevel(logging.ERROR)  # a line for each disconnection helps nobody here
    wrong: BaseException | None = None
    report = None
    try:
        report = trio.run(_until_interrupted, partial(given.run, given))
    except* (SoakError, OSError) as group:  # no place for temporary files, say
        wrong = next(leaves_of(group))
    if wrong is not None:
        print(f"scripts/soak: {wrong}", file=sys.stderr)
        return 1
    if report is None:
        return 130
    print(report)
    return 0 if report.proved else 1


async def _until_interrupted(scenario: Callable[[], Awaitable[Report]]) -> Report | None:
    """Run it, or end everything at the first Ctrl-C."""
    report = None
    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_at_signal, nursery.cancel_scope)
        report = await scenario()
        nursery.cancel_scope.cancel()
    return report


async def _cancel_at_signal(scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


def parser() -> argparse.ArgumentParser:
    """Of the command line; `run` of what it gives is what to run."""
    whole = argparse.ArgumentParser(
        prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    scenarios = whole.add_subparsers(metavar="SCENARIO", required=True)
    for scenario in all_scenarios():
        one = scenarios.add_parser(
            scenario.name, help=scenario.help, description=sys.modules[scenario.run.__module__].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        scenario.arguments(one)
        one.set_defaults(run=scenario.run)
    return whole
