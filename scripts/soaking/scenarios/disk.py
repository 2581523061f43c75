"""A disk that is full, for a server's log and for a recording: the stream goes on, and there is one warning.

`datafye-trio serve` writes its log to the disk, `datafye-trio record` a recording of that server. A client reads all
the time, and checks every number by itself; strangers come and go, of which the log tells. Then the disk is full for
some time. The client must miss nothing, the recorder must say so once, and once that it can write again, and its
recording must be whole. The log must go on by itself, with one line on what it lost. At last the disk is full once more
while the server ends: it must end in good order, with exit code 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from datafye_trio.client import FeedState, open_raw_feed
from datafye_trio.errors import ConnectError
from datafye_trio.model import Gap
from datafye_trio.recordings.inspecting import ChannelReport, inspect_folder
from datafye_trio.wire.client import ClientOptions, open_client
from soaking.children import Child
from soaking.rooms import Room, open_room
from soaking.running import say
from soaking.scenario import Report, Scenario, above_zero, judge

__all__ = ["SCENARIO", "DiskSettings", "Reader", "Seen", "judge_disk", "run_disk"]

_LONGEST_PAUSE: Final = 2.0
_END_SECONDS: Final = 15.0
_STRANGERS: Final = 0.05
"""Seconds between two. Each comes from another address of loopback, since the log limits the lines of one: so many
lines that what is left of the log's last block does not hide that the disk is full."""
_FULL_TIMES: Final = 2
_LOST_LINES: Final = "lines lost"


@attrs.frozen
class DiskSettings:
    """What to run: the disk is full for `full` seconds, and has room for `free` before and after it."""

    full: float = 20.0
    free: float = 5.0
    rate: float = 500.0


class Reader:
    """Reads all quotes and trades of a server as they are on the wire, and checks their numbers.

    Attributes:
        received: messages.
        holes: times that a number was not the one after the last of its topic.
        pause: the longest time between two messages, in seconds.
        lost: why its connection was lost, each time.
    """

    def __init__(self) -> None:
        self.received = self.holes = 0
        self.pause = 0.0
        self.lost: list[str] = []
        self.reads = trio.Event()
        self._next: dict[tuple[str, str], int] = {}

    async def run(self, url: str) -> None:
        """Read until cancelled."""
        async with open_raw_feed(url) as feed, trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, feed.states())
            async with feed.subscribe(["quotes", "trades"], "*", snapshot=False) as subscription:
                last = trio.current_time()
                while items := await subscription.receive_many():
                    now = trio.current_time()
                    self.pause, last = max(self.pause, now - last), now
                    for item in items:
                        self.take(item)
                    self.reads.set()

    def take(self, item: object) -> None:
        """The next one."""
        if isinstance(item, Gap) or not isinstance(item, dict):
            self.holes += 1
            return
        topic, number = (item["type"], item["symbol"]), item["seq"]
        self.holes += number != self._next.get(topic, number)
        self._next[topic] = number + 1
        self.received += 1

    async def _follow(self, states: Any) -> None:
        async for change in states:
            if change.state is FeedState.DISCONNECTED:
                self.lost.append(str(change.why))


@attrs.define
class Seen:
    """What has come of it."""

    room: str
    full: str
    reader: Reader
    meanwhile: int = 0
    """Messages that the reader got while the disk was full."""
    recorder: int | None = None
    server: int | None = None
    said: list[str] = attrs.Factory(list)
    log: list[str] = attrs.Factory(list)
    channels: tuple[ChannelReport, ...] = ()


async def run_disk(settings: DiskSettings) -> Report:
    """Run it."""
    with tempfile.TemporaryDirectory() as outside:
        folder = Path(outside) / "small"
        folder.mkdir()
        with open_room(folder) as room:
            seen = Seen(room.name, room.full, Reader())
            await _Full(settings, room, folder, Path(outside) / "said", seen).run()
    return judge_disk(seen)


class _Full:
    def __init__(self, settings: DiskSettings, room: Room, folder: Path, said: Path, seen: Seen) -> None:
        self._settings = settings
        self._room = room
        self._log, self._recording, self._said = folder / "log", folder / "recording", said
        self._seen = seen

    async def run(self) -> None:
        """See the module."""
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(
                self._child(stack, self._log, "serve", "--port", "0", "--rate", self._settings.rate, *_JSON)
            )
            url = (await server.line()).removeprefix("listening on ")
            recorder = await stack.enter_async_context(self._child(stack, self._said, "record", url, self._recording))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._seen.reader.run, url)
                await self._seen.reader.reads.wait()
                nursery.start_soon(_strangers, url)
                say("a client reads, and all is recorded")
                await self._fill_and_free([server.process.pid, recorder.process.pid])
                self._seen.recorder = await _end(recorder)
                self._room.fill([server.process.pid])
                await trio.sleep(self._settings.free)
                nursery.cancel_scope.cancel()
            self._seen.server = await _end(server)
        self._seen.said = self._said.read_text().splitlines()
        self._seen.log = self._log.read_text(errors="replace").splitlines()
        if self._recording.is_dir():  # else it was full before the first row, and nothing is proved
            self._seen.channels = inspect_folder(self._recording).channels

    async def _fill_and_free(self, pids: list[int]) -> None:
        settings, reader = self._settings, self._seen.reader
        await trio.sleep(settings.free)
        self._room.fill(pids)
        before = reader.received
        say(f"  the disk is full, for {settings.full:g} s")
        await trio.sleep(settings.full)
        self._seen.meanwhile = reader.received - before
        self._room.free(pids)
        say("  there is room again")
        await trio.sleep(settings.free)

    def _child(self, stack: AsyncExitStack, errors: Path, *arguments: object) -> Child:
        file = stack.enter_context(errors.open("ab"))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DATAFYE_TRIO_")}
        return Child([sys.executable, "-m", "datafye_trio", *map(str, arguments)], environment, errors=file)


_JSON: Final = ("--log-format", "json")


async def _end(child: Child) -> int | None:
    """SIGTERM, and its exit code."""
    child.signal(signal.SIGTERM)
    with trio.move_on_after(_END_SECONDS):
        await child.process.wait()
    return child.process.returncode


async def _strangers(url: str) -> None:
    """Come, and go at once, again and again."""
    port = urlsplit(url).port or 80
    for number in itertools.cycle(range(2, 250)):
        connect = partial(trio.open_tcp_stream, "127.0.0.1", port, local_address=f"127.0.0.{number}")
        try:
            async with open_client(url, ClientOptions(open_stream=connect)):
                await trio.sleep(_STRANGERS)
        except ConnectError:
            await trio.sleep(_STRANGERS)


def judge_disk(seen: Seen) -> Report:
    reader = seen.reader
    warnings = [line for line in seen.said if seen.full in line]
    again = [line for line in seen.said if "can be written again" in line]
    entries = [_entry(line) for line in seen.log]
    notices = [entry for entry in entries if entry is not None and entry.get("event") == _LOST_LINES]
    torn = sum(entry is None for entry in entries)
    wrong = sum(channel.gaps + channel.repeated for channel in seen.channels)
    figures = (
        f"{seen.room}: full, with room again, full again",
        f"the client: {reader.received:,} messages, {seen.meanwhile:,} while it was full; {reader.holes} holes, "
        f"longest pause {reader.pause:.2f} s",
        f"the recording: {sum(channel.rows for channel in seen.channels):,} rows, {wrong} holes or repeated; said:",
        *(f"  {line[:160]}" for line in (*warnings[:3], *again[:3])),
        f"the log: {len(entries):,} lines, {torn} torn; {len(notices)} on what is missing"
        + "".join(f": {entry['count']} at most" for entry in notices),
    )
    promises = {
        f"the client missed messages: {reader.holes} holes": not reader.holes,
        f"the client lost its connection: {reader.lost[:1]}": not reader.lost,
        f"the stream paused for {reader.pause:.1f} s": reader.pause <= _LONGEST_PAUSE and seen.meanwhile > 0,
        f"the recorder warned {len(warnings)} times, not once": len(warnings) == 1,
        f"the recorder said {len(again)} times that it can write again, not once": len(again) == 1,
        f"the recording has {wrong} holes": not wrong and bool(seen.channels),
        f"the recorder ended with {seen.recorder}": seen.recorder == 0,
        f"the log tells {len(notices)} times of lines that are missing, not once": len(notices) == 1,
        f"{torn} lines of the log are torn, more than the disk was full": torn <= _FULL_TIMES,
        f"the server ended with {seen.server}, while the disk was full": seen.server == 0,
    }
    return judge(figures, promises)


def _entry(line: str) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", type=above_zero, default=20.0, help="seconds for which it is full (default: 20)")
    parser.add_argument("--free", type=above_zero, default=5.0, help="seconds before and after that (default: 5)")


async def _run(given: argparse.Namespace) -> Report:
    return await run_disk(DiskSettings(given.full, given.free))


SCENARIO: Final = Scenario("disk", "a full disk for the log and a recording", _arguments, _run)
