"""What a test server's clients do, as a test waits for it and expects it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

import attrs
import trio

from datafye_trio.errors import ConfigurationError, EventError, ServerClosedError
from datafye_trio.model import Channel, Frequency
from datafye_trio.protocol import parse_channel, parse_frequency
from datafye_trio.testing.expectations import Expectation, Expectations
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.lives import Lives
from datafye_trio.testing.log import Entry, Log

__all__ = ["Audience", "OpenConnection"]


@attrs.frozen
class OpenConnection:
    """A client that is connected: its number in the log, the path that it asked for, and its address."""

    number: int
    path: str
    address: str


class Audience:
    """The half of a test server that has to do with its clients.

    Timeouts are in seconds by trio's clock. What did not come in time raises `ExpectationError`, which is an
    `AssertionError`; its text shows what came instead.

    Attributes:
        log: every frame, in and out, and what was done to connections.
        faults: what may be done to clients.
    """

    def __init__(self, log: Log, faults: Faults, lives: Lives, expected: Expectations) -> None:
        self.log = log
        self.faults = faults
        self._lives = lives
        self._expected = expected
        log.listeners.append(expected.hear)

    @property
    def connections(self) -> tuple[OpenConnection, ...]:
        """The clients whose handshake has succeeded and that are still connected, in order of arrival."""
        return tuple(
            OpenConnection(tap.number, tap.request.path, tap.request.address)
            for _, tap in sorted(self.faults.taps.items())
            if tap.opened
        )

    # What it waits for.

    async def wait_subscribed(
        self,
        channel: str | None = None,
        symbols: str | Sequence[str] = (),
        *,
        dataset: str | None = None,
        frequency: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Wait until clients are subscribed to all these symbols, or, where none is given, to any. Cancel-safe.

        It is the server's word that counts: what is published now reaches them.

        Args:
            channel: `quotes`, `trades`, `aggregates`, `sma` or `ema`; None: any.
            symbols: one or several, in any spelling; `*` is a subscription to every symbol.
            dataset: None: any.
            frequency: of bars and indicators; None: any.
            timeout: seconds.

        Raises:
            ExpectationError: not in time.
            ConfigurationError: a channel, a frequency or a symbol that cannot be.
            EventError: there is no such dataset.
        """
        wanted = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        try:
            kind = None if channel is None else parse_channel(channel)
            span = None if frequency is None else parse_frequency(frequency)
            if await self._subscribed(kind, wanted, dataset, span, timeout):
                return
        except EventError:
            raise
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        what = f"{kind or 'any channel'}{f' ({span})' if span else ''} of {', '.join(wanted) or 'any symbol'}"
        where = "" if dataset is None else f" in {dataset}"
        text = f"expected a subscription to {what}{where}{_within(timeout)}, which did not come"
        raise self._expected.failure([text], ["subscribe"])

    async def wait_connected(self, count: int = 1, *, timeout: float = 5.0) -> None:
        """Wait until at least so many clients are connected. Cancel-safe.

        Raises:
            ExpectationError: not in time.
        """
        if not await self._until(lambda: len(self.connections) >= count, timeout):
            text = f"expected {count} connections{_within(timeout)}, but there are {len(self.connections)}"
            raise self._expected.failure([text], ["connect", "close"])

    async def wait_closed(self, *, timeout: float = 5.0) -> None:
        """Wait until no client is connected. Cancel-safe.

        Raises:
            ExpectationError: not in time.
        """
        if not await self._until(lambda: not self.connections, timeout):
            still = ", ".join(f"#{one.number} ({one.path} from {one.address})" for one in self.connections)
            text = f"expected no connections{_within(timeout)}, but open are {still}"
            raise self._expected.failure([text], ["close"])

    # What it expects.

    def expect_connect(self, path: str | None = None) -> Expectation:
        """Expect a handshake that succeeds, on a path below the base path; None: on any.

        Raises:
            ConfigurationError: there is no such path.
        """
        return self._expected.connect(path)

    def expect_subscribe(
        self, channel: str, symbols: str | Sequence[str], *, frequency: str | None = None, dataset: str | None = None
    ) -> Expectation:
        """Expect a subscription that the server accepts, to at least these symbols, on one connection.

        Raises:
            ConfigurationError: a channel, a frequency or a symbol that cannot be.
        """
        return self._expected.subscribe("subscribe", channel, symbols, frequency=frequency, dataset=dataset)

    def expect_unsubscribe(
        self, channel: str, symbols: str | Sequence[str], *, frequency: str | None = None, dataset: str | None = None
    ) -> Expectation:
        """Expect the end of a subscription to at least these symbols, on one connection.

        Raises:
            ConfigurationError: a channel, a frequency or a symbol that cannot be.
        """
        return self._expected.subscribe("unsubscribe", channel, symbols, frequency=frequency, dataset=dataset)

    def expect_pong(self) -> Expectation:
        """Expect a pong message, which answers a heartbeat."""
        return self._expected.pong()

    def expect_close(self, code: int | None = None) -> Expectation:
        """Expect the end of a connection, whoever closes it first, with a code; 1006: without a word; None: any."""
        return self._expected.close(code)

    def in_order(self) -> AbstractContextManager[None]:
        """`with server.in_order():` -- what is expected inside has to happen in this order."""
        return self._expected.in_order()

    def hear(self, entry: Entry) -> None:
        """Learn of a frame that the log has only as a dialect tells it, as the server has sent it."""
        self._expected.hear(entry)

    def expect_no_more(self) -> None:
        """What comes from now on meets nothing, and nothing follows on it: the end has come. Idempotent."""
        self.log.listeners[:] = [listener for listener in self.log.listeners if listener != self._expected.hear]

    async def wait_expected(self, *, timeout: float = 5.0) -> None:
        """Wait until all that is expected has happened. Cancel-safe.

        Raises:
            ExpectationError: not in time, or out of order.
        """
        await self._expected.wait_for(timeout=timeout)

    async def _subscribed(
        self,
        channel: Channel | None,
        symbols: Sequence[str],
        dataset: str | None,
        frequency: Frequency | None,
        timeout: float,
    ) -> bool:
        with trio.move_on_after(timeout):
            while True:
                server = await self._lives.wait_up()
                with suppress(ServerClosedError):  # it restarts: the next one is asked
                    await server.wait_subscribed(channel, symbols, dataset=dataset, frequency=frequency)
                    return True
        now = self._lives.server  # a timeout of 0 is a look
        return now is not None and now.is_subscribed(channel, symbols, dataset=dataset, frequency=frequency)

    async def _until(self, condition: Callable[[], bool], timeout: float) -> bool:
        with trio.move_on_after(timeout):
            await self.log.wait_for(lambda _: condition(), timeout=math.inf)
        return condition()


def _within(timeout: float) -> str:
    return f" within {timeout:g} s"
