"""The composition root: sources, broker, listeners and connections, and the end in two stages."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

import attrs
import trio

from datafye_trio.broker import Broker, Dataset, SourceState
from datafye_trio.errors import ConfigurationError, EventError, ServerClosedError
from datafye_trio.model import Channel, DatasetInfo, Event, Frequency
from datafye_trio.protocol import BASE_PATH, Codec, Ending
from datafye_trio.server.access import Address
from datafye_trio.server.config import ServerConfig
from datafye_trio.server.listeners import open_listeners, tls_context
from datafye_trio.server.reception import LOOPBACK, Reception
from datafye_trio.sources import Program, Publisher, Source
from datafye_trio.wire import MemoryStream, data_frame, memory_transport

__all__ = ["Server"]


class Server:
    """A running server; made by `open_server`, which also ends it."""

    def __init__(
        self,
        config: ServerConfig,
        sources: Sequence[Source],
        *,
        wall_clock: Callable[[], int] = time.time_ns,
        new_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.config = config
        self.port = 0
        self.source_crashed = trio.Event()
        """Set once any source has crashed."""
        self._broker = Broker(
            config.broker(), Codec(config.timestamp_unit), data_frame, wall_clock=wall_clock, new_epoch=new_epoch
        )
        for source in sources or (Program(),):
            self._broker.add(source).on_stop = self._source_stopped
        self._reception = Reception(config, self._broker, tls_context(config))
        self._stopping = False
        self._listening = trio.CancelScope()
        self._feeding = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    # What a program does with it.

    @property
    def url(self) -> str:
        """The base URL, such as `ws://localhost:8080/datafye-ws/v1`; channels are paths below it."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"{'wss' if self.config.cert else 'ws'}://{host}:{self.port}{BASE_PATH}"

    async def publish(self, events: Event | Sequence[Event], *, dataset: str | None = None) -> None:
        """Publish one event or a sequence to a dataset (default: the first); waits for room in the broker.

        Cancel-safe for up to 1,024 events: cancelled, it has published all of them or none.

        Raises:
            EventError: an event is malformed (a NaN, say); none of the call was published.
            ServerClosedError: the server has stopped.
        """
        await self._dataset(dataset).publish(events)

    def publish_nowait(self, events: Event | Sequence[Event], *, dataset: str | None = None) -> None:
        """As `publish`, for at most 1,024 events, without waiting.

        Raises:
            trio.WouldBlock: there is no room; nothing was published.
            EventError, ServerClosedError: as `publish`.
        """
        self._dataset(dataset).publish_nowait(events)

    def cancel_source(self, dataset: str) -> None:
        """Stop the source of a dataset; its subscribers keep their connections, `/health` says so.

        Raises:
            EventError: there is no such dataset.
        """
        self._dataset(dataset).cancel()

    @property
    def datasets(self) -> tuple[DatasetInfo, ...]:
        """What it offers; the first is the default dataset."""
        return tuple(dataset.info for dataset in self._broker.datasets.values())

    def publisher(self, dataset: str | None = None) -> Publisher:
        """What a source of a dataset (default: the first) is given: for a program that paces its events by itself.

        Raises:
            EventError: there is no such dataset.
            ServerClosedError: the server has stopped.
        """
        return self._dataset(dataset)

    def is_subscribed(
        self,
        channel: Channel | None = None,
        symbols: str | Sequence[str] = (),
        *,
        dataset: str | None = None,
        frequency: Frequency | None = None,
    ) -> bool:
        """Whether each symbol has a subscriber, or, where none is given, any symbol has.

        Args:
            channel: the one that counts; None: any.
            symbols: in any spelling; `*` is a subscription to every symbol.
            dataset: the one that counts; None: any.
            frequency: that of bars and indicators; None: any.

        Raises:
            ValueError: one of them can be no symbol.
            EventError: there is no such dataset.
            ServerClosedError: the server has stopped.
        """
        self._check_running()
        names = [symbols] if isinstance(symbols, str) else symbols
        datasets = list(self._broker.datasets.values()) if dataset is None else [self._dataset(dataset)]
        return any(one.is_subscribed(channel, names, frequency) for one in datasets)

    async def wait_subscribed(
        self,
        channel: Channel | None = None,
        symbols: str | Sequence[str] = (),
        *,
        dataset: str | None = None,
        frequency: Frequency | None = None,
    ) -> None:
        """Wait until `is_subscribed` holds, which has the arguments and the errors. Cancel-safe."""
        await self._broker.wait_for(lambda: self.is_subscribed(channel, symbols, dataset=dataset, frequency=frequency))

    def reload(self, config: ServerConfig | None = None) -> int:
        """Put other rules of access and another certificate into force; returns how many connections that has ended.

        The files that the settings name (certificate, key, lists such as `@allow.txt`) are read again. Whoever comes
        from now on is judged by the new rules, and is shown the new certificate. Open connections go on, but for those
        that would be refused now: they get 1008 with the reason.

        Args:
            config: whose `access`, `control`, `cert` and `key` are to hold, default those of now; the rest of it
                needs another server.

        Raises:
            ConfigurationError: something is wrong with it; all stays as it was.
            ServerClosedError: the server has stopped.
        """
        return self.prepare_reload(config)()

    def prepare_reload(self, config: ServerConfig | None = None) -> Callable[[], int]:
        """Read what `reload` reads and change nothing yet: that does what is returned, which is for Trio's own thread.

        This is for any thread. A list of 100,000 networks takes seconds, and a file that is a pipe as long as it likes.
        Arguments and errors are those of `reload`.
        """
        self._check_running()
        new = self.config
        if config is not None:
            new = attrs.evolve(new, access=config.access, control=config.control, cert=config.cert, key=config.key)
        if bool(new.cert) != bool(self.config.cert):
            raise ConfigurationError("a server cannot begin or end TLS while it runs: its clients have its URL")
        change = self._reception.prepare_reload(new, tls_context(new))

        def put_into_force() -> int:
            self._check_running()
            self.config = new
            return change()

        return put_into_force

    def connect(self, address: Address = LOOPBACK) -> MemoryStream:
        """A connection in memory, without sockets: the client's end, on which a WebSocket handshake is expected.

        `address` is the one that the client is taken to have.

        Raises:
            ServerClosedError: the server has stopped.
        """
        self._check_running()
        assert self._nursery is not None  # noqa: S101 -- open_server hands a server out only after start()
        client, server = memory_transport()
        self._nursery.start_soon(self._reception.serve, server, address, LOOPBACK)
        return client

    # What tests of clients do with it.

    def set_beating(self, beating: Callable[[str], bool], *, early: float = 0.0) -> None:
        """Change how heartbeats are made.

        Args:
            beating: asked whenever a heartbeat or the cut for want of an answer is due, with the connection's id as
                `connected` tells it: whether there is to be one.
            early: of connections to come, seconds by which heartbeats come before their time.
        """
        self._reception.beating, self._reception.early = beating, early

    def lose_ring(self) -> None:
        """Forget all that clients could resume from. Whoever comes back and lacks anything is told of a gap."""
        self._broker.store.clear(trio.current_time())

    # What open_server does with it.

    async def start(self, nursery: trio.Nursery, *, listen: bool) -> None:
        """Start sources, fan-out and listeners in a nursery; returns when connections are accepted.

        Raises:
            ConfigurationError: the port is in use, or the host is none of this machine's.
        """
        self._nursery = nursery
        if listen:
            listeners = await open_listeners(self.config.host, self.config.port)
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(self._listen, listeners, nursery)
        await nursery.start(self._feed)

    async def stop(self, ending: Ending) -> None:
        """Stop in two stages: no new connections or events and a close to all, then wait for the outboxes to empty.

        Returns when every connection has ended; give it a deadline, after which the nursery is to be cancelled.
        """
        self._stopping = True
        self._broker.notify()  # wait_subscribed() is to end
        self._listening.cancel()
        self._broker.cancel_sources()
        await self._broker.settle()
        self._feeding.cancel()
        self._reception.end_all(ending)
        await self._reception.wait_empty()

    async def _feed(self, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128 -- the broker calls it
        with self._feeding:
            await self._broker.run(task_status)

    async def _listen(self, listeners: list[trio.SocketListener], nursery: trio.Nursery) -> None:
        with self._listening:
            await trio.serve_listeners(self._reception.serve_socket, listeners, handler_nursery=nursery)

    def _dataset(self, name: str | None) -> Dataset:
        self._check_running()
        datasets = self._broker.datasets
        if name is None:
            return next(iter(datasets.values()))
        if name not in datasets:
            raise EventError(f"unknown dataset {name!r}: this server has {', '.join(datasets)}")
        return datasets[name]

    def _check_running(self) -> None:
        if self._stopping:
            raise ServerClosedError("the server has stopped")

    def _source_stopped(self, dataset: Dataset) -> None:
        if dataset.state is SourceState.CRASHED:
            self.source_crashed.set()
