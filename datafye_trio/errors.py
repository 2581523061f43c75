"""Every exception that leaves datafye_trio, below one root, sorted by whose fault it is.

DatafyeError
├── ConfigurationError      yours: a setting, a flag or a file is wrong
├── EventError              yours: an event that cannot be published
├── SourceError             a data source cannot go on
├── RecordingError          a recording cannot be written: a full disk, a folder in use
├── RequestError            the peer's: a request that is refused (protocol.md section 7)
└── ServerClosedError       the server is gone
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = [
    "ConfigurationError", "DatafyeError", "EventError", "RecordingError", "RequestError", "ServerClosedError",
    "SourceError",
]  # fmt: skip


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


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; an exception that is no group is its own leaf."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error
