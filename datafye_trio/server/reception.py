"""Every transport that comes in: an HTTP answer, or a connection to its end. Nothing that a peer does leaves here."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable
from contextlib import nullcontext
from ipaddress import ip_address
from typing import Final

import attrs
import trio

from datafye_trio.broker import Broker
from datafye_trio.connection import Connection
from datafye_trio.logs import get_logger, is_told
from datafye_trio.protocol import CloseCode, Connected, DatasetOffer, Ending
from datafye_trio.server.access import Access, Address, Admission, Caller, fold
from datafye_trio.server.config import ServerConfig
from datafye_trio.server.control import Control
from datafye_trio.server.gate import WebSocketRequest, check_websocket
from datafye_trio.server.health import health
from datafye_trio.server.http import CONTROL_PREFIX, read_head, respond_error, respond_json
from datafye_trio.server.listeners import tls_failure, tls_over
from datafye_trio.wire import Head, HttpError, SocketClosed, accept_socket

__all__ = ["LOOPBACK", "Reception"]

log = get_logger("server")
LOOPBACK: Final = ip_address("127.0.0.1")


@attrs.frozen
class _Open:
    """A connection that is open."""

    connection: Connection
    caller: Caller


class Reception:
    """Serves transports, and knows the connections that are open.

    One bad connection can never hurt another or the process: `serve` raises nothing but `trio.Cancelled`.

    Raises:
        ConfigurationError: a file of a list cannot be used.
    """

    def __init__(self, config: ServerConfig, broker: Broker, tls: ssl.SSLContext | None) -> None:
        self._config = config
        self._broker = broker
        self._tls = tls
        self._access = Access(config.access)
        self._control = Control(config.control, self._access, broker)
        self._admission = Admission(config.connections)
        self._started = trio.current_time()
        self._ids, self._silent = itertools.count(1), itertools.count(1)
        self._connections: dict[str, _Open] = {}
        self._changed = trio.lowlevel.ParkingLot()
        self._ending: Ending | None = None
        self._hearing = trio.Lock()
        self.early = 0.0
        self.beating: Callable[[str], bool] = lambda _: True
        """See `Connection.beat`; asked with the id of a connection."""

    def end_all(self, ending: Ending) -> None:
        """End every connection, and those whose handshake is not finished yet as soon as it is."""
        self._ending = ending
        for one in list(self._connections.values()):
            one.connection.end(ending)

    def prepare_reload(self, config: ServerConfig, tls: ssl.SSLContext | None) -> Callable[[], int]:
        """Read other rules, in any thread. What is returned has them hold from now on, and shows another certificate;
        it ends who would be refused, and returns how many those are.

        The old context is never changed: a handshake that runs on it, and connections, keep what they began with.

        Raises:
            ConfigurationError: a file of a list cannot be used.
        """
        access = Access(config.access)
        control = Control(config.control, access, self._broker)

        def put_into_force() -> int:
            self._access, self._control, self._tls = access, control, tls
            return sum(self._judge(one) for one in list(self._connections.values()))

        return put_into_force

    def _judge(self, one: _Open) -> bool:
        """End a connection that the rules of now would refuse; whether that was so."""
        try:
            self._access.check_again(one.caller)
        except HttpError as error:
            if one.connection.ending is None:
                one.connection.end(Ending(CloseCode.POLICY_VIOLATION, error.reason))
                return True
        return False

    async def wait_empty(self) -> None:
        """Wait until no connection is open. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        while self._connections:
            await self._changed.park()

    async def serve_socket(self, stream: trio.SocketStream) -> None:
        """Serve a socket that was accepted."""
        try:
            address, local = fold(stream.socket.getpeername()[0]), fold(stream.socket.getsockname()[0])
        except OSError:  # reset before it was looked at
            await trio.aclose_forcefully(stream)
            return
        await self.serve(stream, address, local)

    async def serve(self, stream: trio.abc.Stream, address: Address, local: Address) -> None:
        """Serve a transport until it has ended; it is closed then.

        Args:
            stream: the transport.
            address: the peer's address.
            local: the address that it connected to.
        """
        try:
            with tls_over(stream, self._tls) as spoken:
                async with trio.open_nursery() as nursery:
                    await self._receive(nursery, spoken, address, local)
                    nursery.cancel_scope.cancel()  # trio-websocket's reader may wait for a silent peer
        except* Exception as group:
            log.error("connection failed", address=str(address), exc_info=group)
        finally:
            await trio.aclose_forcefully(stream)

    async def _receive(self, nursery: trio.Nursery, stream: trio.abc.Stream, address: Address, local: Address) -> None:
        now = trio.current_time()
        deadline = now + self._config.handshake_seconds
        try:
            with self._admission.enter():
                self._access.check_peer(address)
                # Whoever a proxy speaks for is counted once that is known, all others before they have said a word:
                # one address that only connects would else hold every place there is.
                proxy = self._access.is_proxy(address)
                with nullcontext() if proxy else self._admission.enter_from(address, now):
                    await self._handshake(nursery, stream, (address, local), deadline)
        except HttpError as error:
            log.info("refused", address=str(address), status=error.status, reason=error.reason)
            # Telling a peer over TLS costs a handshake: those who may come back get it, refused addresses do not.
            may_know = self._tls is None or error.status != 403
            with self._admission.refuse() as has_room, trio.move_on_at(deadline):
                if may_know and has_room and await self._secure(stream, address):
                    await respond_error(stream, error)

    async def _secure(self, stream: trio.abc.Stream, address: Address) -> bool:
        """The handshake of TLS, where that is spoken; whether the peer has managed it."""
        if not isinstance(stream, trio.SSLStream):
            return True
        try:
            await stream.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if (reason := tls_failure(error)) is not None:
                log.info("refused", address=str(address), reason=f"no TLS: {reason}")
                if reason == "http request":
                    await respond_error(stream.transport_stream, HttpError(400, "this port speaks TLS: write wss://"))
            return False
        return True

    async def _handshake(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, addresses: tuple[Address, Address], deadline: float
    ) -> None:
        """TLS and the request head within the deadline, then the answer or the connection."""
        peer, local = addresses
        address = peer
        heard = False
        accepted: tuple[WebSocketRequest, Caller] | None = None
        with trio.CancelScope(deadline=deadline) as in_time:
            if not await self._secure(stream, peer):
                return
            try:
                head = await read_head(stream)
                heard = True
                if head is None:
                    return
                address = self._access.check_forwarded(head, peer)
                if head.path.startswith(CONTROL_PREFIX):
                    self._access.check_origin(head, loopback=local.is_loopback)
                    await respond_json(stream, 200, await self._control.answer(head, peer, address))
                    return
                if (request := await self._answer(stream, head, local)) is not None:
                    accepted = request, Caller.of(peer, local, address, head)
            except HttpError as error:
                heard = True
                log.info("refused", address=str(address), status=error.status, reason=error.reason)
                await respond_error(stream, error)
        if not heard and is_told(count := next(self._silent)):  # 500 lines at once, even suppressed, are 15 ms
            reason = f"no request within {self._config.handshake_seconds:g} s"
            log.info("refused", address=str(peer), reason=reason, count=count)
        if accepted is None or in_time.cancelled_caught:
            return
        await self._connect(nursery, stream, *accepted, deadline)

    async def _answer(self, stream: trio.abc.Stream, head: Head, local: Address) -> WebSocketRequest | None:
        """Answer a plain request, or return the WebSocket request.

        Raises:
            HttpError: it is neither.
        """
        if head.path == "/health" and not head.wants_upgrade:
            now = trio.current_time()
            status, content = health(
                self._broker, uptime=now - self._started, now=now, connections=len(self._connections)
            )
            await respond_json(stream, status, content)
            return None
        request = check_websocket(head)
        self._access.check_origin(head, loopback=local.is_loopback)
        return request

    async def _connect(
        self,
        nursery: trio.Nursery,
        stream: trio.abc.Stream,
        request: WebSocketRequest,
        caller: Caller,
        deadline: float,
    ) -> None:
        try:
            proxied = self._access.is_proxy(caller.peer)
            with self._admission.enter_from(caller.address, trio.current_time()) if proxied else nullcontext():
                limits = self._config.inbound
                if request.endpoint.history:
                    limits = attrs.evolve(limits, write_seconds=limits.history_write_seconds)
                with trio.CancelScope(deadline=deadline) as in_time:
                    socket = await accept_socket(
                        nursery, stream, request.key, request.subprotocol, limits, self._hearing
                    )
                if in_time.cancelled_caught:
                    return
                connection = Connection(
                    self._broker, socket, request.endpoint, request.encoding, self._config.connection()
                )
                await self._serve_connection(_Open(connection, caller), request)
        except HttpError as error:
            log.info("refused", address=str(caller.address), status=error.status, reason=error.reason)
            with trio.move_on_at(deadline):
                await respond_error(stream, error)
        except SocketClosed:
            return

    async def _serve_connection(self, one: _Open, request: WebSocketRequest) -> None:
        name, connection, address = f"c{next(self._ids)}", one.connection, str(one.caller.address)
        self._connections[name] = one
        connection.beat(self.early, lambda: self.beating(name))
        log.info("connected", connection=name, address=address)
        if self._ending is not None:
            connection.end(self._ending)
        self._judge(one)  # the rules may have changed since its request was
        try:
            await connection.serve(self._hello(name), request.query)
        finally:
            del self._connections[name]
            self._changed.unpark_all()
            ending = connection.ending
            log.info(
                "disconnected",
                connection=name,
                address=address,
                code=int(ending.code) if ending else None,
                reason=ending.reason if ending else "closed by the peer",
            )

    def _hello(self, name: str) -> Connected:
        config, codec = self._config, self._broker.codec
        return Connected(
            connection_id=name,
            protocol=1,
            timestamp_unit=codec.unit,
            heartbeat_interval=config.heartbeat.interval,
            heartbeat_timeout=config.heartbeat.timeout,
            datasets=tuple(
                DatasetOffer(
                    dataset=dataset.info.name,
                    asset_class=dataset.info.asset_class,
                    epoch=dataset.epoch,
                    channels=tuple(dataset.info.channels),
                    frequencies=tuple(dataset.info.frequencies),
                )
                for dataset in self._broker.datasets.values()
            ),
            limits={
                "requestBytes": config.inbound.message_bytes,
                "symbolsPerRequest": config.requests.symbols,
                "topics": config.requests.topics,
                "requestsPerSecond": int(config.requests.rate),
                "streams": config.requests.streams,
            },
            timestamp=codec.timestamp(self._broker.wall_clock()),
        )
