"""A server with many clients is asked to stop (SIGTERM).

Each client must get a close frame with 1001 or 1012, and the server must have ended within five seconds, with exit
code 0. With --deaf, so many more clients are stopped (SIGSTOP) before: they get no frame, and must not hold it up.
"""

from __future__ import annotations

import argparse
import signal
from contextlib import AsyncExitStack
from typing import Final

import attrs
import trio

from soaking import SYMBOL
from soaking.children import Child, open_child
from soaking.crowd import Figures
from soaking.running import say
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.serving import open_serve

__all__ = ["SCENARIO", "judge_stop"]

_LONGEST: Final = 5.0
_PATIENCE: Final = 20.0
_TOLD: Final = {"1001", "1012"}


def judge_stop(clients: int, ended: Figures, code: int | None, seconds: float, failures: list[str]) -> Report:
    """The verdict on clients that were there, what they found, and the server's exit code and time."""
    told = sum(count for code, count in ended.ended.items() if code in _TOLD)
    codes = ", ".join(f"{count} got {code}" for code, count in sorted(ended.ended.items())) or "none was told"
    figures = [
        f"{clients} clients: {codes}; {ended.open} are still open",
        f"the server had ended {seconds:.2f} s after SIGTERM, with exit code {code}"
        if code is not None
        else f"the server had not ended {seconds:.2f} s after SIGTERM",
    ]
    promises = {
        f"{clients - told} clients did not get 1001 or 1012": told == clients,
        f"it took more than {_LONGEST:g} s": code is not None and seconds <= _LONGEST,
        "the exit code is not 0": code == 0,
        "clients have lost messages before the end": not (ended.lost or ended.disordered),
        f"the server has logged errors: {failures[:3]}": not failures,
    }
    return judge(figures, promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=whole, default=500, help="default: 500")
    parser.add_argument("--rate", type=above_zero, default=100.0, help="messages a second to each (default: 100)")
    parser.add_argument("--seconds", type=above_zero, default=3.0, help="before it is stopped (default: 3)")
    parser.add_argument("--deaf", type=int, default=0, help="more clients, that are stopped themselves (default: 0)")


async def _run(given: argparse.Namespace) -> Report:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_serve(rate=given.rate))
        clients = await _clients(stack, server.port, given.clients)
        deaf = await _clients(stack, server.port, given.deaf) if given.deaf > 0 else None
        say(f"{given.clients} clients have subscribed")
        await clients.ask({})
        await trio.sleep(given.seconds)
        if deaf is not None:
            deaf.signal(signal.SIGSTOP)
            await trio.sleep(given.seconds)
        code, seconds = await server.stop(_PATIENCE)
        return judge_stop(given.clients, await _ended(clients), code, seconds, server.failures)


async def _clients(stack: AsyncExitStack, port: int, count: int) -> Child:
    child = await stack.enter_async_context(open_child("crowd", port=port, clients=count, symbol=SYMBOL))
    await child.answer()
    return child


async def _ended(clients: Child) -> Figures:
    """What they have found; they may still have to read it."""
    figures = Figures(**await clients.ask({}))
    with trio.move_on_after(_LONGEST):
        while figures.open:
            await trio.sleep(0.1)
            more = Figures(**await clients.ask({}))
            lost, disordered = figures.lost + more.lost, figures.disordered + more.disordered
            figures = attrs.evolve(more, lost=lost, disordered=disordered)
    return figures


SCENARIO: Final = Scenario("stop", "a server that is asked to stop (SIGTERM)", _arguments, _run)
