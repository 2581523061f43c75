"""The wheel and the sdist, built once for all tests that look into them or install them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from wheels import ROOT, pip


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
