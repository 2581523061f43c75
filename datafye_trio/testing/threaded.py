"""`run_test_server`: a test server in a thread of its own, for clients and suites that are not Trio's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from datafye_trio.errors import ConfigurationError
from datafye_trio.model import DatasetInfo, Event
from datafye_trio.server import ServerConfig
from datafye_trio.sources import Source
from datafye_trio.testing.advancing import GRACE, Advancer
from datafye_trio.testing.audience import OpenConnection
from datafye_trio.testing.bridge import Bridge
from datafye_trio.testing.builders import START
from datafye_trio.testing.expectations import Expectation, ExpectationError
from datafye_trio.testing.failures import Failure
from datafye_trio.testing.handles import ThreadedExpectation, ThreadedLog, ThreadedPlaying, check_may_wait
from datafye_trio.testing.opening import DialectName, open_test_server
from datafye_trio.testing.playing import Playable
from datafye_trio.testing.server import TestServer
from datafye_trio.testing.threaded_faults import ThreadedFaults

if TYPE_CHECKING:
    from datafye_trio.testing.aio import Aio

__all__ = ["ThreadedTestServer", "run_test_server"]


class ThreadedTestServer:
    """A test server in another thread; made by `run_test_server`, which also ends it. Any thread may call it.

    Timeouts are in seconds of the server's clock. That goes with the machine's, and `advance` moves it. Calls that wait
    for clients are refused in a thread that runs an event loop, where the client would stand still: under asyncio,
    `.aio` has them all, to be awaited.

    Attributes:
        url: the base URL, for all channels; those of one channel are below it.
        port: the port of 127.0.0.1; it stays the same over restarts.
        log: every frame, in and out, and what was done to connections.
        faults: what may be done to clients.
    """

    def __init__(self, bridge: Bridge[TestServer]) -> None:
        self._bridge = bridge
        self._server = server = bridge.value
        self.url = server.url
        self.port = server.port
        self.log = ThreadedLog(bridge, server.log)
        self.faults = ThreadedFaults(bridge, server.faults)
        self._advancer = bridge.call(Advancer, bridge.clock, server.log, server.faults.taps)

    def __repr__(self) -> str:
        return f"<test server {self.url}>"

    @property
    def aio(self) -> Aio:
        """The calls that wait, for asyncio: `await datafye.aio.wait_subscribed("quotes", "AAPL")`."""
        from datafye_trio.testing.aio import Aio  # a suite without asyncio is not to import it

        return Aio(self._bridge, self._advancer)

    def url_for(self, path: str) -> str:
        """The URL of a path below the base path, such as `stocks/live/quotes`."""
        return self._server.url_for(path)

    # Its clock.

    def now(self) -> int:
        """The server's time in nanoseconds since 1970 UTC."""
        return self._bridge.call(self._server.now)

    def advance(self, seconds: float, grace: float = GRACE) -> None:
        """Move the server's clock: a heartbeat's 30 s cost milliseconds, for any client over a real socket.

        The clock jumps from one thing that is due to the next, and after each jump clients get real time to answer:
        `grace` seconds, and more for those that have always answered. So a client that answers heartbeats survives
        `advance(3600)`, and one that never does is cut with 4009 by `advance(40)`. The clients' own clocks are not
        moved. A client that only runs when this thread does cannot answer meanwhile: let it read between several
        shorter calls, or run it in a thread of its own.

        Raises:
            ValueError: a number below 0, or none that is finite.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.aio.advance(...)")
        self._bridge.wait(self._advancer.advance, seconds, grace)

    # What it publishes.

    def publish(self, events: Event | Sequence[Event], dataset: str | None = None) -> None:
        """Publish one event or several, by default to the first dataset. It waits for nobody's reading.
        What is done to clients next (`faults.drop()`) comes behind them.

        Raises:
            EventError: an event is malformed, or there is no such dataset; nothing was published.
            ServerClosedError: the server is down, or has ended.
        """
        __tracebackhide__ = True
        self._bridge.wait(self._server.publish, events, dataset)

    def play(
        self, what: Playable, *, at: float = 0.0, speed: float = 1.0, dataset: str | None = None
    ) -> ThreadedPlaying:
        """Publish events in the background, at the distances of their own times; see `TestServer.play`.

        An iterator of events is used up in the server's thread.

        Raises:
            ConfigurationError: a time or a speed that makes no sense; there is no such dataset.
            SourceError: the path cannot be read.
        """
        __tracebackhide__ = True
        playing = self._bridge.call(self._server.play, what, at=at, speed=speed, dataset=dataset)
        return ThreadedPlaying(self._bridge, playing)

    # What it waits for.

    def wait_subscribed(
        self,
        channel: str | None = None,
        symbols: str | Sequence[str] = (),
        *,
        dataset: str | None = None,
        frequency: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Wait until clients are subscribed to all these symbols, or, where none is given, to any.

        It is the server's word that counts: what is published now reaches them.

        Raises:
            ExpectationError: not in time.
            ConfigurationError: a channel, a frequency or a symbol that cannot be.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.aio.wait_subscribed(...)")
        wait = partial(self._server.wait_subscribed, dataset=dataset, frequency=frequency, timeout=timeout)
        self._bridge.wait(wait, channel, symbols)

    def wait_connected(self, count: int = 1, *, timeout: float = 5.0) -> None:
        """Wait until at least so many clients are connected.

        Raises:
            ExpectationError: not in time.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.aio.wait_connected(...)")
        self._bridge.wait(self._server.wait_connected, count, timeout=timeout)

    def wait_closed(self, *, timeout: float = 5.0) -> None:
        """Wait until no client is connected.

        Raises:
            ExpectationError: not in time.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.aio.wait_closed(...)")
        self._bridge.wait(self._server.wait_closed, timeout=timeout)

    # What it expects.

    def expect_connect(self, path: str | None = None) -> ThreadedExpectation:
        """Expect a handshake that succeeds, on a path below the base path; None: on any."""
        return self._expect(partial(self._server.expect_connect, path))

    def expect_subscribe(
        self, channel: str, symbols: str | Sequence[str], *, frequency: str | None = None, dataset: str | None = None
    ) -> ThreadedExpectation:
        """Expect a subscription that the server accepts, to at least these symbols, on one connection."""
        expect = partial(self._server.expect_subscribe, frequency=frequency, dataset=dataset)
        return self._expect(partial(expect, channel, symbols))

    def expect_unsubscribe(
        self, channel: str, symbols: str | Sequence[str], *, frequency: str | None = None, dataset: str | None = None
    ) -> ThreadedExpectation:
        """Expect the end of a subscription to at least these symbols, on one connection."""
        expect = partial(self._server.expect_unsubscribe, frequency=frequency, dataset=dataset)
        return self._expect(partial(expect, channel, symbols))

    def expect_pong(self) -> ThreadedExpectation:
        """Expect a pong message, which answers a heartbeat."""
        return self._expect(self._server.expect_pong)

    def expect_close(self, code: int | None = None) -> ThreadedExpectation:
        """Expect the end of a connection, whoever closes it first, with a code; 1006: without a word; None: any."""
        return self._expect(partial(self._server.expect_close, code))

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """`with datafye.in_order():` -- what is expected inside has to happen in this order."""
        order = self._bridge.call(self._server.in_order)
        self._bridge.call(order.__enter__)
        try:
            yield
        finally:
            self._bridge.call(order.__exit__, None, None, None)

    def wait_expected(self, *, timeout: float = 5.0) -> None:
        """Wait until all that is expected has happened.

        Raises:
            ExpectationError: not in time, or out of order.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.aio.wait_expected(...)")
        self._bridge.wait(self._server.wait_expected, timeout=timeout)

    # What became of it.

    @property
    def connections(self) -> tuple[OpenConnection, ...]:
        """The clients whose handshake has succeeded and that are still connected, in order of arrival."""
        return self._bridge.look(lambda: self._server.connections)

    @property
    def errors(self) -> tuple[Failure, ...]:
        """What went wrong without anybody being told: in the server, or in a `play` that nobody waited for."""
        return self._bridge.look(lambda: self._server.errors)

    def check(self) -> None:
        """Raise if anything went wrong in the server, or is missing or out of order of what was expected.

        Raises:
            ExpectationError: so it is; the text says all of it.
        """
        __tracebackhide__ = True
        self._bridge.look(self._server.check)

    def _expect(self, expect: Callable[[], Expectation]) -> ThreadedExpectation:
        __tracebackhide__ = True
        return ThreadedExpectation(self._bridge, self._bridge.call(expect))


class run_test_server(AbstractContextManager[ThreadedTestServer]):  # noqa: N801 -- reads as the call that it is
    """Run a test server in a thread while the body runs: `with run_test_server() as server: server.url`.

    It takes what `open_test_server` takes, which describes it, and always listens; `sources` is called in the server's
    thread. At the end, where the body has raised nothing, it raises if anything went wrong, or is missing of what was
    expected.

    Raises:
        ConfigurationError: a setting that cannot be.
        ExpectationError: at the end, see above.
        StuckError: at the end: the server's thread does not come to it.
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
        start: int = START,
    ) -> None:
        self._open = partial(
            open_test_server,
            datasets=datasets,
            sources=sources,
            seed=seed,
            heartbeat_interval=heartbeat_interval,
            dialect=dialect,
            config=config,
            listen=True,
            start=start,
        )
        self._bridge: Bridge[TestServer] | None = None

    def __enter__(self) -> ThreadedTestServer:
        if self._bridge is not None:
            raise ConfigurationError("run_test_server() runs one server, once: call it again for another")
        self._bridge = Bridge(self._open, "datafye-trio test server")
        self._bridge.start()
        return ThreadedTestServer(self._bridge)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        assert self._bridge is not None  # noqa: S101 -- set by __enter__
        try:
            self._bridge.stop()
        except ExpectationError:
            if error is None:
                raise
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"And the test server failed: {failure!r}")
