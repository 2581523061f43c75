"""What a server accepts, heard before a dialect takes the details out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from datafye_trio.testing.dialect import Dialect

__all__ = ["hearing"]

_ANSWERS: Final = (b'"subscribed"', b'"unsubscribed"')


def hearing(told: Callable[[str, bytes], None]) -> type[Dialect]:
    """The dialect, which hands each answer to a subscription on as the server has said it.

    `told` gets the id that the server has given the connection, and the payload.
    """

    class Hearing(Dialect):
        name = ""

        def from_server(self, payload: bytes) -> bytes | None:
            if not self.name:  # the first message is the greeting
                self.name = msgspec.json.decode(payload).get("connectionId", "?")
            elif any(answer in payload for answer in _ANSWERS):
                told(self.name, payload)
            return super().from_server(payload)

    return Hearing
