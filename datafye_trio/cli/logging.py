"""Log lines of this package on stderr: one line an event, `key=value` or JSON, UTC, with peers' texts made harmless."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TextIO

import structlog

from datafye_trio.cli.log_rate import OnceASecond
from datafye_trio.cli.text import one_line, printable

__all__ = ["logging_to"]

_LOGGERS: Final = ("datafye_trio", "trio-websocket")
_FIRST: Final = ("timestamp", "level", "event")


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the name is the standard library's
        """Go on without the line: a full disk or a closed stderr must not end a server, nor be reported to itself."""


@contextmanager
def logging_to(stream: TextIO, form: Literal["text", "json"], level: str) -> Iterator[None]:
    """Write the log to a stream while the body runs."""
    handler = _Handler(stream)
    handler.addFilter(OnceASecond())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _cut,
                structlog.processors.JSONRenderer() if form == "json" else _render,
            ],
        )
    )
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    loggers[0].setLevel(level.upper())
    loggers[1].setLevel(logging.WARNING)  # its debug lines hold whatever peers send
    try:
        yield
    finally:
        for logger, (old_level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate


def _cut(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name != "exception" and not isinstance(value, bool | int | float | None):
            event[name] = one_line(str(value))
    return event


def _render(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    trace = event.pop("exception", "")
    first = [str(event.pop(name)) for name in _FIRST]
    line = " ".join([*first, *(f"{name}={_quoted(value)}" for name, value in event.items())])
    # A traceback is there only for bugs. Its lines stay lines, but what a peer sent may stand in it.
    return "\n".join([line, *map(printable, trace.splitlines())])


def _quoted(value: object) -> str:
    text = str(value)
    if text and not any(c in text for c in ' ="\\'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
