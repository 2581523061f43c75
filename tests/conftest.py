"""What tests of several packages share: the sample data, and small files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[1] / "../shared/data"


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Path]:
    """The folder of one set of the sample data; skips the test where it is not there."""

    def find(name: str) -> Path:
        folder = SAMPLES / name
        if not folder.is_dir():
            pytest.skip(f"the sample data is not here: {name}")
        return folder

    return find


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a small text file below a fresh folder."""

    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return make
