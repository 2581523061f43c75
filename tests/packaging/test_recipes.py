"""The recipes for tests in `scripts/examples`: they pass by themselves, as a newcomer runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from processes import WAIT

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "scripts" / "examples").glob("test_*.py"))


def test_every_recipe_passes() -> None:
    assert {path.stem for path in RECIPES} == {
        "test_asyncio_client", "test_sync_client", "test_trio_client", "test_fault", "test_virtual_time",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-o", "trio_mode=false", "-p", "no:cacheprovider", *map(str, RECIPES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT * 3,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
