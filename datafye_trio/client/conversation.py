"""What is said on a connection, as the link that keeps it sees it: payloads in, texts out. No I/O, all sync."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from datafye_trio.client.decoding import Payload
from datafye_trio.errors import DisconnectedError
from datafye_trio.protocol import NS_PER_UNIT, CloseCode, Connected, Heartbeat, TimestampUnit

__all__ = ["Conversation", "NotGreeted", "Presence", "text_of", "unit_of"]

_PONGS: Final = 8
"""Answers that wait to be sent: the newest ones. Each answers all heartbeats before it, so that a server that sends ten
thousand at once costs neither memory nor a flood of answers."""


class NotGreeted(DisconnectedError):
    """The server has accepted the connection, and has not said the first message that this protocol begins with."""


class Conversation(Protocol):
    """One for all connections of a link: `begin` and `cut` stand at the ends of each of them."""

    @property
    def connected(self) -> Connected | None:
        """What the server said about itself on this connection; None before, and where it says nothing."""

    @property
    def greeted(self) -> bool:
        """Whether the server's first message has come; always where none is to be waited for."""

    @property
    def heartbeats(self) -> int:
        """How many heartbeats there were on this connection."""

    def begin(self) -> None:
        """A connection has begun."""

    def cut(self) -> None:
        """The connection is gone."""

    @property
    def heartbeat_interval(self) -> float | None:
        """The seconds between heartbeats that the server has promised; None where it has not."""

    @property
    def unanswered(self) -> int:
        """Whether an answer to a request is due: the number of the oldest one, or 0."""

    @property
    def settled(self) -> bool:
        """Whether all that is wanted is on the wire."""

    @property
    def put_off(self) -> bool:
        """Whether the server wants something to be asked again later: `try_again` is to be called a while from now."""

    def try_again(self) -> None:
        """A while has passed."""

    @property
    def has_outgoing(self) -> bool:
        """Whether there is something to send."""

    def outgoing(self) -> list[str]:
        """What is to be sent now, answers to heartbeats first."""

    def take(self, payloads: Sequence[Payload]) -> None:
        """Take what has come.

        Raises:
            DisconnectedError: no sense can be made of it.
        """


class Presence:
    """What a server of version 1 of the protocol says about itself on a connection, and its heartbeats: a part of a
    `Conversation`.

    Attributes:
        connected: what the server said about itself on this connection; None before.
        heartbeat: the last one of this connection.
        heartbeats: how many there were on this connection.
    """

    def __init__(self) -> None:
        self.connected: Connected | None = None
        self.heartbeat: Heartbeat | None = None
        self.heartbeats = 0
        self._pongs: deque[int] = deque(maxlen=_PONGS)

    @property
    def greeted(self) -> bool:
        """See `Conversation`."""
        return self.connected is not None

    @property
    def heartbeat_interval(self) -> float | None:
        """See `Conversation`."""
        return None if self.connected is None else self.connected.heartbeat_interval

    def _forget(self) -> None:
        self.connected = self.heartbeat = None
        self.heartbeats = 0
        self._pongs.clear()

    def _beat(self, heartbeat: Heartbeat) -> None:
        self.heartbeat = heartbeat
        self.heartbeats += 1
        self._pongs.append(heartbeat.timestamp)

    def _answers(self) -> list[str]:
        """The answers to heartbeats; they are taken."""
        texts = [json.dumps({"action": "pong", "timestamp": stamp}) for stamp in self._pongs]
        self._pongs.clear()
        return texts


def text_of(payload: Payload) -> str:
    """What has come, as text.

    Raises:
        DisconnectedError: it is no UTF-8, as text must be (RFC 6455 section 8.1).
    """
    try:
        return payload if isinstance(payload, str) else payload.decode()
    except UnicodeDecodeError as error:
        why = f"the server sends text that is no UTF-8: {error.reason} at byte {error.start}"
        raise DisconnectedError(CloseCode.INVALID_TEXT, why, retryable=False) from None


def unit_of(connected: Connected) -> TimestampUnit:
    """The unit of a server's times.

    Raises:
        DisconnectedError: none that is known.
    """
    unit = next((unit for unit in NS_PER_UNIT if unit == connected.timestamp_unit), None)
    if unit is None:
        told = connected.timestamp_unit[:40]
        raise DisconnectedError(
            CloseCode.PROTOCOL_ERROR, f"the server's times are in {told!r}: ns, us and ms are known", retryable=False
        )
    return unit
