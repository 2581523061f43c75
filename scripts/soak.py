"""The long proof that nothing is lost: `scripts/soak cuts` (or just `scripts/soak`) and `scripts/soak restarts`.

cuts: connections are cut at random bytes, in handshakes and frames too, while the source publishes on; some outages are
longer than the server's ring reaches. restarts: the server is killed (SIGKILL) and started again under load.

Each message that a client gets is judged by the source's own log, which tells what was published: 0 lost, 0 repeated,
0 out of order, and each gap exactly right, or the exit code is 1. Progress goes to stderr, the result to stdout.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from soak_cuts import CutsSettings, run_cuts
from soak_restarts import RestartsSettings, run_restarts

_IN_TIME = 3.0
_SHARE_IN_TIME = 0.99


def main() -> int:
    """Run a scenario; 0: proved, 1: not, 130: interrupted."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "cuts")
    given = _parser().parse_args(arguments)
    logging.getLogger("datafye_trio").setLevel(logging.ERROR)  # a line for each disconnection helps nobody here
    return trio.run(_until_interrupted, partial(given.run, given))


async def _until_interrupted(scenario: Callable[[], Awaitable[int]]) -> int:
    """Run it, or end everything at the first Ctrl-C."""
    code = 130
    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_at_signal, nursery.cancel_scope)
        code = await scenario()
        nursery.cancel_scope.cancel()
    return code


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
    cuts = scenarios.add_parser("cuts", help="connections cut at random bytes")
    cuts.add_argument("--cuts", type=_count, default=1_000, help="at least so many (default: 1000)")
    cuts.add_argument("--messages", type=_count, default=1_000_000, help="published in all (default: 1000000)")
    cuts.add_argument("--seconds", type=_seconds, default=120.0, help="over which they are published (default: 120)")
    cuts.set_defaults(run=_cuts)
    restarts = scenarios.add_parser("restarts", help="a server killed and started again")
    restarts.add_argument("--kills", type=_count, default=20)
    restarts.add_argument("--rate", type=_seconds, default=2_000.0, help="messages a second (default: 2000)")
    restarts.add_argument(
        "--healthy",
        type=_seconds,
        default=60.0,
        help="seconds after which a client begins its backoff anew, and a server may be killed (default: 60)",
    )
    restarts.set_defaults(run=_restarts)
    for scenario in (cuts, restarts):
        scenario.add_argument("--clients", type=_count, default=20, help="default: 20")
        scenario.add_argument("--seed", type=int, default=1, help="of cuts, outages and symbols (default: 1)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


async def _cuts(given: argparse.Namespace) -> int:
    found = await run_cuts(CutsSettings(given.cuts, given.clients, given.messages, given.seconds, given.seed))
    print(f"{found.published:,} messages published in {found.seconds:.0f} s to {given.clients} clients")
    print(
        f"{found.cuts:,} cuts: {found.handshakes:,} within the handshake, {found.by_client:,} in what a client sent; "
        f"{found.refused:,} connections refused in outages, {found.bytes / 2**20:,.0f} MiB passed"
    )
    print(found.verdict)
    if found.cuts < given.cuts:
        print(f"only {found.cuts:,} cuts: more --seconds give room for more")
    if not found.verdict.gaps:
        print("no outage was longer than the ring, so no gap was tried")
    return _judged(proved=found.verdict.sound and found.cuts >= given.cuts and found.verdict.gaps > 0)


async def _restarts(given: argparse.Namespace) -> int:
    found = await run_restarts(RestartsSettings(given.kills, given.clients, given.rate, given.seed, given.healthy))
    print(
        f"{given.kills} kills under {given.clients} clients; down for {min(found.down):.2f} to {max(found.down):.2f} s"
    )
    print(found.verdict)
    print(
        f"back after the server was up: median {found.median:.2f} s, 99 % within {found.percentile(0.99):.2f} s, "
        f"all within {max(found.back, default=0):.2f} s; {found.within(_IN_TIME):.1%} within {_IN_TIME:g} s"
        + (f"; {found.absent} did not come back before the next kill" if found.absent else "")
    )
    return _judged(proved=found.verdict.sound and found.within(_IN_TIME) >= _SHARE_IN_TIME)


def _judged(*, proved: bool) -> int:
    print("proved" if proved else "NOT PROVED")
    return 0 if proved else 1


if __name__ == "__main__":
    sys.exit(main())
