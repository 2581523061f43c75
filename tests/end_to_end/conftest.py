"""Sets of bars for `scripts/verify_bars`, and a way to compare them fast."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from end_to_end.verifying import verify_run

from datafye_trio.model import AssetClass
from datafye_trio.recordings.csv_ticks import TickFile
from datafye_trio.recordings.importing import ImportConfig, TickImport


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import within this process: a process of its own takes longer than all the rest."""

    def run(files: Sequence[TickFile], asset_class: AssetClass, folder: Path) -> None:
        TickImport(ImportConfig(tuple(file.path for file in files), folder, "Verify", asset_class)).run()

    monkeypatch.setattr(verify_run, "import_trades", run)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a set: its name, and the texts of its files."""

    def write(name: str, files: dict[str, str]) -> Path:
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        for file, text in files.items():
            if file.endswith(".gz"):
                (folder / file).write_bytes(gzip.compress(text.encode()))
            else:
                (folder / file).write_text(text)
        return folder

    return write
