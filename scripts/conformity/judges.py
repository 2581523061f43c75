"""Starts the judge, and puts before it what is judged. All children are gone when a call has ended, cancelled too."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
from _setup import ROOT, failure, only_one, say
from _venvs import install, make_empty

from conformity.echo_client import run_cases
from conformity.echo_server import serve_echo
from conformity.tls import Connect, Secrets, bridge_to
from conformity.verdicts import Result
from datafye_trio.errors import DatafyeError, leaves_of

__all__ = ["ConformanceError", "judge_python", "judge_side"]

_KOSOKU: Final = "kosoku==0.1.0"
"""Autobahn's own runner needs Python 2; this one runs the same case files. Beta, so no version but the tried one."""
_HOST: Final = "127.0.0.1"
_VENV: Final = ROOT / ".venv-conformance"
_JUDGING: Final = Path(__file__).with_name("judging.py")


class ConformanceError(Exception):
    """There is no verdict; the text says why."""


def judge_python() -> Path:
    """The Python of `.venv-conformance`, which is made where needed; progress goes to stderr.

    Raises:
        SetupError: it cannot be made; the text ends in what to do.
    """
    ready, python = _VENV / "ready", _VENV / "bin" / "python"
    wanted = f"{ROOT}\n{_KOSOKU}\n"
    with only_one():
        if python.exists() and ready.is_file() and ready.read_text(errors="replace") == wanted:
            return python
        say(f"Making .venv-conformance with {_KOSOKU} (once).")
        make_empty(_VENV)
        if output := install(python, "--only-binary", ":all:", _KOSOKU):
            raise failure(f"Installing {_KOSOKU}", output)
        ready.write_text(wanted)
    return python


async def judge_side(python: Path, side: str, patterns: list[str], secrets: Secrets | None = None) -> list[Result]:
    """Have `server` or `client` judged by the cases that match, over TLS with `secrets`. Cancel-safe.

    Raises:
        ConformanceError: the judge broke off, or gave less than it had.
    """
    results: list[Result] = []
    why: list[str] = []
    try:
        async with trio.open_nursery() as nursery:
            port = await _serve(nursery, secrets) if side == "server" else 0
            results = await _judge(python, side, port, patterns, secrets)
            nursery.cancel_scope.cancel()
    except* (ConformanceError, DatafyeError) as group:
        why = [str(leaf) for leaf in leaves_of(group)]
    if why:
        raise ConformanceError("; ".join(why))
    if not results:
        raise ConformanceError(f"no case matches {' '.join(patterns)}")
    return results


async def _listen() -> tuple[trio.SocketListener, int]:
    (listener,) = await trio.open_tcp_listeners(0, host=_HOST)
    return listener, listener.socket.getsockname()[1]


async def _serve(nursery: trio.Nursery, secrets: Secrets | None) -> int:
    """Have the echo served until the nursery is cancelled; the port for the judge."""
    listener, port = await _listen()
    if secrets is None:
        nursery.start_soon(trio.serve_listeners, serve_echo, [listener])
        return port
    nursery.start_soon(trio.serve_listeners, serve_echo, [secrets.listener(listener)])
    before, its_port = await _listen()
    nursery.start_soon(trio.serve_listeners, partial(bridge_to, secrets.dialler(port)), [before])
    return its_port


async def _run_cases(port: int, secrets: Secrets | None) -> int:
    """Have the judge at this port judge our client; how many cases it had."""
    connect: Connect = partial(trio.open_tcp_stream, _HOST, port)
    if secrets is None:
        return await run_cases(connect)
    before, its_port = await _listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, partial(bridge_to, connect), [secrets.listener(before)])
        count = await run_cases(secrets.dialler(its_port))
        nursery.cancel_scope.cancel()
    return count


async def _judge(python: Path, side: str, port: int, patterns: list[str], secrets: Secrets | None) -> list[Result]:
    command = [str(python), "-I", str(_JUDGING), side, str(port), *patterns]
    lines: list[dict[str, Any]] = []
    count = None
    async with trio.open_nursery() as nursery:
        # A session of its own: Ctrl-C is ours to hear, and ends it by cancelling.
        start = partial(trio.run_process, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        process: trio.Process = await nursery.start(partial(start, command, check=False))
        if process.stdout is None or process.stderr is None:
            raise TypeError("the judge's output is a pipe")
        complaints = bytearray()
        nursery.start_soon(_keep, process.stderr, complaints)
        rest = b""
        async for chunk in process.stdout:
            *whole, rest = (rest + chunk).split(b"\n")
            for raw in whole:
                line = json.loads(raw)
                if "port" in line:
                    count = await _run_cases(line["port"], secrets)
                else:
                    lines.append(line)
    if not lines or "done" not in lines.pop():
        words = complaints.decode(errors="replace").strip().splitlines() or ["without a word"]
        raise ConformanceError(f"the judge of the {side} broke off: {words[-1].removeprefix('ValueError: ')}")
    if count is not None and count != len(lines):
        raise ConformanceError(f"the judge of the {side} had {count} cases and gave {len(lines)} results")
    return [Result.of(line) for line in lines]


async def _keep(stream: trio.abc.ReceiveStream, kept: bytearray) -> None:
    async for chunk in stream:
        kept += chunk
