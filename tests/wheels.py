"""The distribution, for tests that install it: where it is built from, its name, and pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from datafye_trio.version import __version__

ROOT = Path(__file__).resolve().parents[1]
NAME = f"datafye_trio-{__version__}"
WHEEL = f"{NAME}-py3-none-any.whl"


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pip of this environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
