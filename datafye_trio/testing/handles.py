"""What a threaded test server gives out, as plain calls from any thread: its log, expectations and plays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import trio

from datafye_trio.errors import DatafyeError
from datafye_trio.model import Event
from datafye_trio.testing.bridge import Bridge
from datafye_trio.testing.expectations import Expectation
from datafye_trio.testing.log import Entry, Kind, Log
from datafye_trio.testing.playing import Playing

if TYPE_CHECKING:
    from datafye_trio.testing.aio import AioExpectation, AioLog, AioPlaying

__all__ = ["ThreadedExpectation", "ThreadedLog", "ThreadedPlaying", "check_may_wait"]

_T = TypeVar("_T")


def check_may_wait(call: str) -> None:
    """Refuse to wait in a thread whose event loop would stand still meanwhile, and the client under test with it.

    Args:
        call: what is to be written in its place under asyncio, without `await`.

    Raises:
        DatafyeError: there is such a loop.
    """
    __tracebackhide__ = True
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise DatafyeError(f"this waits, and would stop the asyncio loop of this thread: write `await {call}`")
    if trio.lowlevel.in_trio_run():
        raise DatafyeError(
            "this waits, and would stop the Trio run of this thread: take a server of Trio's own (open_test_server, "
            "or the fixture `datafye_server`), or call it by `await trio.to_thread.run_sync(...)`"
        )


class ThreadedExpectation:
    """An expectation of a threaded test server; see `Expectation`. `.aio.wait()` is the awaitable form of `wait`."""

    def __init__(self, bridge: Bridge[Any], expectation: Expectation) -> None:
        self._bridge = bridge
        self._expectation = expectation

    @property
    def text(self) -> str:
        """What it is, for people."""
        return self._expectation.text

    @property
    def met(self) -> bool:
        """Whether it has happened, and in its place if it has one."""
        return self._bridge.look(lambda: self._expectation.met)

    @property
    def times(self) -> int:
        """How often it has happened."""
        return self._bridge.look(lambda: self._expectation.times)

    @property
    def aio(self) -> AioExpectation:
        """What waits, for asyncio."""
        from datafye_trio.testing.aio import AioExpectation

        return AioExpectation(self._bridge, self._expectation)

    def wait(self, timeout: float = 5.0) -> None:
        """Wait until it is met.

        Raises:
            ExpectationError: not within `timeout` seconds of the server's clock, or out of order.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("expectation.aio.wait(...)")
        self._bridge.wait(self._expectation.wait, timeout)

    def then_publish(self, *events: Event, dataset: str | None = None) -> Self:
        """Publish events each time that it happens."""
        self._bridge.call(self._expectation.then_publish, *events, dataset=dataset)
        return self

    def then_close(self, code: int) -> Self:
        """Close the connection with a code each time that it happens."""
        self._bridge.call(self._expectation.then_close, code)
        return self

    def then_drop(self) -> Self:
        """Cut the connection each time that it happens, without a word."""
        self._bridge.call(self._expectation.then_drop)
        return self


class ThreadedPlaying:
    """Events on their way out; see `Playing`. `.aio.wait()` is the awaitable form of `wait`."""

    def __init__(self, bridge: Bridge[Any], playing: Playing) -> None:
        self._bridge = bridge
        self._playing = playing

    @property
    def published(self) -> int:
        """How many have gone out."""
        return self._bridge.look(lambda: self._playing.published)

    @property
    def done(self) -> bool:
        """Whether all has gone out, or it was cancelled, or failed."""
        return self._bridge.look(lambda: self._playing.done)

    @property
    def error(self) -> Exception | None:
        """What ended it, if anything went wrong."""
        return self._bridge.look(lambda: self._playing.error)

    @property
    def aio(self) -> AioPlaying:
        """What waits, for asyncio."""
        from datafye_trio.testing.aio import AioPlaying

        return AioPlaying(self._bridge, self._playing)

    def wait(self) -> int:
        """Wait until it is done; returns how many events have gone out.

        Raises:
            Exception: whatever went wrong.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("playing.aio.wait()")
        return self._bridge.wait(self._playing.wait)

    def cancel(self) -> None:
        """Publish no more. Idempotent."""
        self._bridge.call(self._playing.cancel)


class ThreadedLog:
    """The log of a threaded test server, see `Log`; it can be read after the server's end, too.

    `.aio.wait_for(...)` is the awaitable form of `wait_for`.
    """

    def __init__(self, bridge: Bridge[Any], log: Log) -> None:
        self._bridge = bridge
        self._log = log

    @property
    def forgotten(self) -> int:
        """Entries that were dropped for room."""
        return self._bridge.look(lambda: self._log.forgotten)

    @property
    def aio(self) -> AioLog:
        """What waits, for asyncio."""
        from datafye_trio.testing.aio import AioLog

        return AioLog(self._bridge, self._log)

    def __iter__(self) -> Iterator[Entry]:
        return self._bridge.look(lambda: iter(self._log))

    def __len__(self) -> int:
        return self._bridge.look(lambda: len(self._log))

    def __str__(self) -> str:
        return self._bridge.look(lambda: str(self._log))

    def entries(
        self, kind: Kind | None = None, *, connection: int | None = None, direction: Literal["in", "out"] | None = None
    ) -> list[Entry]:
        """The entries of a kind, a connection, a direction, in order."""
        return self._bridge.look(lambda: self._log.entries(kind, connection=connection, direction=direction))

    def messages(
        self, name: str | None = None, *, connection: int | None = None, direction: Literal["in", "out"] | None = None
    ) -> list[dict[str, Any]]:
        """The messages whose `type` or `action` is `name` (None: all), decoded, in order."""
        return self._bridge.look(lambda: self._log.messages(name, connection=connection, direction=direction))

    def tail(self, count: int = 20) -> str:
        """The last lines."""
        return self._bridge.look(lambda: self._log.tail(count))

    def dump(self) -> bytes:
        """All entries as bytes that are the same whenever the same happened."""
        return self._bridge.look(self._log.dump)

    def wait_for(self, predicate: Callable[[Log], _T], *, timeout: float = 5.0) -> _T:
        """Wait until `predicate(log)` is true, and return what it returned. It is called in the server's thread.

        Raises:
            AssertionError: it was not within `timeout` seconds of the server's clock.
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.log.aio.wait_for(...)")
        return self._bridge.wait(self._log.wait_for, predicate, timeout=timeout)
