"""The long proofs behind `scripts/soak`; `cli` is what it runs, `scenarios` holds them, a module each.

Each process of a scenario besides the server's is a module of this package too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

__all__ = ["ENVIRONMENT", "SCRIPTS", "SYMBOL", "program"]

SCRIPTS: Final = Path(__file__).resolve().parent.parent
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
"""For the processes of a scenario: where they find their module."""
SYMBOL: Final = "AAPL"
"""The only one that the server under attack has."""


def program(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package; start it with `ENVIRONMENT`."""
    return [sys.executable, "-m", f"soaking.{module}", *map(str, arguments)]
