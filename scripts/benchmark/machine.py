"""Facts of the machine, which stand above every table: a number without them is worth nothing."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["describe", "facts"]


def facts() -> dict[str, Any]:
    """Python, processor, cores that this process may use, kernel, and the load: whether others were measured, too."""
    return {
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": _cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 1),
    }


def describe(machine: Mapping[str, Any]) -> str:
    """The same as one line."""
    return (
        f"Python {machine['python']}, {machine['processor']}, {machine['cores']:g} cores, {machine['kernel']}, "
        f"load {machine['load']:.1f}"
    )


def _processor() -> str:
    with suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()


def _cores() -> float:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or math.nan
