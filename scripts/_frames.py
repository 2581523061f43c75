"""The frames of a WebSocket, for the programs that judge a server: nothing of the server is used by them."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Frames"]


class Frames:
    """Cuts a byte stream into frames, as opcode and payload; what is no whole frame yet waits in `rest`."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that this completes; they must be taken to the end."""
        buffer, position = self.rest + data, 0
        while len(buffer) - position >= 2:
            size, start = buffer[position + 1], position + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(buffer[position + 2 : start]) if len(buffer) >= start else len(buffer)
            if start + size > len(buffer):
                break
            yield buffer[position] & 0x0F, buffer[start : start + size]
            position = start + size
        self.rest = buffer[position:]
