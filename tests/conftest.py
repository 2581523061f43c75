"""What tests of several packages share: the sample data, small files, and the end of what coverage measures."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from coverage import Coverage

# How long an example takes depends on what else the machine does: it is no finding.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")

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


TESTS = Path(__file__).parent
UNMEASURED = {TESTS / line for line in (TESTS / "unmeasured.txt").read_text().splitlines() if not line.startswith("#")}
"""Modules; single tests have the marker of this name."""


def _unmeasured(item: pytest.Item) -> bool:
    return item.path in UNMEASURED or item.get_closest_marker("unmeasured") is not None


def pytest_configure() -> None:
    """Refuse a list that names what is gone."""
    if gone := [path.name for path in UNMEASURED if not path.is_file()]:
        raise pytest.UsageError(f"tests/unmeasured.txt names {', '.join(gone)}, which is not there")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under coverage, what is marked `unmeasured` comes last, so that measuring can end before it."""
    if Coverage.current() is not None:
        items.sort(key=_unmeasured)


def pytest_collection_finish() -> None:
    """What collecting has made lives to the end: to look through it again for garbage costs a twentieth of the time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before the fixtures, which work as well
def pytest_runtest_setup(item: pytest.Item) -> None:
    """End the measuring where the unmeasured begin.

    It is not begun again, and so they are not left where they stand in their files: a second start would leave
    out the threads that Trio keeps.
    """
    if _unmeasured(item) and (measuring := Coverage.current()) is not None:
        measuring.stop()
