"""Environments beside `.venv`, for what is no dependency of the project; each is made on first use."""

from __future__ import annotations

import sys
from pathlib import Path

from _setup import failure, run

__all__ = ["install", "make_empty"]


def make_empty(folder: Path) -> Path:
    """Make an environment in place of whatever is there; its Python. The pip of `.venv` serves it: see `install`.

    Raises:
        SetupError: it cannot be made.
    """
    made = run(sys.executable, "-I", "-m", "venv", "--clear", "--without-pip", folder)
    if made.returncode:
        raise failure(f"Making {folder.name}", made.stdout)
    return folder / "bin" / "python"


def install(python: Path, *what: str) -> str:
    """Install into the environment of `python`: what pip said where it failed, else nothing."""
    done = run(sys.executable, "-I", "-m", "pip", "--python", python, "install", "--quiet", *what)
    return (done.stdout or "pip failed without a word") if done.returncode else ""
