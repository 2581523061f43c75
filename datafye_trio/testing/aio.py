"""The waiting calls of a threaded test server, for asyncio: `await datafye.aio.wait_subscribed("quotes", "AAPL")`.

The loop goes on meanwhile, and with it the client under test. Cancelling such a call cancels it in the server. Each
class has the calls that wait of the plain one beside it, under the same names and with the same arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from datafye_trio.errors import DatafyeError
from datafye_trio.model import Event
from datafye_trio.testing.advancing import GRACE, Advancer
from datafye_trio.testing.bridge import Bridge
from datafye_trio.testing.expectations import Expectation
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.log import Log
from datafye_trio.testing.playing import Playing
from datafye_trio.testing.server import TestServer

__all__ = ["Aio", "AioExpectation", "AioFaults", "AioLog", "AioPlaying"]

_T = TypeVar("_T")
_P = ParamSpec("_P")


async def _await(
    bridge: Bridge[Any], function: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise DatafyeError(
            "`.aio` is for asyncio, which does not run here: under Trio take a server of Trio's own (open_test_server, "
            "or the fixture `datafye_server`), or call the plain one by `await trio.to_thread.run_sync(...)`"
        ) from None
    return await asyncio.wrap_future(bridge.submit(function, *args, **kwargs), loop=loop)


class Aio:
    """The waiting calls of the server itself. All are cancel-safe."""

    def __init__(self, bridge: Bridge[TestServer], advancer: Advancer) -> None:
        self._bridge = bridge
        self._server = bridge.value
        self._advancer = advancer

    async def publish(self, events: Event | Sequence[Event], dataset: str | None = None) -> None:
        """Publish one event or several, by default to the first dataset; waits for room.

        Raises:
            EventError: an event is malformed, or there is no such dataset; nothing was published.
            ServerClosedError: the server is down, or has ended.
        """
        await _await(self._bridge, self._server.publish, events, dataset)

    async def wait_subscribed(
        self,
        channel: str | None = None,
        symbols: str | Sequence[str] = (),
        *,
        dataset: str | None = None,
        frequency: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Wait until clients are subscribed to all these symbols, or, where none is given, to any.

        Raises:
            ExpectationError: not in time.
            ConfigurationError: a channel, a frequency or a symbol that cannot be.
        """
        await _await(
            self._bridge,
            self._server.wait_subscribed,
            channel,
            symbols,
            dataset=dataset,
            frequency=frequency,
            timeout=timeout,
        )

    async def wait_connected(self, count: int = 1, *, timeout: float = 5.0) -> None:
        """Wait until at least so many clients are connected.

        Raises:
            ExpectationError: not in time.
        """
        await _await(self._bridge, self._server.wait_connected, count, timeout=timeout)

    async def wait_closed(self, *, timeout: float = 5.0) -> None:
        """Wait until no client is connected.

        Raises:
            ExpectationError: not in time.
        """
        await _await(self._bridge, self._server.wait_closed, timeout=timeout)

    async def wait_expected(self, *, timeout: float = 5.0) -> None:
        """Wait until all that is expected has happened.

        Raises:
            ExpectationError: not in time, or out of order.
        """
        await _await(self._bridge, self._server.wait_expected, timeout=timeout)

    async def advance(self, seconds: float, grace: float = GRACE) -> None:
        """Move the server's clock; see `ThreadedTestServer.advance`."""
        await _await(self._bridge, self._advancer.advance, seconds, grace)


class AioExpectation:
    """The waiting call of an expectation."""

    def __init__(self, bridge: Bridge[Any], expectation: Expectation) -> None:
        self._bridge = bridge
        self._expectation = expectation

    async def wait(self, timeout: float = 5.0) -> None:
        """Wait until it is met. Cancel-safe.

        Raises:
            ExpectationError: not within `timeout` seconds, or out of order.
        """
        await _await(self._bridge, self._expectation.wait, timeout)


class AioPlaying:
    """The waiting call of events on their way out."""

    def __init__(self, bridge: Bridge[Any], playing: Playing) -> None:
        self._bridge = bridge
        self._playing = playing

    async def wait(self) -> int:
        """Wait until it is done; returns how many events have gone out. Cancel-safe.

        Raises:
            Exception: whatever went wrong.
        """
        return await _await(self._bridge, self._playing.wait)


class AioLog:
    """The waiting call of a log."""

    def __init__(self, bridge: Bridge[Any], log: Log) -> None:
        self._bridge = bridge
        self._log = log

    async def wait_for(self, predicate: Callable[[Log], _T], *, timeout: float = 5.0) -> _T:
        """Wait until `predicate(log)` is true, which is called in the server's thread. Cancel-safe.

        Raises:
            AssertionError: it was not within `timeout` seconds.
        """
        return await _await(self._bridge, self._log.wait_for, predicate, timeout=timeout)


class AioFaults:
    """The waiting call of faults."""

    def __init__(self, bridge: Bridge[Any], faults: Faults) -> None:
        self._bridge = bridge
        self._faults = faults

    async def restart(self, down: float = 0.0, *, clean: bool = True) -> None:
        """Restart the server, with a new epoch; refused for `down` seconds. Cancelled, it happens all the same."""
        await _await(self._bridge, self._faults.restart, down, clean=clean)
