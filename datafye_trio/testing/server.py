"""A test server, as a test sees it: what it publishes, what its clients are to do, its faults, and the end.

It is an ordinary server behind a proxy (see `proxy`): whatever is done to its clients is done on the way to them.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from datafye_trio.client import FeedConfig, open_feed
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Event
from datafye_trio.protocol import BASE_PATH
from datafye_trio.testing.audience import Audience
from datafye_trio.testing.expectations import Expectations
from datafye_trio.testing.failures import Failure
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.lives import Lives, Outlet
from datafye_trio.testing.log import Log
from datafye_trio.testing.playing import Playable, Playing, timed
from datafye_trio.testing.proxy import Proxy
from datafye_trio.wire import MemoryStream

__all__ = ["Parts", "TestServer"]

_SETTLE_SECONDS: Final = 0.05
"""For what was published to come through the tasks between the broker and the sockets, where others are never quiet."""


@attrs.frozen
class Parts:
    """What a test server is made of; `open_test_server` puts it together."""

    proxy: Proxy
    lives: Lives
    log: Log
    faults: Faults
    nursery: trio.Nursery
    seed: int
    port: int | None


class TestServer(Audience):
    """A running test server; made by `open_test_server`, which also ends it.

    See `Audience` for what it knows of its clients: `log`, `faults`, waiting and expecting.
    """

    __test__ = False
    """Not a class of tests, whatever pytest thinks of its name."""

    def __init__(self, parts: Parts) -> None:
        expected = Expectations(parts.log, self, parts.nursery)
        super().__init__(parts.log, parts.faults, parts.lives, expected)
        self._proxy = parts.proxy
        self._nursery = parts.nursery
        self._seed = parts.seed
        self._port = parts.port
        self._feeds = 0
        self._plays: list[Playing] = []

    # Where it is.

    @property
    def port(self) -> int:
        """The port of 127.0.0.1; it stays the same over restarts.

        Raises:
            ConfigurationError: it does not listen.
        """
        if self._port is None:
            raise ConfigurationError(
                "this test server does not listen: under an autojump clock time would run out while a real socket "
                "waits. Use server.open_feed() or server.connect(), or open_test_server(listen=True)"
            )
        return self._port

    @property
    def url(self) -> str:
        """The base URL, for all channels; those of one channel are below it.

        Raises:
            ConfigurationError: it does not listen.
        """
        return f"ws://127.0.0.1:{self.port}{BASE_PATH}"

    def url_for(self, path: str) -> str:
        """The URL of a path below the base path, such as `stocks/live/quotes`.

        Raises:
            ConfigurationError: it does not listen.
        """
        return f"{self.url}/{path.strip('/')}"

    def connect(self) -> MemoryStream:
        """A connection in memory: the client's end, on which a WebSocket handshake is expected.

        Raises:
            ConnectionRefusedError: it is down, or refuses.
        """
        return self._proxy.connect()

    def open_feed(self, config: FeedConfig | None = None) -> open_feed:
        """The client of this project over memory: `async with server.open_feed() as feed: ...`.

        Its waits before it comes back are drawn from the server's seed, unless `config` has a `jitter` of its own.
        """
        config = FeedConfig() if config is None else config
        reconnect = config.reconnect
        self._feeds += 1
        if reconnect.jitter == random.random:
            seeded = random.Random(f"feed {self._feeds} of {self._seed}")
            reconnect = attrs.evolve(reconnect, jitter=seeded.random)
        config = attrs.evolve(config, reconnect=reconnect, open_stream=self._open_stream)
        return open_feed(f"ws://localhost{BASE_PATH}", config)

    # What it publishes.

    def now(self) -> int:
        """The server's time in nanoseconds since 1970 UTC: `start`, and what trio's clock has gone since."""
        return self._lives.now()

    async def publish(self, events: Event | Sequence[Event], dataset: str | None = None) -> None:
        """Publish one event or several, by default to the first dataset; waits for room. Cancel-safe up to 1,024.

        When it returns they are on their way to all who read, so that what is done to clients next (`faults.drop()`)
        comes behind them.

        Raises:
            EventError: an event is malformed, or there is no such dataset; nothing was published.
            ServerClosedError: the server is down, or has ended.
        """
        await self._lives.current().publish(events, dataset=dataset)
        with trio.move_on_after(_SETTLE_SECONDS, shield=True):  # they are out: cancelled now, it would deny that
            await wait_all_tasks_blocked()

    def publish_nowait(self, events: Event | Sequence[Event], dataset: str | None = None) -> None:
        """As `publish`, for at most 1,024 events, without waiting.

        Raises:
            trio.WouldBlock: there is no room; nothing was published.
            EventError, ServerClosedError: as `publish`.
        """
        self._lives.current().publish_nowait(events, dataset=dataset)

    def play(self, what: Playable, *, at: float = 0.0, speed: float = 1.0, dataset: str | None = None) -> Playing:
        """Publish events in the background, at the distances of their own times.

        What falls into an outage is lost, as in life. It ends with the server. Events go out a microsecond after their
        time, and those of each further play at once another one: so what happens at one moment has an order that is the
        same each time, the test's own doings first.

        Args:
            what: events in the order in which they are to go out, or the path of a recording or of a tick CSV file.
            at: seconds from now until the first one, whatever its own time is.
            speed: how much faster than their times; `math.inf`: as fast as clients read.
            dataset: where to; None: the dataset of the recording's name, where there is one, else the first.

        Raises:
            ConfigurationError: a time or a speed that makes no sense; there is no such dataset.
            SourceError: the path cannot be read.
        """
        if not (0 <= at < math.inf and speed > 0):
            raise ConfigurationError(f"play(at={at}, speed={speed}): seconds from 0, and a speed above 0")
        name, events = timed(what, self._lives.current().datasets, dataset)
        self._plays = [one for one in self._plays if not one.done or (one.error is not None and not one.told)]
        taken = {one.slot for one in self._plays if not one.done}
        playing = Playing(next(slot for slot in itertools.count(1) if slot not in taken))
        self._plays.append(playing)
        self._nursery.start_soon(partial(playing.run, events, Outlet(self._lives, name), at=at, speed=speed))
        return playing

    # What became of it.

    @property
    def errors(self) -> tuple[Failure, ...]:
        """What went wrong without anybody being told: in the server, in what was to follow on an expectation, or in a
        `play` that nobody waited for.
        """
        plays = [Failure("play() failed", one.error) for one in self._plays if one.error is not None and not one.told]
        return (*self._lives.failures.found, *self._expected.failures, *plays)

    def check(self) -> None:
        """Raise if anything went wrong in the server, or is missing or out of order of what was expected.

        Raises:
            ExpectationError: so it is; the text says all of it.
        """
        errors = self.errors
        if errors:
            lines = [f"the server failed: {failure}" for failure in errors]
            raise self._expected.failure(lines, []) from errors[0].error
        self._expected.check()

    # What expectations do (see `datafye_trio.testing.expectations.Actor`).

    def close_connection(self, code: int, connection: int) -> None:
        """Close a connection that is open with a code."""
        if connection in self.faults.taps:
            self.faults.close(code, "as the test wants it", connection=connection)

    def drop_connection(self, connection: int) -> None:
        """Cut a connection that is open, behind what is on its way to the client: so it is the same each time."""
        if (tap := self.faults.taps.get(connection)) is not None:
            tap.scribe.note("fault", reason="dropped, as the test wants it")
            tap.link.to_client.cut_behind(0, self)

    async def _open_stream(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return self.connect()
