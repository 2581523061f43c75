"""`scripts/soak`, as small as it goes: it proves what it says, says when it cannot, and ends at Ctrl-C."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import WAIT

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SOAK = [sys.executable, str(SCRIPTS / "_start.py"), "soaking.cli"]


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SOAK, *arguments], capture_output=True, text=True, check=False, timeout=WAIT)


def test_a_few_cuts_over_sockets() -> None:
    """In the short time perhaps no outage outlasts the ring: then it does not claim that gaps were tried."""
    done = soak("--cuts", "4", "--messages", "4000", "--seconds", "2", "--clients", "3")
    assert "4,000 messages published" in done.stdout
    assert "0 lost, 0 repeated, 0 out of order, 0 damaged, 0 wrong gap" in done.stdout, done.stdout + done.stderr
    tried = "no gap was tried" not in done.stdout and "only " not in done.stdout
    assert done.returncode == (0 if tried else 1)
    assert done.stdout.splitlines()[-1] == ("proved" if tried else "NOT PROVED")
    assert "3 clients have subscribed" in done.stderr


def test_a_kill_over_sockets() -> None:
    done = soak("restarts", "--kills", "1", "--healthy", "0.2", "--clients", "2", "--rate", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 changes of epoch; 0 lost, 0 repeated, 0 out of order, 0 damaged, 0 wrong gap" in done.stdout
    assert "100.0% within 3 s" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell a process's children")
@pytest.mark.parametrize("scenario", ["cuts", "restarts", "flood"])
def test_ctrl_c_ends_it_and_its_servers_at_once(scenario: str) -> None:
    with subprocess.Popen(
        [*SOAK, scenario, "--clients", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline().startswith("2 clients have subscribed")
        servers = _children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert servers
    assert not any(_runs(server) for server in servers)


def _children(pid: int) -> list[int]:
    """Those of any of its threads."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in found for child in children.read_text().split()]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "wrong",
    [
        ("cuts", "--cuts", "0"),
        ("restarts", "--healthy", "-1"),
        ("churn", "--rate", "inf"),
        ("stop", "--clients", "9" * 40),
    ],
)
def test_what_cannot_work_is_said(
    wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr(sys, "argv", ["soak", *wrong])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("soaking.cli").main()
    assert ended.value.code == 2
    assert "usage: scripts/soak" in capsys.readouterr().err


def test_no_place_for_temporary_files_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr("tempfile.TemporaryFile", nowhere)
    monkeypatch.setattr(sys, "argv", ["soak", "stop", "--clients", "1"])
    assert importlib.import_module("soaking.cli").main() == 1
    assert "scripts/soak: [Errno 2] No usable temporary directory found" in capsys.readouterr().err


def test_without_mount_files_of_a_limited_size_are_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setenv("PATH", "")
    with importlib.import_module("soaking.rooms").open_room(tmp_path) as room:
        assert room.name.startswith("files of a limited size")
