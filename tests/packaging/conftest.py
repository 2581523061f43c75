"""The wheel and the sdist, built once for all tests that look into them or install them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from wheels import ROOT, WHEEL, copy_needed, pip


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel (built from the sdist, as a release is) and the sdist.

    Without a package index there is no build backend, so the tests are skipped; a build that fails although the
    index gives the backend out is a failure.
    """
    folder = tmp_path_factory.mktemp("distributions")
    backend = folder / "backend"
    got = pip("install", "--quiet", "--no-compile", "--target", backend, "hatchling")
    if got.returncode != 0:
        pytest.skip(f"the package index cannot be reached: {got.stderr.strip().splitlines()[-1]}")
    # `build` would get the backend by itself, once for the sdist and once for the wheel.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    environment = os.environ | {"PYTHONPATH": str(backend)}
    built = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="session")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel and what that needs; made once, since it takes its time."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    copy_needed(folder, "datafye-trio")
    done = pip("--python", python, "install", "--quiet", "--no-compile", "--no-index", distributions / WHEEL)
    assert done.returncode == 0, done.stderr
    return python
