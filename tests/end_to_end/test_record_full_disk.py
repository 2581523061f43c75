"""A real `record` process on a small file system that fills up: it says so, and goes on when there is room again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars
import pytest
from processes import WAIT, rows_in, serving, until


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of one megabyte; skips the test where none can be mounted."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system does not let us mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_stream_goes_on(small: Path, tmp_path: Path) -> None:
    folder, ballast = small / "recording", small / "ballast"

    def rows() -> polars.DataFrame:
        return rows_in(sorted(folder.rglob("*.parquet")))

    with serving("--rate", "500") as url, (tmp_path / "stderr").open("w+") as errors:
        said = Path(errors.name).read_text
        command = [sys.executable, "-m", "datafye_trio", "record", url, str(folder), "--channels", "trades"]
        with subprocess.Popen(command, stderr=errors) as process:
            try:
                until(lambda: any(folder.rglob("*.parquet")))
                room = os.statvfs(small)
                ballast.write_bytes(bytes(room.f_bavail * room.f_frsize))
                until(lambda: "No space left on device" in said())
                full = len(rows())
                time.sleep(1)  # two flushes or more, each of which finds the disk full
                assert len(rows()) == full
                ballast.unlink()
                until(lambda: len(rows()) > full)
                until(lambda: "can be written again" in said())
                process.send_signal(signal.SIGTERM)
                assert process.wait(WAIT) == 0
            finally:
                process.kill()
        lines = said().splitlines()
    assert [line for line in lines[:2] if "No space left" in line or "rows lost so far: 0" in line] == lines[:2]
    assert lines[2].startswith("recorded ")
    assert len(lines) == 3
    for _, own in rows().group_by("symbol"):
        numbers = own["seq"].to_list()
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
