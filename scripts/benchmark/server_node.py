"""node's `ws` as a contender: becomes the process of `ws_server.js`, where node and `ws` are installed.

What is measured is node alone: this program only hands over the order of the symbols, and is then replaced.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs

from benchmark.payload import schedule
from benchmark.serving import Job, open_files

__all__ = ["missing", "run", "versions"]

MODULES: Final = Path(sys.prefix) / "node" / "node_modules"
"""Where `peers_venv` puts ws: into the environment of the peers."""
_SCRIPT: Final = Path(__file__).with_name("ws_server.js")


def missing() -> str | None:
    """Why it cannot run here; None where it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (MODULES / "ws").is_dir():
        return f"there is no ws in {MODULES}, where npm is to install it"
    return None


def versions() -> dict[str, str]:
    """Those of node and ws."""
    node = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return {
        "node": node.stdout.strip().removeprefix("v"),
        "ws": json.loads((MODULES / "ws" / "package.json").read_text())["version"],
    }


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends. Does not return."""
    open_files()
    names = tempfile.TemporaryFile()  # noqa: SIM115 -- node reads it
    names.write(json.dumps(schedule(job.symbols)).encode())
    names.seek(0)
    os.set_inheritable(names.fileno(), True)
    order = json.dumps(attrs.asdict(job) | {"schedule": names.fileno()})
    os.environ["NODE_PATH"] = str(MODULES)
    os.execvp("node", ["node", str(_SCRIPT), order])
