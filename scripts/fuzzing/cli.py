"""`scripts/fuzz`: which targets, for how long; a table of what came of them, and each crash as a file to replay."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from fuzzing.checking import Target
from fuzzing.engine import Crash, Found, Fuzzer, crash_of
from fuzzing.mutations import Mutations, attack_many
from fuzzing.targets import TARGETS, seeds_of

__all__ = ["main"]

_INTERRUPTED: Final = 130
_REPORT_SECONDS: Final = 1.0
_MUTATIONS: Final = "mutations"
_ABOUT: Final = """\
Seeded fuzzing of all that parses what others write. Every target has a promise, and any exception breaks it.

{targets}
  mutations   100,000 mutated handshakes and frames to one whole server: 0 exits, 0 exceptions, a client is served

An input that breaks a promise is made smaller, written to a file and printed with the command that replays it; the exit
code is 1 then, and 130 after Ctrl-C. The seeds are the files of tests/corpus; they are tests of the suite, too."""


class _Stop:
    """Ctrl-C, which is looked for between two inputs: each takes some milliseconds, and can so be left whole."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._hear)

    def __call__(self) -> bool:
        return self.asked

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:  # whatever hangs, the second one ends
            sys.exit(_INTERRUPTED)
        self.asked = True


def main() -> int:
    """0: every promise held; 1: one did not; 130: interrupted."""
    given = _given()
    if given.replay is not None:
        return _replay(TARGETS[given.target[0]], given.replay)
    stopped = _Stop()
    names = given.target or list(TARGETS)
    results: list[tuple[str, Found]] = []
    attacked: Mutations | None = None
    for name in names:
        if stopped():
            break
        if name == _MUTATIONS:
            attacked = attack_many(given.seed, given.count, stopped, _Progress(name))
        else:
            fuzzer = Fuzzer(TARGETS[name], seeds_of(name), given.seed)
            results.append((name, fuzzer.run(given.seconds, stopped, _Progress(name))))
    _tell(results, given.crashes)
    if attacked is not None:
        print(attacked)
    if stopped():
        return _INTERRUPTED
    broken = any(found.crashes for _, found in results) or (attacked is not None and not attacked.sound)
    print("a promise was BROKEN" if broken else "every promise held")
    return 1 if broken else 0


def _replay(target: Target, path: Path) -> int:
    try:
        data = path.read_bytes()
    except OSError as error:
        print(f"cannot read {path}: {error.strerror}", file=sys.stderr)
        return 2
    crash = crash_of(target, data)
    print(f"{target.name}: {crash.kind}: {crash.what}" if crash else f"{target.name}: the promise held")
    return 1 if crash else 0


class _Progress:
    """A line on stderr, each second."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = 0.0

    def __call__(self, found: Found | Mutations) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _REPORT_SECONDS
            print(f"{self._name}: {found.executions:,} executions", end="\r", file=sys.stderr, flush=True)


def _tell(results: Sequence[tuple[str, Found]], folder: Path) -> None:
    if not results:
        return
    print(f"{'target':<11} {'executions':>10} {'a second':>9} {'seeds':>6} {'new':>5} {'crashes':>8}")
    for name, found in results:
        rate = found.executions / max(found.seconds, 1e-9)
        print(
            f"{name:<11} {found.executions:>10,} {rate:>9,.0f} {found.seeds:>6} {found.new:>5} {len(found.crashes):>8}"
        )
    for name, found in results:
        for crash in found.crashes:
            path = _write(folder / name, crash)
            print(f"\n{name}: {crash.kind}: {crash.what}\n  {crash.data[:100]!r}")
            print(f"  scripts/fuzz --target {name} --replay {shlex.quote(str(path))}")


def _write(folder: Path, crash: Crash) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(crash.data).hexdigest()[:12]
    path.write_bytes(crash.data)
    return path


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name:<11} {target.promise}" for name, target in TARGETS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description=_ABOUT.format(targets=lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--target",
        action="append",
        metavar="NAME",
        choices=[*TARGETS, _MUTATIONS],
        help="one of the above; may be given several times (default: all but mutations)",
    )
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="for each target (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of all dice (default: 1)")
    parser.add_argument("--count", type=_count, default=100_000, help="of mutations (default: 100000)")
    parser.add_argument("--crashes", type=Path, default=Path(".fuzz"), metavar="DIR", help="where crashes are written")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input alone; needs one --target")
    return parser


def _given() -> argparse.Namespace:
    parser = _parser()
    given = parser.parse_args()
    if given.replay is not None and (given.target is None or len(given.target) != 1 or given.target[0] not in TARGETS):
        parser.error("--replay needs one --target NAME, and not mutations")
    return given


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value
