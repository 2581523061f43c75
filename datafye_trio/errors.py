"""Every exception that leaves datafye_trio, below one root, sorted by whose fault it is.

DatafyeError
├── ConfigurationError      yours: a setting, a flag or a file is wrong
├── EventError              yours: an event that cannot be published
├── SourceError             a data source cannot go on
├── RecordingError          a recording cannot be written: a full disk, a folder in use
├── RequestError            the peer's: a request that is refused (protocol.md section 7)
├── ServerClosedError       the server is gone
├── FillError               a paper book cannot fill: no quote, a halted symbol
└── FeedError               a client's feed cannot go on, or cannot do what is asked
    ├── ConnectError        there is no connection: unknown name, refused, TLS, an HTTP status, no answer
    ├── DisconnectedError   the server closed the connection, or it was lost
    ├── SubscriptionError   the server refuses what was subscribed to
    ├── BufferOverflowError a program reads too slowly, and asked to be told so
    └── FeedClosedError     something was asked of a feed that is closed
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

__all__ = [
    "BufferOverflowError", "ConfigurationError", "ConnectError", "ConnectFailure", "DatafyeError", "DisconnectedError",
    "EventError", "FeedClosedError", "FeedError", "FillError", "RecordingError", "RequestError", "ServerClosedError",
    "SourceError", "SubscriptionError",
]  # fmt: skip

ConnectFailure: TypeAlias = Literal["resolve", "refused", "reset", "tls", "timeout", "status", "proxy", "protocol"]
"""Why there is no connection: the name is unknown; refused or unreachable; lost in the handshake; no TLS or no trust;
no answer in time; an HTTP status other than 101; the proxy says no; the answer is no WebSocket's."""


class DatafyeError(Exception):
    """The root of all errors of this package."""


class ConfigurationError(DatafyeError):
    """A setting, a flag or a configuration file is wrong; the text names it and says what to do."""


class EventError(DatafyeError, ValueError):
    """An event cannot be published: a NaN, an infinity, a malformed symbol, a channel that the dataset lacks."""


class SourceError(DatafyeError):
    """A data source cannot go on: a file that is missing, unreadable or malformed. The text names file and line."""


class RecordingError(DatafyeError):
    """A recording cannot be written: a full disk, a folder that another process writes. What was written is unhurt."""


class ServerClosedError(DatafyeError):
    """Something was asked of a server that has stopped."""


class FillError(DatafyeError):
    """A paper book cannot fill what is wished: no quote, or an empty side of it, or a halt. Nothing has changed."""


class RequestError(DatafyeError):
    """A request of a peer is refused; the connection stays open.

    Attributes:
        code: one of `datafye_trio.protocol.ErrorCode`.
        message: one sentence that says what to do.
        field: the field of the request that is wrong, if it is one.
        symbols: the refused symbols, if it is about symbols.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None, symbols: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.symbols = symbols


class FeedError(DatafyeError):
    """A client's feed cannot go on, or cannot do what is asked of it."""


class ConnectError(FeedError):
    """There is no connection; the text is one sentence that says why.

    Attributes:
        kind: one of `ConnectFailure`.
        status: the HTTP status, where the server answered with one.
        retry_after: the seconds that the server asks to wait, where it does.
        retryable: whether the same may succeed later: not where a name has no trust, a path does not exist, or the
            address is refused.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ConnectFailure = "refused",
        status: int | None = None,
        retry_after: float | None = None,
        retryable: bool = True,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.retryable = retryable


class DisconnectedError(FeedError):
    """A connection has ended: the server closed it with `code` and `reason`, or it was lost (code 1006).

    Attributes:
        code: the close code (protocol.md section 7).
        reason: the server's words, or ours where the connection was lost.
        retryable: whether the code says to come back.
    """

    def __init__(self, code: int, reason: str, *, retryable: bool = True) -> None:
        super().__init__(f"closed with {code}{f': {reason}' if reason else ''}" if code != 1006 else reason or "lost")
        self.code = code
        self.reason = reason
        self.retryable = retryable


class SubscriptionError(FeedError):
    """The server refuses what was subscribed to.

    Attributes:
        code: one of `datafye_trio.protocol.ErrorCode`; `REFUSED` where the server has no codes.
        message: the server's sentence.
        symbols: the refused symbols, if it is about symbols.
    """

    def __init__(self, code: str, message: str, symbols: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code}: {message}" + (f" ({', '.join(symbols)})" if symbols else ""))
        self.code = code
        self.message = message
        self.symbols = symbols


class BufferOverflowError(FeedError):
    """A subscription's buffer is full, and its policy is `error`: the program reads too slowly."""


class FeedClosedError(FeedError):
    """Something was asked of a feed, or of a subscription, that is closed."""


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; an exception that is no group is its own leaf."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error
