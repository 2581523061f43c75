"""One end of `record`: takes what a server sends apart into rows, with the time of their arrival and no silent hole."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NoReturn, Protocol, TypeAlias

import attrs
import trio

from datafye_trio.cli.ledger import Hole, Ledger
from datafye_trio.cli.text import one_line
from datafye_trio.errors import DatafyeError, RequestError
from datafye_trio.model import Channel, Event
from datafye_trio.protocol import (
    NS_PER_UNIT,
    Connected,
    Data,
    ErrorReply,
    Gap,
    Heartbeat,
    Subscribe,
    Subscribed,
    decode_message,
    request_to_dict,
)
from datafye_trio.protocol.data_decoder import DataDecoder
from datafye_trio.wire.client import ClientSocketClosed

__all__ = ["Intake", "RefusedError", "Row", "Socket", "Tally"]

Row: TypeAlias = tuple[Channel, int, Event, str, int | None]
"""Channel, time of arrival (nanoseconds since 1970), event, epoch, seq."""

_SHOWN: Final = 3
_HEARTBEATS_MISSED: Final = 3
_ANSWER_SECONDS: Final = 30.0
"""How long a server that tells no interval of heartbeats may take to answer the first request."""


class Socket(Protocol):
    """What is needed of a connection (`wire.client.ClientSocket`)."""

    async def receive(self) -> str | bytes:
        """The next message. Cancel-safe. Raises ClientSocketClosed."""

    async def send(self, message: str) -> None:
        """Send a text message. Raises ClientSocketClosed."""


class RefusedError(DatafyeError):
    """The server takes nothing of what was asked for, or offers another thing under the same name."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


@attrs.define
class Tally:
    """What has happened so far.

    Attributes:
        rows: messages taken as data; symbols: theirs.
        gaps: holes in sequences; missing: the messages that are known to be lost in them.
        unreadable: messages that could not be understood.
        bytes: of all messages, as they came.
    """

    tell: Callable[[str], object]
    rows: int = 0
    gaps: int = 0
    missing: int = 0
    unreadable: int = 0
    bytes: int = 0
    symbols: set[str] = attrs.Factory(set)
    _untold: list[Hole] = attrs.Factory(list)
    _told: int = 0

    def lack(self, holes: Iterable[Hole]) -> None:
        """Count holes; `tell_gaps` shows them."""
        for hole in holes:
            self.gaps += 1
            self.missing += hole.size
            if len(self._untold) < _SHOWN:
                self._untold.append(hole)

    def puzzle(self, why: str) -> None:
        """Count a message that cannot be understood; the first is shown."""
        if not self.unreadable:
            self.tell(f"a message is left out (later ones are only counted): {one_line(why)}")
        self.unreadable += 1

    def tell_gaps(self) -> None:
        """Show the gaps since the last call: the first few in full, since a bad minute can have thousands."""
        for hole in self._untold:
            self.tell(one_line(str(hole)))
        if more := self.gaps - self._told - len(self._untold):
            self.tell(f"and {more:,} more gaps; {self.missing:,} messages are missing so far")
        self._told = self.gaps
        self._untold.clear()


class Intake:
    """Follows one connection after another. `join` is told of each `subscribed`, before any data of it.

    Attributes:
        subscribed_at: when the present connection was subscribed, in trio's time; None where it was not.
        joined: whether any connection ever was.
    """

    def __init__(
        self,
        requests: Sequence[Subscribe],
        rows: trio.MemorySendChannel[Row],
        tally: Tally,
        join: Callable[[Subscribed], None],
        wall_clock: Callable[[], int],
    ) -> None:
        self.subscribed_at: float | None = None
        self.joined = False
        self._requests = requests
        self._rows = rows
        self._tally = tally
        self._join = join
        self._wall_clock = wall_clock
        self._ledger = Ledger()
        self._decoder = DataDecoder()
        self._dataset: str | None = None
        self._time = 0
        self._unanswered: set[str | int | None] = set()
        self._silence = trio.CancelScope()
        self._patience = math.inf

    async def follow(self, socket: Socket) -> NoReturn:
        """Subscribe, then turn data into rows and answer heartbeats, until the connection ends.

        Waits where the channel of rows is full: nothing is read then, and the server sees a slow client. Cancelled
        there, the message in hand is not recorded; all before it are.

        Raises:
            ClientSocketClosed: the server has closed, or is gone, or has been silent for three heartbeats.
            RefusedError: nothing was subscribed.
        """
        self.subscribed_at, self._decoder, self._patience = None, DataDecoder(), math.inf
        self._unanswered = {request.id for request in self._requests}
        self._silence = trio.CancelScope(deadline=trio.current_time() + _ANSWER_SECONDS)
        with self._silence:
            for request in self._requests:
                # By name once it is known: a restarted server may have another first dataset.
                asked = attrs.evolve(request, dataset=request.dataset or self._dataset)
                await socket.send(json.dumps(request_to_dict(asked)))
            while True:
                text = await socket.receive()
                self._tally.bytes += len(text)
                if (data := self._decoder.decode(text)) is None:
                    await self._answer(socket, text)
                elif data.seq is not None and not data.snapshot:  # a snapshot was sent before, or is not ours to have
                    await self._take(data)
        raise ClientSocketClosed(1006, "")

    async def _take(self, data: Data) -> None:
        if data.dataset != self._dataset:
            self._tally.puzzle(f"data of {data.dataset}, which was not asked for")
            return
        channel, epoch, hole = self._ledger.place(data)
        if hole is not None:
            self._tally.lack([hole])
        self._time = max(self._time, self._wall_clock())
        row = channel, self._time, data.event, epoch, data.seq
        try:
            self._rows.send_nowait(row)
        except trio.WouldBlock:
            self._silence.deadline = math.inf  # it is we who do not listen
            await self._rows.send(row)
            self._silence.deadline = trio.current_time() + self._patience
        self._tally.rows += 1
        self._tally.symbols.add(data.event.symbol)

    async def _answer(self, socket: Socket, text: str | bytes) -> None:
        try:
            message = decode_message(text if isinstance(text, str) else text.decode("utf-8", "replace"))
        except RequestError as error:
            self._tally.puzzle(error.message)
            return
        match message:
            case Heartbeat():
                self._silence.deadline = trio.current_time() + self._patience
                await socket.send(json.dumps({"action": "pong", "timestamp": message.timestamp}))
            case Connected():
                unit = next((unit for unit in NS_PER_UNIT if unit == message.timestamp_unit), None)
                if unit is None:
                    raise RefusedError(
                        f"the server's timestamps are in {one_line(message.timestamp_unit)}: unknown here"
                    )
                self._decoder = DataDecoder(unit)
                self._patience = _HEARTBEATS_MISSED * message.heartbeat_interval
                self._silence.deadline = trio.current_time() + self._patience
            case Subscribed():
                self._begin(message)
            case ErrorReply():
                self._refuse(message)
            case Gap():
                self._tally.lack(self._ledger.gap(message))
            case Data():
                self._tally.puzzle("a number is beyond 64 bits")
            case _:
                pass

    def _begin(self, message: Subscribed) -> None:
        if message.dataset != (self._dataset or message.dataset):
            raise RefusedError(f"the server has joined us to {one_line(message.dataset)} instead of {self._dataset}")
        self._join(message)
        if self.joined and self.subscribed_at is None:
            self._tally.tell("connected again")
        self._unanswered.discard(message.id)
        self._dataset, self.joined, self.subscribed_at = message.dataset, True, trio.current_time()
        self._silence.deadline = self.subscribed_at + self._patience
        self._tally.lack(self._ledger.subscribed(message))

    def _refuse(self, message: ErrorReply) -> None:
        symbols = f" ({', '.join(message.symbols)})" if message.symbols else ""
        text = f"{message.code}: {message.message}{symbols}"
        self._unanswered.discard(message.id)
        if self.subscribed_at is None and not self._unanswered:
            raise RefusedError(text, retryable=message.retryable)
        self._tally.tell(one_line(text, 500))
