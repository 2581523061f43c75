"""The wheel and the sdist, built once for all tests that look into them or install them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from wheels import ROOT, WHEEL, pip


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel (built from the sdist, as a release is) and the sdist.

    Without a package index there is no build backend, so the tests are skipped; a build that fails although the
    index gives the backend out is a failure.
    """
    folder = tmp_path_factory.mktemp("distributions")
    backend = pip("download", "--quiet", "--no-deps", "--dest", folder / "backend", "hatchling")
    if backend.returncode != 0:
        pytest.skip(f"the package index cannot be reached: {backend.stderr.strip().splitlines()[-1]}")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="session")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel and what that needs; made once, since it takes its time."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    done = pip("--python", python, "install", "--quiet", "--no-compile", distributions / WHEEL)
    assert done.returncode == 0, done.stderr
    return python
