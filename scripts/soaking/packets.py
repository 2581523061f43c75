"""Packets that the kernel drops: rules of its filter, in a network of this process's own.

The network is a namespace in which there is only loopback. Who runs a scenario enters it, and what is started then is
in it too: so a rule harms no other program, and is gone with the processes, whatever becomes of them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from typing import Final

import trio

__all__ = ["drop_all", "drop_some", "enter_own_network", "pass_all"]

_NEW_NETWORK: Final = 0x40000000
"""CLONE_NEWNET; `os.unshare` is there from Python 3.12 on."""
_TOOLS: Final = ("ip", "iptables")


def enter_own_network() -> str | None:
    """Enter a network of this process's own; None, or why that cannot be: it takes root, Linux and iptables."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root can drop packets, and only on Linux"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"{' and '.join(missing)} must be installed to drop packets"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK) != 0:
        return f"this system gives no network of one's own: {os.strerror(ctypes.get_errno())}"
    up = subprocess.run(["ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    rules = subprocess.run(["iptables", "-w", "-F"], capture_output=True, text=True, check=False)
    return None if not up.returncode + rules.returncode else f"packets cannot be dropped: {up.stderr}{rules.stderr}"


async def drop_some(port: int, share: float) -> None:
    """Drop a random share of the packets that go to and from a port, beginning now."""
    await _drop(port, "-m", "statistic", "--mode", "random", "--probability", f"{share:g}")


async def drop_all(port: int) -> None:
    """Drop all packets that go to and from a port, beginning now: a black hole."""
    await _drop(port)


async def pass_all() -> None:
    """Drop none any more."""
    await trio.run_process(["iptables", "-w", "-F"])


async def _drop(port: int, *match: str) -> None:
    for end in ("--dport", "--sport"):
        await trio.run_process(["iptables", "-w", "-A", "INPUT", "-p", "tcp", end, str(port), *match, "-j", "DROP"])
