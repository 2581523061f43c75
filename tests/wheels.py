"""The distribution, for tests that install it: where it is built from, its name, pip, and what it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from datafye_trio.version import __version__

ROOT = Path(__file__).resolve().parents[1]
NAME = f"datafye_trio-{__version__}"
WHEEL = f"{NAME}-py3-none-any.whl"


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pip of this environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def copy_needed(environment: Path, *requirements: str) -> None:
    """Copy what is installed here for these requirements, and for theirs, into an environment; not this project itself.

    pip has put it here for the same words of pyproject.toml: from the index once more it would show no more, and take
    ten times as long.
    """
    to = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    needed: dict[str, Distribution] = {}
    for requirement in requirements:
        _find_needed(Requirement(requirement), needed)
    needed.pop("datafye-trio", None)
    for file in (file for one in needed.values() for file in one.files or () if ".." not in file.parts):
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file.locate(), to / file)


def _find_needed(wanted: Requirement, found: dict[str, Distribution]) -> None:
    if wanted.name in found and not wanted.extras:
        return
    found[wanted.name] = distribution(wanted.name)
    for text in found[wanted.name].requires or ():
        marker = (further := Requirement(text)).marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
            _find_needed(further, found)
