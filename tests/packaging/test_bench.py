"""`scripts/bench client`: what it takes, that it measures, and that a client which lost something gives no number.

The real runs here are tiny and in this environment: they prove that the parts work together, and time nothing.
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CLIENT = [sys.executable, str(SCRIPTS / "_start.py"), "benchmark.cli", "client"]
HERE = ["trio-websocket", "websockets.trio", "open_feed", "open_raw_feed, batches", "the fast lane alone"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLIENT, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def receive(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark's own module, which finds its neighbours where it stands."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmark import client_rounds

    return client_rounds


def python_that(folder: Path, says: str) -> Path:
    """In place of the Python that runs a contender: one that answers this, whatever it is to run."""
    program = folder / "python"
    program.write_text(
        f"""#!/bin/sh\n[ $# -gt 2 ] || {{ echo '{{"missing": {{}}, "versions": {{}}}}'; exit; }}\n{says}\n"""
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    """Run it in this process to where it exits; the code (or the text) of that, and what it printed."""
    monkeypatch.syspath_prepend(SCRIPTS)

    def call(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", [*CLIENT[2:], *arguments])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module("benchmark.cli").main()
        return ended.value.code, *capsys.readouterr()

    return call


def test_help_names_what_can_be_set(call: Callable[..., tuple[Any, str, str]]) -> None:
    code, printed, _ = call("--help")
    assert code == 0
    for option in ("--messages", "--quick", "--offline", "--contenders", "--rounds", "--json"):
        assert option in printed


def test_refuses_what_it_cannot_use(call: Callable[..., tuple[Any, str, str]]) -> None:
    code, printed, said = call("--messages", "0")
    assert (code, printed) == (2, "")
    assert "'0' is no whole number from 1" in said
    text, printed, _ = call("--contenders", "picows")
    assert text.startswith("no contender 'picows'; there are: trio-websocket; ")
    assert printed == ""


def test_measures_what_is_here_and_says_what_is_not() -> None:
    done = run("--offline", "--messages", "1000", "--rounds", "1", "--json", "--contenders", *HERE, "picows, uvloop")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result["contenders"]) == HERE
    assert "picows, uvloop is left out: No module named" in done.stderr
    for one in result["contenders"].values():
        assert one["median"] > 0
        assert one["ratios"]["trio-websocket"]["lowest"] > 0
    assert "websockets" in result["versions"]


@pytest.mark.parametrize(
    "told",
    [{"events": 99}, {"symbol": "S001"}, {"time_ns": 1_704_205_800_000_000_000}],
    ids=lambda told: next(iter(told)),
)
def test_what_is_not_the_stream_is_an_error(receive: ModuleType, tmp_path: Path, told: dict[str, object]) -> None:
    sound = {"events": 100, "seconds": 1.0, "processor_seconds": 1.0, "symbol": "S009", "time_ns": receive.time_at(99)}
    python = python_that(tmp_path, f"echo '{json.dumps(sound | told)}'")
    with pytest.raises(SystemExit, match="trio-websocket received something else than the stream"):
        receive.run(receive.ReceiveSettings(python, 10_000, 1, contenders=["trio-websocket"]))  # 100 to warm up


def test_a_contender_that_fails_is_an_error(receive: ModuleType, tmp_path: Path) -> None:
    python = python_that(tmp_path, "exit 7")
    with pytest.raises(SystemExit, match="trio-websocket failed with exit code 7"):
        receive.run(receive.ReceiveSettings(python, 1_000, 1, contenders=["trio-websocket"]))
