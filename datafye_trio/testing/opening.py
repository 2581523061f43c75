"""`open_test_server`: a test server as an async context manager."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Final, Literal, TypeAlias

import attrs
import trio
from trio.testing import MockClock

from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency
from datafye_trio.nurseries import BareNursery
from datafye_trio.server import ServerConfig
from datafye_trio.sources import Program, Source, Synthetic, SyntheticConfig
from datafye_trio.testing.builders import START
from datafye_trio.testing.control import Control
from datafye_trio.testing.door import Door
from datafye_trio.testing.expectations import ExpectationError
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.hearing import hearing
from datafye_trio.testing.lives import Lives
from datafye_trio.testing.log import Entry, Log
from datafye_trio.testing.proxy import Proxy, open_proxy
from datafye_trio.testing.server import Parts, TestServer

__all__ = ["DialectName", "open_test_server"]

DialectName: TypeAlias = Literal["datafye"]

_DRAIN_SECONDS: Final = 1.0
"""For clients to take what is queued for them at the end: a test's are near, and one that never reads costs this."""
_END_SECONDS: Final = 1.0
_PATIENCE: Final = 3
"""Intervals within which a heartbeat is to be answered, as the server's own settings have it."""


class open_test_server(AbstractAsyncContextManager[TestServer]):  # noqa: N801 -- reads as the call that it is
    """Run a test server while the body runs: `async with open_test_server() as server: server.url`.

    It is an ordinary server behind a proxy that logs, and that breaks things on demand. At the end every client gets
    1001; and where the body has raised nothing, `server.check()` does if anything went wrong, or is missing of what was
    expected. What the body raises leaves it bare, not in an exception group.

    Under an autojump clock (pytest-trio's `autojump_clock`) there is no thread and no socket: clients come by
    `server.open_feed()` or `server.connect()`. And there the same seed makes the same log, to the byte
    (`server.log.dump()`), if the test does the same. Of two clients that come at the same moment, say, Trio draws lots
    who is first: wait for the one (`wait_connected`) before the other is opened.

    Args:
        datasets: names, or what they offer. What they publish is up to the test. `Crypto` is crypto, without quotes;
            the name `Synthetic` is the made-up market, with this seed; each other name is stocks, with all channels.
            They take every well-formed symbol. The first is the default dataset.
        sources: makes the sources, in place of `datasets`; called anew for each restart.
        seed: of all chance: faults, epochs, the made-up market, the waits of feeds.
        heartbeat_interval: seconds between heartbeats; who does not answer one within three times that is cut. By
            default 10 and 30, or as `config` has it.
        control: whether `POST /faults/...` calls for faults, for tests in other processes.
        dialect: `datafye`: offers only what Datafye documents, so that a green test does not hide a red production.
        config: the server's settings; those of the listener (host, port, certificate) are the test server's own.
        listen: whether to listen on a free port of 127.0.0.1; None: unless an autojump clock runs.
        start: the server's time at the beginning, in nanoseconds since 1970 UTC; it goes on by trio's clock.

    Raises:
        ConfigurationError: a setting that cannot be.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[str | DatasetInfo] = ("SIP", "Crypto"),
        sources: Callable[[], Sequence[Source]] | None = None,
        seed: int = 0,
        heartbeat_interval: float | None = None,
        dialect: DialectName | None = None,
        config: ServerConfig | None = None,
        control: bool = False,
        listen: bool | None = None,
        start: int = START,
    ) -> None:
        if dialect not in (None, "datafye"):
            raise ConfigurationError(f"dialect={dialect!r}: there is datafye, or None for all that the server has")
        self._sources = sources or partial(_sources, datasets, seed)
        self._seed = seed
        self._config = _config(config, heartbeat_interval)
        self._dialect = dialect
        self._control = control
        self._listen = listen
        self._start = start
        self._tasks = BareNursery("the test server")
        self._server: TestServer | None = None

    async def __aenter__(self) -> TestServer:
        if not trio.lowlevel.in_trio_run():
            raise ConfigurationError(
                "open_test_server() is for Trio, which does not run here: take the fixture datafye, or "
                "`with run_test_server() as server:`, which serve programs of any kind"
            )
        began = trio.current_time()
        self._log = log = Log()
        self._lives = lives = Lives(
            self._config,
            self._sources,
            seed=self._seed,
            wall_clock=lambda: self._start + round((trio.current_time() - began) * 1e9),
        )
        faults = Faults(log, self._seed, restart=lives.restart, lose_ring=lambda: lives.current().lose_ring())
        lives.beating = faults.beats
        dialect = None if self._dialect is None else hearing(self._heard)
        self._faults = faults
        control = Control(faults, self._config.access) if self._control else None
        door = Door(log, faults, dialect=dialect, control=control)
        self._proxy = open_proxy(lives.connect, greet=door, seed=self._seed)
        proxy = await self._proxy.__aenter__()
        proxy.gate = faults.refuses
        try:
            self._server = await self._begin(proxy, await self._tasks.enter())
        except BaseException as error:
            await self._leave(error)  # noqa: ASYNC102 -- leaves the nurseries: ends when their tasks do
            raise
        return self._server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101 -- set by __aenter__
        failure: ExpectationError | None = None
        if error is None:
            try:  # before the end, which may look like what was expected
                self._server.check()
            except ExpectationError as wrong:
                failure = wrong
        self._server.expect_no_more()
        self._faults.clear()  # a client that is mute hears the end, too
        # Cancelled means soon: each connection is cancelled as well, and tells its peer by itself.
        seconds = 0.0 if isinstance(error, trio.Cancelled) else self._config.drain_seconds + _END_SECONDS
        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds):
            await self._lives.finish()
        await self._leave(error)  # noqa: ASYNC102 -- likewise
        if failure is not None:
            raise failure
        if error is None:
            self._server.check()

    async def _begin(self, proxy: Proxy, nursery: trio.Nursery) -> TestServer:
        await nursery.start(self._lives.run, proxy)
        listens = not _autojumps() if self._listen is None else self._listen
        port = await proxy.listen() if listens else None
        return TestServer(Parts(proxy, self._lives, self._log, self._faults, nursery, self._seed, port))

    async def _leave(self, error: BaseException | None) -> None:
        """Leave the nurseries; raises what a task of ours raised, nothing where only the body's own error is left."""
        try:
            await self._tasks.leave(error)
        finally:
            await self._proxy.__aexit__(type(error) if error else None, error, None)  # noqa: ASYNC102 -- ends when its tasks do

    def _heard(self, name: str, payload: bytes) -> None:
        """An answer of the server's that the dialect is about to strip; the log has only what the client sees."""
        number = next((tap.number for tap in self._faults.taps.values() if tap.name == name), 0)
        if self._server is not None:
            self._server.hear(Entry(number, self._log.now(), "out", "text", payload))


def _autojumps() -> bool:
    """Whether time jumps as soon as all tasks wait: it would, whenever a socket is waited for."""
    clock = trio.lowlevel.current_clock()
    return isinstance(clock, MockClock) and math.isfinite(clock.autojump_threshold)


def _config(config: ServerConfig | None, interval: float | None) -> ServerConfig:
    """The settings of the server behind the proxy."""
    config = ServerConfig(drain_seconds=_DRAIN_SECONDS) if config is None else config
    if config.cert is not None:
        raise ConfigurationError("a test server speaks no TLS: it could not show what passes (cert, key)")
    if interval is None:
        return config
    # Three times the text "5" is "555", which is a number of seconds, too: markers are checked by nobody else.
    if not isinstance(interval, int | float) or not 0 < interval < math.inf:
        raise ConfigurationError(f"heartbeat_interval={interval!r}: a number of seconds above 0")
    heartbeat = attrs.evolve(config.heartbeat, interval=interval, timeout=_PATIENCE * interval)
    return attrs.evolve(config, heartbeat=heartbeat)


def _sources(datasets: Sequence[str | DatasetInfo], seed: int) -> list[Source]:
    """A source for each dataset.

    Raises:
        ConfigurationError: there is none.
    """
    if not datasets or isinstance(datasets, str):
        raise ConfigurationError(f"datasets={datasets!r}: name one or more, as in datasets=['SIP', 'Crypto']")
    return [_source(one, seed) for one in datasets]


def _source(dataset: str | DatasetInfo, seed: int) -> Source:
    if isinstance(dataset, DatasetInfo):
        frequencies = dataset.frequencies or tuple(Frequency)
        return Program(dataset.name, dataset.asset_class, dataset.channels, dataset.symbols, frequencies=frequencies)
    if dataset == "Synthetic":
        return Synthetic(SyntheticConfig(seed=seed))
    if dataset == "Crypto":
        return Program(dataset, AssetClass.CRYPTO, tuple(one for one in Channel if one is not Channel.QUOTES))
    return Program(dataset, AssetClass.STOCKS, tuple(Channel))
