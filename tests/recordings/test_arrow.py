"""Without pyarrow, what needs it says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from recordings.kit import STOCKS

from datafye_trio.errors import ConfigurationError
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.recordings.writer import RecordingWriter


def test_it_is_there() -> None:
    pa = load_arrow()
    assert pa.parquet.ParquetFile
    assert pa.compute.equal


def test_without_it_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").touch()
    for attempt in (load_arrow, lambda: RecordingWriter(tmp_path, "X", STOCKS), lambda: open_recordings([tmp_path])):
        with pytest.raises(ConfigurationError, match=r"pip install 'datafye-trio\[files\]'"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
