"""Log lines of this package on stderr: one line an event, `key=value` or JSON, UTC, with peers' texts made harmless."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TextIO

import structlog

from datafye_trio.cli.log_lines import LogLines
from datafye_trio.cli.log_rate import OnceASecond
from datafye_trio.cli.text import one_line

__all__ = ["logging_to"]

_ACCEPTING: Final = "trio.serve_listeners"
_LOGGERS: Final = ("datafye_trio", "trio-websocket", _ACCEPTING)
_FIRST: Final = ("timestamp", "level", "event")
_TRACE_LINE: Final = 500
"""The most characters of a line of a traceback: a peer's text may stand in it."""


class _Handler(logging.Handler):
    """Makes lines of records, where they come from (their values change), and leaves the writing to `LogLines`."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines = LogLines(stream, self._tell)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 -- somebody else's object that cannot be shown must not end a server
            line = self._tell(1)
        self.lines.put(line)

    def _tell(self, lost: int) -> str:
        record = logging.LogRecord("datafye_trio.log", logging.WARNING, "", 0, "lines lost", (), None)
        record.count = lost
        return self.format(record)


@contextmanager
def logging_to(
    stream: TextIO, form: Literal["text", "json"], level: str, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Write the log to a stream while the body runs; `clock` has the seconds for `OnceASecond`.

    Whoever reads the stream slowly, or not at all, holds up nobody but itself: see `LogLines`.
    """
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            _without_trace,
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
    handler = _Handler(stream, formatter)
    handler.addFilter(OnceASecond(clock))
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    loggers[0].setLevel(level.upper())
    for foreign in loggers[1:]:
        foreign.setLevel(logging.WARNING)  # the debug lines of trio-websocket hold whatever peers send
    try:
        yield
    finally:
        for logger, (old_level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate
        handler.lines.close()


def _without_trace(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where no descriptor is left for those who come, trio's way to find that out is of no use to anybody."""
    if event["_record"].name == _ACCEPTING:
        event.pop("exc_info", None)
    return event


def _cut(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name == "exception":
            # A traceback is there only for bugs. Its lines stay lines.
            event[name] = "\n".join(one_line(line, _TRACE_LINE) for line in value.splitlines())
        elif name == "url":
            event[name] = one_line(str(value).partition("?")[0])  # tokens are written behind it
        elif not isinstance(value, bool | int | float | None):
            event[name] = one_line(str(value))
    return event


def _render(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    trace = event.pop("exception", "")
    first = [str(event.pop(name)) for name in _FIRST]
    line = " ".join([*first, *(f"{name}={_quoted(value)}" for name, value in event.items())])
    return "\n".join([line, *trace.splitlines()])


def _quoted(value: object) -> str:
    text = str(value)
    if text and not any(c in text for c in ' ="\\'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
