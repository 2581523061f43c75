"""One client, served: reader, writer, watchdog and streams of stored data in one nursery, and one way out.

Whichever task first finds a reason to end says so by `end`; the first reason wins. All but the writer stop at
once, the writer finishes the frame under way (and, when draining, what the outbox holds); then the close frame goes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import trio

from datafye_trio.broker import Broker, Subscriber
from datafye_trio.connection.handler import Handler
from datafye_trio.connection.heartbeat import HeartbeatConfig, Heartbeats
from datafye_trio.connection.limits import RequestLimits
from datafye_trio.connection.slices import SLICE
from datafye_trio.connection.writer import Writer
from datafye_trio.logs import get_logger
from datafye_trio.protocol import (
    CloseCode,
    Connected,
    Encoding,
    Ending,
    Endpoint,
    Heartbeat,
    Session,
    State,
    Trigger,
)  # fmt: skip
from datafye_trio.wire import Opcode, ServerSocket, SocketClosed, frame

__all__ = ["Connection", "ConnectionConfig"]

log = get_logger("connection")
_CANCELLED_SECONDS: Final = 0.5
"""How long a cancelled connection takes to tell its peer: cancelling means soon."""


@attrs.frozen
class ConnectionConfig:
    """Heartbeats, budgets, and the seconds that a close may take."""

    heartbeat: HeartbeatConfig = HeartbeatConfig()
    requests: RequestLimits = RequestLimits()
    close_seconds: float = 2.0


class Connection:
    """One client on one endpoint. `hello` makes the `connected` message once the connection's id is known."""

    def __init__(
        self,
        broker: Broker,
        socket: ServerSocket,
        endpoint: Endpoint,
        encoding: Encoding,
        config: ConnectionConfig,
    ) -> None:
        now = trio.current_time()
        self._broker = broker
        self._socket = socket
        self._encoding: Encoding = encoding
        self._config = config
        self._session = Session(
            now=now,
            request_rate=config.requests.rate,
            request_burst=config.requests.burst,
            max_errors=config.requests.errors,
        )
        self._subscriber: Subscriber = broker.subscriber(encoding, self._slow, history=endpoint.history)
        self._subscriber.outbox.direct = socket.direct
        self._heartbeats = Heartbeats(config.heartbeat, now)
        self._handler = Handler(broker, self._subscriber, endpoint, config.requests, self._heartbeats.answered)
        self._writer = Writer(socket, self._subscriber, broker, self._session)
        self._beating: Callable[[], bool] = lambda: True
        self._reading = trio.CancelScope()
        self._watching = trio.CancelScope()

    @property
    def ending(self) -> Ending | None:
        """Why we ended it; None while it is open, or if the peer did."""
        return self._session.ending

    def beat(self, early: float, beating: Callable[[], bool]) -> None:
        """Change how heartbeats are made, before `serve`: for tests of clients.

        Args:
            early: seconds by which they come before their time.
            beating: asked whenever a heartbeat or a cut is due; where it says no, there is neither.
        """
        self._heartbeats.advance(early)
        self._beating = beating

    async def serve(self, connected: Connected, query: dict[str, object]) -> None:
        """Serve until the connection has ended; then it is closed. Cancelled, the peer gets 1001 if that is quick.

        Args:
            connected: the first message.
            query: the subscription that the URL asks for, empty for none.
        """
        cancelled = True
        try:
            self._subscriber.outbox.express(partial(self._frame, connected))
            if query:
                self._judge(await self._handler.handle_fields({**query, "action": "subscribe"}, self._session))
            async with trio.open_nursery() as nursery:
                self._handler.open(nursery, self._session, self.end)
                nursery.start_soon(self._read)
                nursery.start_soon(self._watch)
                nursery.start_soon(self._write, nursery.cancel_scope)
            cancelled = False
        except* Exception as bugs:
            log.error("connection failed", exc_info=bugs)
            self.end(Ending(CloseCode.INTERNAL_ERROR, "the server failed: reconnect"))
            cancelled = False
        finally:
            await self._leave()  # noqa: ASYNC102 -- waits for nothing
            try:
                await self._close(cancelled=cancelled)  # noqa: ASYNC102 -- shields itself, with a deadline
            finally:
                self._let_go()

    async def _leave(self) -> None:
        """Receive nothing more: in slices, as of a request; cancelled or not, since others go on."""
        subscriber = self._subscriber
        subscriber.outbox.close()
        subscriber.leave_wildcards()
        topics = [*subscriber.topics]
        for start in range(SLICE, len(topics), SLICE):
            subscriber.leave_topics(topics[start : start + SLICE])
            await trio.lowlevel.cancel_shielded_checkpoint()
        self._broker.remove(subscriber)

    def _let_go(self) -> None:
        """Hold none of those that hold us: all is freed at once then, sockets' buffers too.

        Else a connection leaves 146 objects and 35 kB for the garbage collector, which looks at what was there for
        long only when much else has come: with one client in five seconds cut, a server grew by 25 MiB an hour.
        """
        self._handler.let_go()
        del self._handler, self._writer, self._subscriber

    async def _close(self, *, cancelled: bool) -> None:
        """The one way out. Cancelled from outside, the peer is still told, if that is quick."""
        if cancelled:
            self.end(Ending(CloseCode.GOING_AWAY, "the server shuts down"))
        seconds = _CANCELLED_SECONDS if cancelled else self._config.close_seconds
        with trio.CancelScope(shield=cancelled, deadline=trio.current_time() + seconds):
            await self._socket.close(self._session.ending, seconds)
        self._session.step(Trigger.GONE)

    def end(self, ending: Ending) -> None:
        """Decide to close; later decisions are not heard. Sync, so that the broker may call it in a pass."""
        if self._session.end(ending):
            self._stop_inbound()
            if not ending.drain:
                self._socket.hurry(trio.current_time() + self._config.close_seconds)
            self._writer.stop(drain=ending.drain)

    def _slow(self) -> None:
        self.end(Ending(CloseCode.SLOW_CONSUMER, "too slow: read faster, or subscribe to less, then resume"))

    def _judge(self, ending: Ending | None) -> None:
        if ending is not None:
            self.end(ending)

    def _lost(self, closed: SocketClosed) -> None:
        """The socket has ended by itself: the peer closed, is gone, or broke a rule (then a close is due)."""
        if closed.due is not None:
            self.end(closed.due)
        else:
            self._session.step(Trigger.GONE)
        self._writer.stop(drain=False)
        self._stop_inbound()

    def _stop_inbound(self) -> None:
        self._reading.cancel()
        self._watching.cancel()
        self._handler.cancel()

    async def _read(self) -> None:
        with self._reading:
            try:
                while self._session.state is State.OPEN:
                    message = await self._socket.receive()
                    if isinstance(message, str) == (self._encoding == "json"):
                        self._judge(await self._handler.handle(message, self._session))
                    else:
                        self._judge(_wrong_kind(self._encoding))
            except SocketClosed as closed:
                self._lost(closed)

    async def _write(self, everything: trio.CancelScope) -> None:
        try:
            await self._writer.run()
        except SocketClosed as closed:
            self._lost(closed)
        finally:
            everything.cancel()

    async def _watch(self) -> None:
        with self._watching:
            while True:
                await trio.sleep_until(self._heartbeats.next_time())
                if self._config.heartbeat.accept == "any":
                    self._heartbeats.heard(self._socket.last_frame)
                if not self._beating():
                    self._heartbeats.skip(trio.current_time())
                    continue
                match self._heartbeats.check(trio.current_time()):
                    case "dead":
                        self.end(Ending(CloseCode.NO_PONG, 'answer heartbeats with {"action":"pong"}'))
                    case "send":
                        self._subscriber.outbox.express(self._heartbeat)
                        if self._config.heartbeat.accept == "any":
                            self._subscriber.outbox.express(partial(frame, Opcode.PING, b""))
                    case _:
                        pass

    def _heartbeat(self) -> bytes:
        """Made when it is written, so that its stamp and counts are true."""
        stamp = self._broker.codec.timestamp(self._broker.wall_clock())
        outbox = self._subscriber.outbox
        self._heartbeats.sent(trio.current_time(), stamp)
        return self._frame(Heartbeat(stamp, outbox.statistics().messages, outbox.sent))

    def _frame(self, message: Connected | Heartbeat) -> bytes:
        return self._broker.frame(self._broker.codec.encode(message, self._encoding), self._encoding)


def _wrong_kind(agreed: Encoding) -> Ending:
    if agreed == "json":
        return Ending(CloseCode.UNSUPPORTED_DATA, "send text: MessagePack needs the subprotocol datafye.v1.msgpack")
    return Ending(CloseCode.UNSUPPORTED_DATA, "send binary: the subprotocol is datafye.v1.msgpack")
