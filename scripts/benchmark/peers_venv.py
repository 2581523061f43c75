"""Makes `.venv-bench`: the project and the peers that `scripts/bench` measures it against, on one Python.

The peers are no dependencies of the project, so they have an environment of their own, made on first use. A peer that
cannot be installed here (no wheel for this Python, say) is said once and left out; without the project itself, or
without a way to the package index, there is nothing to measure and that is an error. node's ws goes into a folder of
it, where node and npm are; mosquitto and nginx are measured where the system has them.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Final

from _setup import ROOT, SetupError, failure, is_network_failure, only_one, run, say
from _venvs import install, make_empty

__all__ = ["NODE_PEER", "PEERS", "SetupError", "peers_python", "tool"]

PEERS: Final = ("websockets>=17", "aiohttp>=3.12", "picows>=1.10", "uvloop>=0.21")
NODE_PEER: Final = "ws@^8.18"

_VENV: Final = ROOT / ".venv-bench"
_PYTHON: Final = _VENV / "bin" / "python"
_READY: Final = _VENV / "ready"
_NODE: Final = _VENV / "node"


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
        _add_node_peer()
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
            if output := install(_PYTHON, requirement):
                raise failure(f"Installing {requirement}", output)
    return program


def _fingerprint() -> str:
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return "\n".join([str(ROOT), sys.version, project, *PEERS])


def _make() -> None:
    say("Making .venv-bench with the peers of the benchmark (the first time takes a minute or so).")
    make_empty(_VENV)
    # Editable, so that what is measured is what stands in the folder.
    if output := install(_PYTHON, "--editable", str(ROOT)):
        raise failure("Installing the project for the benchmark", output)
    for peer in PEERS:
        say(f"  {peer}")
        if output := install(_PYTHON, peer):
            if is_network_failure(output):
                raise failure(f"Installing {peer}", output)
            say(f"  {peer} cannot be installed here, so it is left out: {output.strip().splitlines()[-1]}")


def _add_node_peer() -> None:
    ready = _NODE / "ready"
    if ready.is_file() and ready.read_text() == NODE_PEER:
        return
    if not (shutil.which("node") and shutil.which("npm")):
        return  # node may come later, so this is looked at each time
    say(f"  {NODE_PEER}, for node")
    _NODE.mkdir(exist_ok=True)
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--fetch-retries=1", "--fetch-timeout=20000")
    done = run("npm", "install", "--prefix", _NODE, *quiet, NODE_PEER)
    if done.returncode:
        words = [line for line in done.stdout.splitlines() if line.strip()] or ["npm failed without a word"]
        say(f"  {NODE_PEER} cannot be installed here, so it is left out: {words[0]}")
    else:
        ready.write_text(NODE_PEER)
