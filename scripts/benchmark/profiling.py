"""Where the time goes: the fan-out run of `scripts/bench`, or the client's, as a flame view and a list of functions.

fanout: our server with its default settings, and one topic as fast as 100 clients read it, in another process. It is
the server's process that is looked at.

client: `open_feed` as it receives ten symbols from a process that writes ready-made frames: typed events, one by one.

The picture is one SVG file: open it in a browser, click a function to see it alone. The width is time on the processor,
from the first line of the program on; what the functions of C modules take is with those that call them.

It is made by py-spy, which reads the stack of the process from outside, 250 times a second, and so changes nothing:
the run takes what it takes without. Rejected: pyinstrument, which needs no rights for that, but is called at every
call, and doubled the processor's time of the server (0.33 to 0.64 s for 40,000 messages to 100 clients): small
functions look large in it.
"""

from __future__ import annotations

import argparse
import html
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmark import ENVIRONMENT, program
from benchmark.driven import open_clients, open_driven, subscription
from benchmark.peers_venv import SetupError, tool

__all__ = ["Hot", "hottest", "main"]

_PY_SPY: Final = "py-spy>=0.4"
_RATE: Final = 250
_SHOWN: Final = 25
_SYMBOLS: Final = 10
_LOOP: Final = "run (trio/_core/_run.py"
_FRAME: Final = re.compile(
    r'<title>([^<]*) \([\d,]+ samples?, [^<]*</title><rect [^>]*? y="(\d+)"[^>]* fg:x="(\d+)" fg:w="(\d+)"'
)
_BUSY: Final = "import time; end = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass"
_EXAMPLES: Final = """
examples:
  scripts/profile                            the fan-out, to profile-fanout.svg in this folder
  scripts/profile --clients 1000 --to /tmp   with more clients, to another folder
  scripts/profile client                     the receiving side, to profile-client.svg
"""


@attrs.frozen
class Hot:
    """A function, and how much of the samples were in it: in its own lines, and with what it called."""

    name: str
    own: float
    total: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two under py-spy, print the hottest functions and the path of the picture."""
    given = _parser().parse_args(arguments)
    picture = Path(given.to) / f"profile-{given.what}.svg"
    try:
        if not picture.parent.is_dir():
            raise SystemExit(f"there is no folder {picture.parent}: make it, or give another one with --to")
        recording = _recording(picture)
        run, messages = _RUNS[given.what]
        print(f"Running the {given.what} benchmark under py-spy.", file=sys.stderr)
        run(recording, given.clients, given.messages or messages)
        if not picture.is_file():
            raise SystemExit("py-spy has made no picture: it says why above")
        print(_table(hottest(picture.read_text()), given.what))
    except (SetupError, OSError) as error:
        raise SystemExit(str(error)) from None
    print(f"The picture: {picture.resolve()}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/profile",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=tuple(_RUNS), default="fanout", help="[default: fanout]")
    parser.add_argument("--clients", type=_count, default=100, help="of the fan-out [default: 100]")
    parser.add_argument("--messages", type=_count, help="[default: 300000, of client 800000]")
    parser.add_argument("--to", default=".", metavar="FOLDER", help="for the picture [default: this one]")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _recording(picture: Path) -> list[str]:
    """The command that runs a Python program and makes a picture of it.

    Raises:
        SystemExit: py-spy may not look into a process here.
    """
    command = [str(tool("py-spy", _PY_SPY)), "record", "--function", "--rate", str(_RATE), "--output"]
    # A short program shows whether it may, and why not, in place of what the benchmark would say then.
    with tempfile.TemporaryDirectory() as folder:
        probe = [*command, f"{folder}/probe.svg", "--", sys.executable, "-c", _BUSY]
        done = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if line.startswith("Error: ")] or [done.stdout.strip()]
        raise SystemExit(
            f"{said[0]}\npy-spy cannot read the stack of another process here. On Linux it can where "
            "/proc/sys/kernel/yama/ptrace_scope is 0 or 1; a container needs --cap-add SYS_PTRACE; macOS wants sudo."
        )
    picture.unlink(missing_ok=True)  # or a run that fails would leave us with that of another one
    return [*command, str(picture), "--"]


def _fanout(recording: Sequence[str], clients: int, messages: int) -> None:
    everything = [subscription(["*"])] * clients
    with open_driven(recording) as server, open_clients(server.port, everything) as taking:
        server.cost(taking, messages, 1, messages * clients)
        server.finish()


def _client(recording: Sequence[str], _: int, messages: int) -> None:
    command = program(sys.executable, "client_source", _SYMBOLS, messages)
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as source:
        try:
            if source.stdin is None or source.stdout is None or not (port := source.stdout.readline().strip()):
                raise SystemExit("the source of the benchmark did not start")
            source.stdin.write(f"{messages}\n")
            source.stdin.flush()
            client = program(sys.executable, "client_peers", "open_feed", port, _SYMBOLS, messages, "msgspec")
            done = subprocess.run([*recording, *client], env=ENVIRONMENT, stdout=subprocess.PIPE, check=False)
            if done.returncode:
                raise SystemExit(f"the client failed with exit code {done.returncode}")
        finally:
            source.kill()


_RUNS: Final[dict[str, tuple[Callable[[Sequence[str], int, int], None], int]]] = {
    "fanout": (_fanout, 300_000),
    "client": (_client, 800_000),
}
"""What runs under py-spy, and how many messages make that a few seconds."""


def hottest(picture: str) -> list[Hot]:
    """The functions that run in trio's loop, those with the most time in their own lines first.

    Args:
        picture: the SVG of a flame view. Its frames say where they begin and how wide they are, in samples, and stand
            below those that have called them.
    """
    frames = [
        (int(begin), int(depth), int(width), html.unescape(name))
        for name, depth, begin, width in _FRAME.findall(picture)
    ]
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    callers: list[tuple[int, int, str]] = []
    everything = 0
    for begin, depth, width, name in sorted(frames):
        while callers and callers[-1][1] >= depth:
            callers.pop()
        names = [caller for _, _, caller in callers]
        callers.append((begin, depth, name))
        if _LOOP not in [shown[: len(_LOOP)] for shown in (name, *names)]:
            continue
        if name.startswith(_LOOP):
            everything += width
        else:
            own[names[-1]] -= width
        own[name] += width
        total[name] += 0 if name in names else width  # a function that calls itself counts once
    return [Hot(name, count / everything, total[name] / everything) for name, count in own.most_common() if count > 0]


def _table(hot: Sequence[Hot], what: str) -> str:
    lines = [f"{what}: where the processor's time goes, of all within trio's loop", "     own   total"]
    lines += [f"  {one.own:6.1%}  {one.total:6.1%}  {one.name}" for one in hot[:_SHOWN]]
    return "\n".join(lines)
