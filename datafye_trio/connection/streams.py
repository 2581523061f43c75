"""The streams of stored data on one connection: start, more and stop (protocol.md section 2).

Each stream is a small task in the connection's nursery; all that is done here is sync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count

import trio

from datafye_trio.broker import Broker, Subscriber, may_take
from datafye_trio.connection.answers import Answers
from datafye_trio.connection.limits import RequestLimits
from datafye_trio.connection.stream import Outlet, Stream, StreamOrder
from datafye_trio.connection.stream_query import find_stored
from datafye_trio.errors import RequestError
from datafye_trio.protocol import Endpoint, ErrorCode, More, Start, Stop

__all__ = ["Streams"]


class Streams:
    """What runs for one connection, by name. `nursery` is set before the first request is served."""

    def __init__(
        self, broker: Broker, subscriber: Subscriber, endpoint: Endpoint, limits: RequestLimits, answers: Answers
    ) -> None:
        self.nursery: trio.Nursery | None = None
        self._broker = broker
        self._endpoint = endpoint
        self._limits = limits
        self._outlet = Outlet(broker, subscriber, answers)
        self._running: dict[str | int, Stream] = {}
        self._ended: deque[str | int] = deque(maxlen=4 * limits.streams)
        self._names = map("s{}".format, count(1))

    def start(self, request: Start, ignored: tuple[str, ...]) -> Sequence[RequestError]:
        """Start a stream; it says `stream_start` with its first data. Returns what is refused of the request.

        Raises:
            RequestError: nothing of it can be done.
        """
        if request.id in self._running:
            raise RequestError(
                ErrorCode.INVALID_MESSAGE, f"the stream {request.id!r} still runs: give this one another id", field="id"
            )
        if len(self._running) >= self._limits.streams:
            raise RequestError(
                ErrorCode.SUBSCRIPTION_LIMIT,
                f"{self._limits.streams} streams may run at once on a connection: wait for one to end, or stop one",
            )
        if not may_take(len(self._running), self._broker.config.max_streams - self._broker.streams):
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"{self._broker.streams} of {self._broker.config.max_streams} streams (max_streams) run on this "
                f"server, {len(self._running)} of them here, and as many must be left for others: try again later",
            )
        stored = find_stored(self._broker, request, self._endpoint, self._limits.symbols)
        name = request.id if request.id is not None else next(name for name in self._names if name not in self._running)
        order = StreamOrder(name, request.id, stored, request.rate, request.window, ignored, request.skip or 0)
        self._running[name] = stream = Stream(order, self._outlet, self._forget)
        assert self.nursery is not None  # noqa: S101 -- for the type checker: set before anything is read
        self._broker.streams += 1
        self.nursery.start_soon(self._run, stream)
        return stored.refusals

    def more(self, request: More) -> None:
        """Grant a stream more messages. One that has just ended no longer needs them: that is no mistake.

        Raises:
            RequestError: NOT_SUBSCRIBED, or INVALID_MESSAGE for a stream without a window.
        """
        if request.id not in self._running and request.id in self._ended:
            return
        self._find(request.id).grant(request.count)

    def stop(self, request: Stop) -> None:
        """End one stream, or all.

        Raises:
            RequestError: NOT_SUBSCRIBED, there is none.
        """
        if request.id is not None:
            self._find(request.id).stop()
            return
        if not self._running:
            raise RequestError(ErrorCode.NOT_SUBSCRIBED, "no stream runs on this connection: start one first")
        for stream in list(self._running.values()):
            stream.stop()

    def cancel(self) -> None:
        """The connection ends: end every stream without a word."""
        for stream in self._running.values():
            stream.cancel()

    async def _run(self, stream: Stream) -> None:
        try:
            await stream.run()
        finally:
            self._broker.streams -= 1

    def _find(self, name: str | int) -> Stream:
        if (found := self._running.get(name)) is None:
            raise RequestError(
                ErrorCode.NOT_SUBSCRIBED, f"no stream {name!r} runs on this connection: start it first", field="id"
            )
        return found

    def _forget(self, stream: Stream) -> None:
        del self._running[stream.order.stream]
        self._ended.append(stream.order.stream)
