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

from soaking.scenario import Report
from soaking.scenarios import all_scenarios

__all__ = ["main"]


def main() -> int:
    """Run a scenario; 0: proved, 1: not, 130: interrupted."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "cuts")
    given = _parser().parse_args(arguments)
    logging.getLogger("datafye_trio").setLevel(logging.ERROR)  # a line for each disconnection helps nobody here
    report = trio.run(_until_interrupted, partial(given.run, given))
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
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    scenarios = parser.add_subparsers(metavar="SCENARIO", required=True)
    for scenario in all_scenarios():
        one = scenarios.add_parser(
            scenario.name, help=scenario.help, description=sys.modules[scenario.run.__module__].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        scenario.arguments(one)
        one.set_defaults(run=scenario.run)
    return parser
