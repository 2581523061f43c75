"""Whether a server greets: the conversation of a connection on which nothing is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from datafye_trio.client.conversation import NotGreeted
from datafye_trio.client.decoding import Payload
from datafye_trio.errors import RequestError
from datafye_trio.protocol import CloseCode, Connected, decode_message

__all__ = ["Listening"]


class Listening:
    """See the module; a `Conversation`. A first message other than a whole greeting is none: it raises NotGreeted."""

    heartbeats: Final = 0
    heartbeat_interval: Final = None
    unanswered: Final = False
    settled: Final = False
    put_off: Final = False
    has_outgoing: Final = False

    def __init__(self) -> None:
        self.connected: Connected | None = None

    @property
    def greeted(self) -> bool:
        """See `Conversation`."""
        return self.connected is not None

    def begin(self) -> None:
        """See `Conversation`."""

    def cut(self) -> None:
        """See `Conversation`. What was said is kept: it is what this connection was for."""

    def try_again(self) -> None:
        """See `Conversation`."""

    def outgoing(self) -> list[str]:
        """See `Conversation`."""
        return []

    def take(self, payloads: Sequence[Payload]) -> None:
        """See `Conversation`."""
        if not payloads or self.connected is not None:
            return
        first = payloads[0]
        try:
            message = decode_message(first if isinstance(first, str) else first.decode("utf-8", "replace"))
        except RequestError as error:
            raise NotGreeted(CloseCode.PROTOCOL_ERROR, f"no greeting: {error.message}") from None
        if not isinstance(message, Connected):
            raise NotGreeted(CloseCode.PROTOCOL_ERROR, f"no greeting, but {json.dumps(type(message).__name__)}")
        self.connected = message
