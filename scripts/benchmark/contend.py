"""The servers that `scripts/bench` measures, and the process that runs one of them: CONTENDER JOB.

Each is in its best reasonable form: every message is encoded once, by msgspec, and the same text goes to all
connections; compression and pings are off; nothing is dropped. What was measured and not taken stands with each.
`serving` says what JOB and the orders on stdin are. Without arguments it writes who is here, who cannot run and why,
and the versions, as JSON.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any, Final

import attrs

from benchmark.serving import Job

__all__ = ["CONTENDERS", "Contender", "surroundings"]


@attrs.frozen
class Contender:
    """A server: its module and the function there that runs it, and the modules that it needs beyond the project's own.

    `dialect` is what its clients speak. `mixed` and `tls` say whether it can do so. Its module is loaded by the process
    that runs it alone: with all of them each server started 0.3 s later, and stood on what the others had loaded.
    """

    module: str
    function: str = "run"
    needs: tuple[str, ...] = ()
    dialect: str = "datafye"
    mixed: bool = True
    tls: bool = True

    def run(self, job: Job) -> None:
        """Serve until stdin says `quit` or ends."""
        getattr(self._loaded(), self.function)(job)

    def missing(self) -> str | None:
        """Why it cannot run here; None where it can. A module that has something to say about that has a `missing`."""
        why = getattr(self._loaded(), "missing", None)
        if why is not None and (said := why()):
            return str(said)
        try:
            for name in self.needs:
                import_module(name)
        except ImportError as error:
            return str(error)
        return None

    def versions(self) -> dict[str, str]:
        """Of what is no Python package, where its module has `versions`."""
        found: dict[str, str] = getattr(self._loaded(), "versions", dict)()
        return found

    def _loaded(self) -> ModuleType:
        return import_module(f"benchmark.{self.module}")


CONTENDERS: Final = {
    "ours": Contender("server_ours"),
    "raw limit": Contender("server_raw", mixed=False),
    "picows, uvloop": Contender("server_picows", needs=("picows", "uvloop")),
    "node ws": Contender("server_node"),
    "aiohttp, uvloop": Contender("server_aiohttp", "run_uvloop", ("aiohttp", "uvloop")),
    "aiohttp": Contender("server_aiohttp", "run_asyncio", ("aiohttp",)),
    "websockets, uvloop": Contender("server_websockets", "run_uvloop", ("websockets.asyncio.server", "uvloop")),
    "websockets": Contender("server_websockets", "run_asyncio", ("websockets.asyncio.server",)),
    "websockets.trio": Contender("server_websockets", "run_trio", ("websockets.trio.server",)),
    "trio-websocket": Contender("server_trio_websocket"),
    "mosquitto": Contender("server_mosquitto", dialect="mqtt", tls=False),
    "nchan": Contender("server_nchan", dialect="nchan", mixed=False, tls=False),
}


def surroundings() -> dict[str, Any]:
    """Who is here and what each can do, who cannot run here and why, and the versions of what they need."""
    missing = {name: why for name, one in CONTENDERS.items() if (why := one.missing())}
    here = {name: one for name, one in CONTENDERS.items() if name not in missing}
    packages = {module.split(".")[0] for one in here.values() for module in one.needs} | {"msgspec", "trio"}
    versions = {name: version(name) for name in (*packages, "trio-websocket")}
    for one in here.values():
        versions |= one.versions()
    return {
        "contenders": {
            name: {"dialect": one.dialect, "mixed": one.mixed, "tls": one.tls} for name, one in here.items()
        },
        "missing": missing,
        "versions": dict(sorted(versions.items())),
    }


def main() -> int:
    """Run one contender, or without arguments report what is here."""
    if len(sys.argv) == 1:
        print(json.dumps(surroundings()))
        return 0
    if len(sys.argv) != 3 or sys.argv[1] not in CONTENDERS:
        raise SystemExit(f"give CONTENDER JOB; the contenders are: {'; '.join(CONTENDERS)}")
    try:
        CONTENDERS[sys.argv[1]].run(Job.read(sys.argv[2]))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
