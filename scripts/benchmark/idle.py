"""The benchmark of connections: what an idle one takes in memory, and how many a second come and go, ours and theirs.

Both servers are contenders (`contend`), each in a process of its own, a fresh one a round, in turns. A connection is a
handshake, a subscribe to one symbol and its answer; of ours that includes the `connected` message and the account of
the topic.

- Memory: how much the process has grown when 500 connections more are open, each by its 500th part. Taken from
  `/proc/PID/smaps_rollup` as its proportional set size; what the kernel keeps for sockets is not in it, for either.
- One by one: a connection is closed before the next one is asked for.
- At once: 50 ask before any is answered, are closed together, and then the next 50.

Both rates end when the last answer is there. The processor's time is that of the server for one connection, from the
first byte to the end of all, the closing included. It needs Linux.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from benchmark.load_clients import Job, connect
from benchmark.processes import open_speaker
from benchmark.wanted import IDLE_TIMES

__all__ = ["IdleSettings", "run", "table"]

_TOGETHER: Final = 50
"""What `connect` does at once."""
_WARM: Final = 20
"""Connections before the first that counts: they pay for what is made once."""
_PATIENCE: Final = 10.0
_PAUSE: Final = 0.005
_OURS: Final = "ours"
_PEER: Final = "websockets"
_KEYS: Final = ("bytes", "one_by_one", "at_once", "one_by_one_us", "at_once_us")


@attrs.frozen
class IdleSettings:
    """Who runs the contenders; how many connections are idle, and then come and go; and how often all is measured."""

    python: Path
    connections: int = 500
    rounds: int = 5


def run(settings: IdleSettings) -> dict[str, object]:
    """Measure both in turns: bytes a connection, connections a second, microseconds of the processor a connection.

    Raises:
        SystemExit: this system has no /proc; a server did not start or refused.
        BenchError: a server has ended.
        LoadError: a connection was refused, or not answered.
    """
    if not Path("/proc/self/smaps_rollup").is_file():
        raise SystemExit("the idle benchmark reads /proc/PID/smaps_rollup, which this system does not have")
    results: dict[str, list[dict[str, float]]] = {_OURS: [], _PEER: []}
    for number in range(settings.rounds):
        for name, found in results.items():
            found.append(_round(settings, name))
            one = found[-1]
            print(
                f"  round {number + 1}: {name:10} {one['bytes'] / 1024:6.1f} KiB, {one['one_by_one']:6,.0f} a second "
                f"one by one, {one['at_once']:6,.0f} at once",
                file=sys.stderr,
            )
    return {
        "benchmark": "idle",
        "connections": settings.connections,
        "together": _TOGETHER,
        "rounds": settings.rounds,
        "contenders": {
            name: {key: _spread([one[key] for one in found]) for key in _KEYS} for name, found in results.items()
        },
        "ratios": {
            key: _spread([mine[key] / theirs[key] for mine, theirs in zip(*results.values(), strict=True)])
            for key in _KEYS
        },
    }


def table(result: dict[str, Any]) -> str:
    """The result, for people."""
    lines = [
        f"idle: {result['connections']} connections, and {result['together']} at once (median of {result['rounds']} "
        "rounds; ratio with its span)",
        f"{'':38}{_OURS:>10}{_PEER:>12}   ratio",
    ]
    for title, key, per, places, wanted in (
        ("KiB of memory an idle connection", "bytes", 1024, 1, f"{IDLE_TIMES:g} at most"),
        ("connections/s, one by one", "one_by_one", 1, 0, f"{1 / IDLE_TIMES:g} at least"),
        ("connections/s, at once", "at_once", 1, 0, f"{1 / IDLE_TIMES:g} at least"),
        ("us of the processor, one by one", "one_by_one_us", 1, 0, ""),
        ("us of the processor, at once", "at_once_us", 1, 0, ""),
    ):
        mine, theirs = (result["contenders"][name][key]["median"] / per for name in (_OURS, _PEER))
        ratio = result["ratios"][key]
        lines.append(
            f"  {title:36}{mine:10,.{places}f}{theirs:12,.{places}f}   {ratio['median']:.2f} "
            f"({ratio['lowest']:.2f} to {ratio['highest']:.2f}){f'  wanted: {wanted}' if wanted else ''}"
        )
    return "\n".join(lines)


def _round(settings: IdleSettings, name: str) -> dict[str, float]:
    job = json.dumps({"clients": settings.connections, "symbols": 1})
    with open_speaker(name, settings.python, "contend", name, job) as server:
        port = server.answer()["port"]
        pid = server.pid
        files = _files(pid)
        with _connected(port, _WARM):
            before = _memory(pid)
            with _connected(port, settings.connections):
                taken = (_memory(pid) - before) / settings.connections
        _wait_closed(pid, files)
        one_by_one = _rate(pid, settings.connections, lambda: _come_and_go(port, 1))
        batches = max(1, settings.connections // _TOGETHER)
        at_once = _rate(pid, batches, lambda: _come_and_go(port, _TOGETHER))
    return {
        "bytes": taken,
        "one_by_one": one_by_one[0],
        "one_by_one_us": one_by_one[1],
        "at_once": at_once[0] * _TOGETHER,
        "at_once_us": at_once[1] / _TOGETHER,
    }


def _rate(pid: int, times: int, act: Callable[[], None]) -> tuple[float, float]:
    """How often a second, and the microseconds of the server's processor each, until all it has opened is closed."""
    files, processor, begin = _files(pid), _processor(pid), time.perf_counter()
    for _ in range(times):
        act()
    seconds = time.perf_counter() - begin
    _wait_closed(pid, files)
    return times / seconds, (_processor(pid) - processor) / times * 1e6


def _come_and_go(port: int, count: int) -> None:
    with _connected(port, count):
        pass


@contextmanager
def _connected(port: int, count: int) -> Iterator[None]:
    """So many clients that are subscribed, each fifty of which have asked before the first is waited for; closed at the
    end.
    """
    clients = connect(Job(port, count))
    try:
        yield
    finally:
        for client in clients:
            client.socket.close()


def _memory(pid: int) -> int:
    """The proportional set size of a process, in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/{pid}/smaps_rollup has no line Pss")


def _files(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _wait_closed(pid: int, files: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while _files(pid) > files:
        if time.monotonic() > deadline:
            raise SystemExit(f"a server has kept connections for {_PATIENCE:g} s after their clients were gone")
        time.sleep(_PAUSE)


def _processor(pid: int) -> float:
    """The processor seconds of a process so far: the clock that clock_getcpuclockid(3) names, which is this number."""
    return time.clock_gettime(~pid << 3 | 2)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
