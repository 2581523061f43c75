"""`datafye-trio serve`: settings, sources, and a server until a signal."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio
from cyclopts import App

from datafye_trio.cli.datasets import Description, UpstreamConfig, open_source
from datafye_trio.cli.flags import ServeFlags
from datafye_trio.cli.logging import logging_to
from datafye_trio.cli.printing import as_toml
from datafye_trio.cli.reloading import Reloader
from datafye_trio.cli.settings import FLAGS, PREFIX, Settings, load, outside_file
from datafye_trio.cli.signals import terminals
from datafye_trio.cli.text import say
from datafye_trio.cli.values import Given, from_text, structure
from datafye_trio.errors import ConfigurationError, FeedError, leaves_of
from datafye_trio.logs import get_logger
from datafye_trio.server import Server, open_server
from datafye_trio.sources import Source, SyntheticConfig

if TYPE_CHECKING:
    from datafye_trio.relay import Relay, open_relay

__all__ = ["app", "run", "serve"]

log = get_logger("serve")

_CRASHED: Final = 1
_HURRIED: Final = 130

_EXAMPLES: Final = """\
Examples:
  datafye-trio serve
      a made-up market of ten stocks on ws://localhost:8080/datafye-ws/v1
  datafye-trio serve --port 0 --symbols AAPL,MSFT --rate 5000 --seed 7 --halts
  datafye-trio serve --dataset Crypto
  datafye-trio serve --replay ticks/ --dataset SIP --speed max --wait-for-client
  datafye-trio serve --descriptor spec.yaml --replay recording/
  datafye-trio serve --descriptor spec.yaml --replay SIP=sip/ --replay Crypto=c/
  datafye-trio serve --port 8081 --upstream ws://localhost:8080/datafye-ws/v1
  my-program | datafye-trio serve --stdin --dataset Mine
  datafye-trio serve --host 0.0.0.0 --allow 10.0.0.0/8 --cert a.pem --key a.key
  datafye-trio serve --host 0.0.0.0 --allow @allow.txt --deny 10.6.6.6
  datafye-trio serve --print-config > serve.toml
  datafye-trio serve --config serve.toml

A flag wins over a variable, that over the file, that over the default. Every
flag has its variable (--port: DATAFYE_TRIO_PORT), and so has every setting of
--print-config (heartbeat.interval: DATAFYE_TRIO_HEARTBEAT_INTERVAL).
Ctrl-C or SIGTERM lets clients read what waits for them, then ends with 0; a
second one ends at once, with 130.
SIGHUP rereads the access and control lists (those of --config, and files named
as --allow @FILE), the certificate and the key; whoever is still allowed stays.
Flags and variables go on to win over the file. What is wrong changes nothing.
The log goes to stderr: one line an event, but one a second for one address and
kind, which then tells as suppressed=N how many were left out before it.
"""

app = App(name="serve", help_epilogue=_EXAMPLES)


@app.default
def serve(flags: ServeFlags = ServeFlags()) -> int:  # noqa: B008 -- frozen
    """Serve until a signal; returns the exit code.

    Raises:
        ConfigurationError: a setting is wrong, the port is in use, files cannot be used.
    """
    environ = os.environ
    given = {name.rstrip("_"): value for name, value in attrs.asdict(flags, recurse=False).items()}  # from_ is --from
    file = flags.config or _path(environ.get(f"{PREFIX}CONFIG"))
    descriptor = flags.descriptor or _path(environ.get(f"{PREFIX}DESCRIPTOR"))
    given = {flag: given[flag] for flag in FLAGS}
    again = partial(load, given, environ, file, descriptor)
    settings = again()
    if flags.print_config or _is_true(environ, f"{PREFIX}PRINT_CONFIG"):
        for warning in settings.warnings:
            say(f"datafye-trio: {warning}")
        say(as_toml(settings).rstrip("\n"), sys.stdout)
        return 0
    with logging_to(sys.stderr, settings.process.log_format, settings.process.log_level):
        for warning in settings.warnings:
            log.warning(warning)
        with _quiet_collector():
            return trio.run(run, settings, Reloader(settings, again, outside_file(given, environ), file))


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Let the garbage collector look at less, and less often, while the body runs.

    What is alive now stays, and is not to be looked at again. A ring makes many objects that live for a minute, which
    Python's own threshold (700) walks through again and again: 16 to 20 % of the processor time of a mixed load.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def run(settings: Settings, reloader: Reloader | None = None) -> int:
    """Serve until SIGINT or SIGTERM (0), or until a source crashes where that is to end it (1).

    The first signal ends the body: the server tells its clients and lets them read what waits for them. A second one
    ends the process at once, with 130; there is nothing on disk that could be left half done. SIGHUP is for the
    reloader; from a terminal that is gone, it ends the body, too.
    """
    wrong: BaseException | None = None
    crashed = False
    reloader = Reloader(settings, lambda: settings) if reloader is None else reloader
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        trio.open_signal_receiver(signal.SIGHUP) as hang_ups,
    ):
        try:
            async with trio.open_nursery() as nursery:
                asked, opened, opening = trio.Event(), trio.Event(), trio.CancelScope()

                def stop() -> None:
                    asked.set()
                    if not opened.is_set():
                        opening.cancel()

                nursery.start_soon(_obey, signals, asked, stop)
                nursery.start_soon(reloader.run, hang_ups, terminals(), stop)
                with opening:
                    crashed = await _serve(settings, asked, opened, reloader)
                nursery.cancel_scope.cancel()
        except* (ConfigurationError, FeedError) as group:
            wrong = next(leaves_of(group))
    if wrong is not None:
        raise ConfigurationError(str(wrong))
    return _CRASHED if crashed else 0


async def _serve(settings: Settings, asked: trio.Event, opened: trio.Event, reloader: Reloader) -> bool:
    """Serve until asked to stop, or until a source crashes where that is to end it; whether it was that.

    Until `opened`, a signal cancels this: a relay waits for its upstream as long as it takes.
    """
    ends = settings.process.on_source_error == "exit"
    async with AsyncExitStack() as stack:
        sources = _Sources(settings.datasets)
        await sources.connect(stack)
        server = await stack.enter_async_context(_opening(settings, sources))
        opened.set()
        reloader.opened(server if isinstance(server, Server) else None)
        say(f"listening on {server.url}", sys.stdout)
        crashed = await _wait_either(asked, server.source_crashed if ends else trio.Event())
        log.info("stopping", why="a source has crashed" if crashed else "asked by a signal")
        return crashed


class _Running(Protocol):
    """What either server shows of itself."""

    source_crashed: trio.Event

    @property
    def url(self) -> str:
        """The base URL."""


def _opening(settings: Settings, sources: _Sources) -> AbstractAsyncContextManager[_Running]:
    if not settings.process.testing:
        return open_server(settings.server, sources())
    # Here, because a server that is not for tests is to have nothing loaded that breaks connections.
    from datafye_trio.testing.standing import open_standing_server

    log.warning("for tests only: POST /faults/... breaks the connections of whoever is served here")
    return open_standing_server(settings.server, sources, seed=sources.seed)


class _Sources:
    """Makes the sources; called once, or (for tests) for each life of the server.

    Args:
        datasets: what is to be served.
    """

    def __init__(self, datasets: Sequence[Description]) -> None:
        self._datasets = datasets
        self._relays: dict[int, list[Relay]] = {}
        self._called = False

    @property
    def seed(self) -> int:
        """The seed of the first made-up market, 0 where there is none."""
        return next((one.seed for one in self._datasets if isinstance(one, SyntheticConfig)), 0)

    async def connect(self, stack: AsyncExitStack) -> None:
        """Connect to the servers that are to be relayed, for as long as the stack lasts.

        Raises:
            ConfigurationError, FeedError: see `open_relay`.
        """
        for place, description in enumerate(self._datasets):
            if isinstance(description, UpstreamConfig):
                self._relays[place] = await stack.enter_async_context(_relay(description))

    def __call__(self) -> list[Source]:
        """The sources of a server that is about to start.

        Raises:
            ConfigurationError: files cannot be used.
        """
        if self._called:
            self._relays = {place: [one.renewed() for one in relays] for place, relays in self._relays.items()}
        self._called = True
        sources: list[Source] = []
        for place, description in enumerate(self._datasets):
            if isinstance(description, UpstreamConfig):
                sources += self._relays[place]
            else:
                sources.append(open_source(description))
        return sources


def _relay(description: UpstreamConfig) -> open_relay:
    # Here, because a server that relays nothing needs no client.
    from datafye_trio.client import FeedConfig
    from datafye_trio.relay import open_relay

    feed = FeedConfig(ca=_path(description.ca))
    opening = open_relay(description.upstream, feed, dataset=description.dataset)
    log.info("waiting for the server to relay", url=description.upstream)
    return opening


async def _obey(signals: AsyncIterator[int], asked: trio.Event, stop: Callable[[], None]) -> None:
    async for _ in signals:
        if asked.is_set():
            os._exit(_HURRIED)
        stop()


async def _wait_either(first: trio.Event, second: trio.Event) -> bool:
    """Wait for one of two events; whether it was the second."""

    async def wait(event: trio.Event) -> None:
        await event.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, first)
        nursery.start_soon(wait, second)
    return second.is_set()


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _is_true(environ: Mapping[str, str], variable: str) -> bool:
    value = from_text(environ.get(variable) or "false", bool)
    return bool(structure(Given(value, variable), bool))
