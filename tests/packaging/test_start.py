"""`scripts/_start.py`, by which every script begins: signals while it imports and after, and what main answers."""

import importlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

START = Path(__file__).resolve().parents[2] / "scripts" / "_start.py"


def start(folder: Path, module: str, *before: str) -> subprocess.CompletedProcess[str]:
    """Run this text as a module, in an interpreter that starts fast."""
    shutil.copy(START, folder)
    (folder / "small.py").write_text(f"import os, signal, sys, time\n{module}")
    command = [*before, sys.executable, "-I", "-S", str(folder / "_start.py"), "small", "an argument"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_the_answer_of_main_is_the_exit_code(tmp_path: Path) -> None:
    done = start(tmp_path, "def main(): return len(sys.argv[1:]) + 6")
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_importing_ends_it_without_a_word(tmp_path: Path, name: str) -> None:
    done = start(tmp_path, f"os.kill(os.getpid(), signal.{name})\nprint('imported')")
    assert (done.returncode, done.stdout, done.stderr) == (-getattr(signal, name), "", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_later_lets_it_clean_up(tmp_path: Path, name: str) -> None:
    done = start(
        tmp_path,
        "def main():\n"
        f"    try: os.kill(os.getpid(), signal.{name}); time.sleep(30)\n"
        "    finally: print('cleaned up')\n",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "")


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    kill = "os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGHUP)\n"
    done = start(
        tmp_path, f"{kill}def main():\n    {kill}    return 5", "sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_under_nohup_only_the_end_of_the_terminal_is_ignored(tmp_path: Path) -> None:
    signals = "os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"
    module = f"def main(): {signals}"
    done = start(tmp_path, module, "sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_warning_of_the_system_does_not_make_the_environment_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As of ld.so, for an LD_PRELOAD of what is not there: scripts/setup took .venv for another Python's."""
    monkeypatch.syspath_prepend(START.parent)
    setup = importlib.import_module("_setup")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho 'ld.so: cannot be preloaded' >&2\nexec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    monkeypatch.setattr(setup, "PYTHON", python)
    assert setup.python_in_venv() == sys.implementation.cache_tag
