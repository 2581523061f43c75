"""The faults of a threaded test server, as plain calls from any thread. `Faults` says what each of them does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from datafye_trio.testing.bridge import Bridge
from datafye_trio.testing.fault import Fault
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.handles import check_may_wait

if TYPE_CHECKING:
    from datafye_trio.testing.aio import AioFaults

__all__ = ["ThreadedFault", "ThreadedFaults"]


class ThreadedFault(AbstractContextManager["ThreadedFault"]):
    """A fault; `with datafye.faults.mute(): ...` ends it with the body.

    Attributes:
        name: the call that made it, such as `mute`.
        connection: the number of the one that it is done to; None: all.
    """

    def __init__(self, bridge: Bridge[Any], fault: Fault) -> None:
        self.name = fault.name
        self.connection = fault.connection
        self._bridge = bridge
        self._fault = fault

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self._bridge.look(lambda: self._fault.active)

    @property
    def hits(self) -> int:
        """How often it was done: frames that were changed, connections that were refused, cut, closed."""
        return self._bridge.look(lambda: self._fault.hits)

    def end(self) -> None:
        """End it: what it holds back goes on at once, what it was to do is not done. Idempotent."""
        self._bridge.call(self._fault.end)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def __str__(self) -> str:
        return str(self._fault)

    def __repr__(self) -> str:
        return self._bridge.look(lambda: repr(self._fault))


class ThreadedFaults:
    """The faults of one server, each in effect when its call returns. `connection` is a number, as the log has it.

    `.aio.restart(...)` is the awaitable form of `restart`, which waits.
    """

    def __init__(self, bridge: Bridge[Any], faults: Faults) -> None:
        self._bridge = bridge
        self._faults = faults

    @property
    def active(self) -> tuple[ThreadedFault, ...]:
        """What lasts, or waits for its moment, in the order in which it was called for."""
        return tuple(ThreadedFault(self._bridge, fault) for fault in self._bridge.look(lambda: self._faults.active))

    @property
    def aio(self) -> AioFaults:
        """What waits, for asyncio."""
        from datafye_trio.testing.aio import AioFaults

        return AioFaults(self._bridge, self._faults)

    def clear(self) -> None:
        """End all that is active."""
        self._bridge.call(self._faults.clear)

    # Conditions.

    def mute(self, *, connection: int | None = None) -> ThreadedFault:
        """Send nothing to the client, and stay open."""
        return self._call(self._faults.mute, connection=connection)

    def no_heartbeats(self, *, connection: int | None = None) -> ThreadedFault:
        """The server makes no heartbeats, and cuts nobody for want of an answer."""
        return self._call(self._faults.no_heartbeats, connection=connection)

    def delay(self, seconds: float, jitter: float = 0.0, *, connection: int | None = None) -> ThreadedFault:
        """What goes to the client is `seconds` of the server's clock under way, and up to `jitter` more."""
        return self._call(self._faults.delay, seconds, jitter, connection=connection)

    def slow_reads(self, bytes_per_second: float, *, connection: int | None = None) -> ThreadedFault:
        """The client reads so slowly, as the server sees it."""
        return self._call(self._faults.slow_reads, bytes_per_second, connection=connection)

    def slices(self, *, connection: int | None = None) -> ThreadedFault:
        """Each byte to the client is written by itself."""
        return self._call(self._faults.slices, connection=connection)

    def reorder(self, probability: float = 0.1, *, connection: int | None = None) -> ThreadedFault:
        """A message to the client comes after the next one, with this probability."""
        return self._call(self._faults.reorder, probability, connection=connection)

    def duplicate(self, probability: float = 0.1, *, connection: int | None = None) -> ThreadedFault:
        """A message to the client comes twice, with this probability."""
        return self._call(self._faults.duplicate, probability, connection=connection)

    def corrupt(self, probability: float = 0.1, *, connection: int | None = None) -> ThreadedFault:
        """One byte of a message to the client is another, with this probability; its frame is sound."""
        return self._call(self._faults.corrupt, probability, connection=connection)

    # Orders.

    def drop(
        self, after: int | None = None, *, mid_frame: bool = False, connection: int | None = None
    ) -> ThreadedFault:
        """Cut without a word: now, after so many more bytes to the client, or within its next message."""
        return self._call(self._faults.drop, after, mid_frame=mid_frame, connection=connection)

    def close(self, code: int, reason: str = "", *, connection: int | None = None) -> ThreadedFault:
        """Send a close frame to each client that is open now, and end its connection."""
        return self._call(self._faults.close, code, reason, connection=connection)

    def refuse(self, count: int = 1, status: int | None = 503, *, retry_after: float | None = None) -> ThreadedFault:
        """Refuse the next `count` handshakes with an HTTP status, or (None) the connections, with a reset."""
        return self._call(self._faults.refuse, count, status, retry_after=retry_after)

    def restart(self, down: float = 0.0, *, clean: bool = True) -> None:
        """Restart the server, with a new epoch; refused for `down` seconds. Returns when it takes connections again.

        Raises:
            DatafyeError: this thread runs an event loop.
        """
        __tracebackhide__ = True
        check_may_wait("datafye.faults.aio.restart(...)")
        self._bridge.wait(self._faults.restart, down, clean=clean)

    def lose_ring(self) -> None:
        """The server forgets what it keeps for those who resume."""
        self._bridge.call(self._faults.lose_ring)

    def _call(self, function: Callable[..., Fault], *args: Any, **kwargs: Any) -> ThreadedFault:
        __tracebackhide__ = True
        return ThreadedFault(self._bridge, self._bridge.call(function, *args, **kwargs))
