"""One connection through a proxy: a reader and a writer for each direction, and what can be done to it meanwhile."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import attrs
import trio

from datafye_trio.testing.cuts import Direction
from datafye_trio.testing.lanes import READ, Lane

__all__ = ["Greeting", "Link", "Tap", "close_end"]

_CLOSE_SECONDS: Final = 1.0
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset at once, and what the peer's kernel has not taken is dropped."""
_LAST_SECONDS: Final = 1.0
"""What a client that takes nothing may cost."""
_LINGER_SECONDS: Final = 0.5
"""For a client's last words and its own end, once it has the server's. Some libraries leave their sockets open then."""


class Link:
    """One connection. What may be done to it while it runs is sync and in effect when it returns.

    Attributes:
        number: from 1 in the order in which they came.
        to_client: the lane of the server's bytes.
        to_server: the lane of the client's bytes.
        reset: how it ends: both ends closed in good order clear it.
        was_cut: whether it was cut on purpose.
    """

    def __init__(
        self,
        number: int,
        lanes: tuple[Lane, Lane],
        *,
        cut: Callable[[Link, Direction | None], None],
        flowing: Callable[[], bool],
        passed: Callable[[Direction, int], None],
    ) -> None:
        self.number = number
        self.to_client, self.to_server = lanes
        self.scope = trio.CancelScope()
        self.reset = True
        self.was_cut = False
        self._lingers = False
        self._cut = cut
        self._flowing = flowing
        self._passed = passed

    @property
    def let_go(self) -> bool:
        """Whether the server's end has passed, and the client has not closed its own in the time that it had."""
        return self._lingers and trio.current_time() >= self.scope.deadline

    def lane(self, direction: Direction) -> Lane:
        """The lane of a direction."""
        return self.to_client if direction == "from_server" else self.to_server

    def drop(self) -> None:
        """Cut it now: by TCP a reset. Idempotent."""
        self._cut(self, None)

    async def join(self, client: trio.abc.Stream, server: trio.abc.Stream, greeting: Greeting) -> None:
        """Pass bytes both ways, until both ends have ended."""
        tap = greeting.tap
        if tap is not None:
            tap.attach(self)
        if greeting.read:
            for piece in [greeting.read] if tap is None else tap.from_client(greeting.read):
                self.to_server.put(piece)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, "from_server", client)
            nursery.start_soon(self._read, "from_server", server, None if tap is None else tap.from_server)
            nursery.start_soon(self._write, "from_client", server)
            nursery.start_soon(self._read, "from_client", client, None if tap is None else tap.from_client)

    async def _read(
        self, direction: Direction, source: trio.abc.Stream, change: Callable[[bytes], Sequence[bytes]] | None
    ) -> None:
        """Read until the end, which is passed on too; without a tap never a byte that is not to pass."""
        lane = self.lane(direction)
        try:
            while True:
                await lane.wait_room()
                if (room := lane.room()) <= 0:
                    await trio.sleep_forever()  # the writer cuts
                data = bytes(await source.receive_some(room if change is None else READ))
                await lane.wait_open()  # so that a tap sees what passes when it passes
                for piece in (data,) if change is None else change(data):
                    lane.put(piece)
                if not data:
                    lane.end()
                    return
        except trio.BrokenResourceError:
            lane.end()
            await self._broken(client=direction == "from_client")

    async def _write(self, direction: Direction, target: trio.abc.Stream) -> None:
        try:
            if await self.lane(direction).run(target, self._flowing, lambda count: self._passed(direction, count)):
                await self._pass_end(target)
                if direction == "from_server":
                    self._linger()
            else:
                self._cut(self, direction)
        except trio.BrokenResourceError:
            await self._broken(client=direction == "from_server")

    async def _pass_end(self, target: trio.abc.Stream) -> None:
        if isinstance(target, trio.abc.HalfCloseableStream):
            await target.send_eof()
        else:  # TLS, say, has no half: its end is the end of both
            self.reset = False
            self.scope.cancel()

    def _linger(self) -> None:
        """The server has gone, and the client knows: one that does not close its end as well is not waited for."""
        self._lingers = True
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + _LINGER_SECONDS)

    async def _broken(self, *, client: bool) -> None:
        """An end is gone without a word: so the other goes. But a client learns nothing while its lane is held."""
        if not client and self.to_client.conditions.held:
            await self.to_client.wait_open()
            with trio.move_on_after(_LAST_SECONDS):  # what was held back goes on before the end
                await self.to_client.wait_ended()
        self.scope.cancel()


class Tap(Protocol):
    """Sees and changes what passes on one connection. All is sync; it must not raise."""

    def attach(self, link: Link) -> None:
        """The server is reached: bytes will pass."""

    def from_client(self, data: bytes) -> Sequence[bytes]:
        """What the server gets in place of these bytes; b"" is the client's end."""

    def from_server(self, data: bytes) -> Sequence[bytes]:
        """What the client gets in place of these bytes; b"" is the server's end."""

    def closed(self, why: str) -> None:
        """The connection has ended; no call comes after this one."""


@attrs.frozen
class Greeting:
    """What was found out of a new connection before the server is reached.

    Attributes:
        read: the client's bytes that were read already: the first that the tap and the server get.
        tap: sees what passes from then on.
    """

    read: bytes = b""
    tap: Tap | None = None


async def close_end(stream: trio.abc.Stream, *, reset: bool) -> None:
    """Close one end of a connection, also when cancelled: within a second; by TCP with a reset, if so."""
    if reset and isinstance(stream, trio.SocketStream):
        with suppress(OSError):  # some systems refuse it once the peer is gone
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
        if reset:
            await trio.aclose_forcefully(stream)
        else:
            await stream.aclose()
