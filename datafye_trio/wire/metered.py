"""What a transport under TLS delivers, counted: TLS has records that carry nothing, and each of them costs.

A peer that changes its keys with every record (RFC 8446 section 4.6.3), or puts each byte into one of its own, sends no
frame that a budget could count, and OpenSSL works through all it is given in one call, while everybody waits.
"""

from __future__ import annotations

from typing import Final

import trio

from datafye_trio.protocol import TokenBucket

__all__ = ["MeteredStream"]

_PIECE: Final = 4_096
"""Bytes that OpenSSL is given at once: some 150 changes of keys."""
_RATE: Final = 32 * 1024
_BURST: Final = 128 * 1024
"""Bytes beside the data, a second and at once. A record takes 22 (TLS 1.3), so that is far more than the frames that a
peer may send can need, each in a record of its own; a handshake takes some 3,000."""


class MeteredStream(trio.abc.HalfCloseableStream):
    """A transport for `trio.SSLStream`: what comes is taken from a budget, and what of it was data is put back."""

    def __init__(self, transport: trio.abc.Stream) -> None:
        self.transport = transport
        self._budget = TokenBucket(_RATE, _BURST, trio.current_time())
        self._reading: trio.CancelScope | None = None

    async def receive_from(self, secured: trio.abc.Stream, max_bytes: int | None) -> bytes | None:
        """Receive from the TLS above; None if the peer is over the budget: TLS then still works. Cancel-safe."""
        data = b""
        with trio.CancelScope() as scope:  # ends a read in which nothing but empty records comes
            self._reading = scope
            try:
                data = bytes(await secured.receive_some(max_bytes))
            finally:
                self._reading = None
        self._budget.take(trio.current_time(), -len(data))
        return None if scope.cancel_called else data

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the transport's.

        Raises:
            trio.BrokenResourceError: the peer is over the budget, and nobody is in `receive_from`.
        """
        data = await self.transport.receive_some(_PIECE if max_bytes is None else min(max_bytes, _PIECE))
        if self._budget.take(trio.current_time(), len(data)) < 0:
            if self._reading is None:
                raise trio.BrokenResourceError("too many bytes of TLS beside the data")
            self._reading.cancel()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the transport's."""
        await self.transport.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the transport's."""
        await self.transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As the transport's, if it has that."""
        if isinstance(self.transport, trio.abc.HalfCloseableStream):
            await self.transport.send_eof()

    async def aclose(self) -> None:
        """As the transport's."""
        await self.transport.aclose()
