"""The server's wall clock is set an hour on, then two hours back, then right again, while clients read.

None of them may lose its connection, and every message must come once and in order. The clock is that of the server's
process alone (libfaketime), which only changes what it is told: the machine's own is left alone. It is told over
three heartbeats each time, so that one that is late by an hour would be found out. Where libfaketime is not installed
(`apt-get install faketime`), nothing is tried, and nothing proved.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

import attrs
import trio

from datafye_trio.client import FeedConfig
from soaking.running import ServerProcess, say, topics_of, wait_for_all
from soaking.scenario import Report, Scenario, above_zero, judge, whole
from soaking.server import ServerSettings
from soaking.watched import WatchedClient, account_of, undisturbed

__all__ = ["SCENARIO", "ClockSettings", "run_clock"]

_HOUR: Final = 3600
_OFFSETS: Final = (_HOUR, -_HOUR, 0)
_TOLERANCE: Final = 60.0
_LAST_SECONDS: Final = 30.0
_LIBRARIES: Final = ("libfaketimeMT.so.1", "libfaketime.so.1")
_PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")


@attrs.frozen
class ClockSettings:
    """What to run: `seconds` with each setting of the clock."""

    clients: int = 20
    seconds: float = 35.0
    rate: float = 200.0
    symbols: int = 20
    each: int = 4


class FakeClock:
    """The wall clock of a process that was started with `environment`. `offset` may be set at any time.

    Its timers stay right: what goes by the monotonic clock is not faked.
    """

    def __init__(self, library: Path, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: int) -> None:
        """So many seconds from the machine's clock, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+d}")
        new.replace(self._file)  # the process reads it whenever it looks at its clock


def find_library() -> Path | None:
    """Where libfaketime is."""
    root = Path("/")
    return next((found for name in _LIBRARIES for place in _PLACES for found in root.glob(f"{place[1:]}/{name}")), None)


async def run_clock(settings: ClockSettings, library: Path) -> Report:
    """Run it."""
    topics = [topics_of(number, settings.each, settings.symbols) for number in range(settings.clients)]
    clients = [WatchedClient(number, own, FeedConfig()) for number, own in enumerate(topics)]
    shown: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        clock = FakeClock(library, Path(folder))
        started = ServerProcess(ServerSettings(settings.symbols, settings.rate), clock.environment)
        async with started as server, trio.open_nursery() as nursery:
            port = await server.listen()
            for client in clients:
                nursery.start_soon(client.run, port)
            for client in clients:
                await client.subscribed.wait()
            say(f"{settings.clients} clients have subscribed")
            await server.tell("go")
            await trio.sleep(settings.seconds / 2)
            ended: list[object] = []
            for offset in _OFFSETS:
                clock.set(offset)
                await trio.sleep(settings.seconds)
                seen = await server.watch()
                shown.append(seen["wall"] - time.time())
                ended += seen["ended"]
                say(f"  the server's clock is {shown[-1]:+,.0f} s from ours")
            await server.tell("stop")
            await wait_for_all(clients, await server.log(), _LAST_SECONDS)
            ended += (await server.watch())["ended"]
            nursery.cancel_scope.cancel()
    verdict = account_of(clients)
    figures = (
        f"{settings.clients} clients, {settings.seconds:g} s with each setting of the clock: "
        + ", ".join(f"{offset:+,.0f} s" for offset in shown),
        str(verdict),
        f"{sum(len(client.lost) for client in clients)} disconnections",
    )
    was_set = all(abs(offset - wanted) < _TOLERANCE for offset, wanted in zip(shown, _OFFSETS, strict=True))
    promises = undisturbed(verdict, clients, {"ended": ended})
    return judge(figures, {"the server's clock did not change: nothing was tried": was_set, **promises})


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=whole, default=20, help="default: 20")
    parser.add_argument(
        "--seconds",
        type=above_zero,
        default=35.0,
        help="with each setting of the clock (default: 35, three heartbeats)",
    )


async def _run(given: argparse.Namespace) -> Report:
    library = find_library()
    if library is None:
        return judge((), {"libfaketime is not installed (apt-get install faketime): nothing was tried": False})
    return await run_clock(ClockSettings(given.clients, given.seconds), library)


SCENARIO: Final = Scenario("clock", "the server's wall clock is set, +-1 h", _arguments, _run)
