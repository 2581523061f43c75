"""What a scenario of `scripts/soak` is, what it reports, and the kinds of numbers that its arguments are."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs

__all__ = ["Report", "Scenario", "above_zero", "judge", "seed", "whole"]

_MOST: Final = 10**9
"""Of anything: what is more, infinity above all, means a scenario that never ends, or breaks while it begins."""


@attrs.frozen
class Report:
    """How it went: `figures` are lines for a person, `missed` says of each promise that did not hold why not."""

    figures: tuple[str, ...]
    missed: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether every promise held."""
        return not self.missed

    def __str__(self) -> str:
        missed = (f"missed: {why}" for why in self.missed)
        return "\n".join((*self.figures, *missed, "proved" if self.proved else "NOT PROVED"))


@attrs.frozen
class Scenario:
    """One scenario. `run` is given what `arguments` asked for; cancelled, it leaves no process behind."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Awaitable[Report]]


def judge(figures: Sequence[str], promises: Mapping[str, bool]) -> Report:
    """The report on promises: what is to be said of each if it was broken, and whether it held."""
    return Report(tuple(figures), tuple(broken for broken, held in promises.items() if not held))


def whole(text: str) -> int:
    """An argument that is a whole number from 1."""
    if not text.isdecimal() or not 1 <= int(text[:20]) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {_MOST:,}")
    return int(text)


def above_zero(text: str) -> float:
    """An argument that is a number above 0."""
    value = float(text)
    if not 0 < value <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0, or more than {_MOST:,}")
    return value


def seed(parser: argparse.ArgumentParser, what: str) -> None:
    """The argument `--seed`."""
    parser.add_argument("--seed", type=int, default=1, help=f"of {what} (default: 1)")
