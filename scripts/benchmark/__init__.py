"""The benchmarks behind `scripts/bench`; `cli` is what it runs. Each process of a benchmark is a module of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["ENVIRONMENT", "SCRIPTS", "program"]

SCRIPTS: Final = Path(__file__).resolve().parent.parent
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
"""For the processes of a benchmark, which may be of another Python environment: where they find their module."""


def program(python: str | Path, module: str, *arguments: object) -> list[str]:
    """The command that runs a module of the benchmarks.

    Start it with `ENVIRONMENT`, and in a session of its own: Ctrl-C is for the process that measures, which ends it.
    """
    return [str(python), "-m", f"benchmark.{module}", *map(str, arguments)]
