"""`scripts/conformance`: both sides through Autobahn's cases, a verdict by section, and an exit code."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import trio
from _setup import SetupError, say

from conformity.judges import ConformanceError, judge_python, judge_side
from conformity.tls import Secrets, made_secrets
from conformity.verdicts import Result, failed, pattern, patterns_of, sections_of, table

__all__ = ["main"]

Judge: TypeAlias = Callable[[Path, str, list[str], Secrets | None], Awaitable[list[Result]]]
_Sections: TypeAlias = Callable[[str, list[str]], Awaitable[list[Result]]]

_SIDES: Final = ("server", "client")
_ABOUT: Final = """\
RFC 6455 by the cases of the Autobahn TestSuite, for the connection layers that production has: the server's guarded
stream and the client's fast lane, each with a handler that sends back what comes. Only budgets differ: messages may
have 32 MiB, and frames, fragments and control frames are not counted."""
_EXAMPLES: Final = """\
examples:
  scripts/conformance                          both sides, all cases of 1.* to 10.*
  scripts/conformance --tls                    the same over wss://
  scripts/conformance server                   the server alone
  scripts/conformance client --cases '6.*'     the client by the cases about UTF-8
  scripts/conformance --cases 7.1.1 --json     JSON on stdout, each case with its verdict

Cases 12.* and 13.* (compression) are left out: permessage-deflate is not offered.
Exit code: 0 nothing FAILED, 1 something did or there is no verdict, 2 wrong arguments, 130 after Ctrl-C."""


def main(arguments: Sequence[str] | None = None, judge: Judge = judge_side) -> int:
    """0: nothing failed; 1: something did, or could not be judged; 130: interrupted."""
    given = _given(arguments)
    logging.getLogger("trio-websocket").setLevel(logging.CRITICAL)  # the judge breaks rules on purpose
    try:
        python = judge_python() if judge is judge_side else Path(sys.executable)
        with made_secrets() if given.tls else nullcontext() as secrets:
            return trio.run(_run, given, lambda side, patterns: judge(python, side, patterns, secrets))
    except (SetupError, OSError) as error:
        say(str(error))
        return 1


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("side", nargs="?", choices=_SIDES, help="judge this side alone")
    parser.add_argument("--cases", action="append", default=[], type=_cases, metavar="PATTERN", help="such as 6.4.*")
    parser.add_argument("--tls", action="store_true", help="over TLS, which takes other paths through both sides")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    return parser.parse_args(arguments)


def _cases(text: str) -> str:
    try:
        return pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def _run(given: argparse.Namespace, judge: _Sections) -> int:
    sides = (given.side,) if given.side else _SIDES
    code = 0
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal code
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    code = 128 + number
                    nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        code = await _judge_sides(given, judge, sides)
        nursery.cancel_scope.cancel()
    return code


async def _judge_sides(given: argparse.Namespace, judge: _Sections, sides: Sequence[str]) -> int:
    found: dict[str, list[Result]] = {}
    for side in sides:
        found[side], seconds = [], {}
        for section in sections_of(given.cases):
            started = trio.current_time()
            try:
                results = await judge(side, patterns_of(section, given.cases))
            except ConformanceError as error:
                say(str(error))
                return 1
            seconds[section] = trio.current_time() - started
            found[side] += results
            say(f"{side} {section}.*: {len(results)} cases, {len(failed(results))} failed, {seconds[section]:.1f} s")
        if not given.json:
            print(table(f"{side}{' over TLS' if given.tls else ''}", found[side], seconds), end="\n\n", flush=True)
    if given.json:
        print(json.dumps({side: [attrs.asdict(each) for each in results] for side, results in found.items()}, indent=2))
    return 1 if any(failed(results) for results in found.values()) else 0
