"""Makes `.venv-bench`: the project and the peers that `scripts/bench` measures it against, on one Python.

The peers are no dependencies of the project, so they have an environment of their own, made on first use. A peer that
cannot be installed here (no wheel for this Python, say) is said once and left out; without the project itself, or
without a way to the package index, there is nothing to measure and that is an error.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

from _setup import ROOT, SetupError, failure, is_network_failure, only_one, run, say

__all__ = ["PEERS", "SetupError", "peers_python", "tool"]

PEERS: Final = ("websockets>=17", "aiohttp>=3.12", "picows>=1.10", "uvloop>=0.21")

_VENV: Final = ROOT / ".venv-bench"
_PYTHON: Final = _VENV / "bin" / "python"
_READY: Final = _VENV / "ready"


def peers_python() -> Path:
    """The Python of `.venv-bench`, which is made or made anew where needed; progress goes to stderr.

    Raises:
        SetupError: it cannot be made; the text ends in what to do.
    """
    wanted = _fingerprint()
    with only_one():
        if not _READY.is_file() or _READY.read_text(errors="replace") != wanted:
            _make()
            _READY.write_text(wanted)
    return _PYTHON


def tool(name: str, requirement: str) -> Path:
    """A program that one command alone wants: put into `.venv-bench` on first use, and no peer that is waited for.

    Raises:
        SetupError: it cannot be installed here.
    """
    program = peers_python().parent / name
    with only_one():
        if not program.is_file():
            say(f"Installing {requirement} into .venv-bench.")
            if output := _install(requirement):
                raise failure(f"Installing {requirement}", output)
    return program


def _fingerprint() -> str:
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return "\n".join([str(ROOT), sys.version, project, *PEERS])


def _make() -> None:
    say("Making .venv-bench with the peers of the benchmark (the first time takes a minute or so).")
    made = run(sys.executable, "-I", "-m", "venv", "--clear", "--without-pip", _VENV)
    if made.returncode:
        raise failure("Making .venv-bench", made.stdout)
    # Editable, so that what is measured is what stands in the folder. The pip of .venv serves both environments.
    if output := _install("--editable", str(ROOT)):
        raise failure("Installing the project for the benchmark", output)
    for peer in PEERS:
        say(f"  {peer}")
        if output := _install(peer):
            if is_network_failure(output):
                raise failure(f"Installing {peer}", output)
            say(f"  {peer} cannot be installed here, so it is left out: {output.strip().splitlines()[-1]}")


def _install(*what: str) -> str:
    """What pip said where it failed, else nothing."""
    done = run(sys.executable, "-I", "-m", "pip", "--python", _PYTHON, "install", "--quiet", *what)
    return (done.stdout or "pip failed without a word") if done.returncode else ""
