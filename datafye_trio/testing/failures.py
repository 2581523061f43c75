"""What goes wrong in a test server without anybody being told: what it logs as an error."""

from __future__ import annotations

import contextvars
import logging
import traceback
from typing import Final

import attrs

__all__ = ["Failure", "Failures"]

_LOGGERS: Final = ("server", "connection", "source", "broker")
_owner: contextvars.ContextVar[Failures | None] = contextvars.ContextVar("owner", default=None)
"""Whose server a task belongs to. Loggers are the process's, and several servers may run in it, in several threads."""


@attrs.frozen
class Failure:
    """One error. `text` is what was logged, `error` the exception, where there was one."""

    text: str
    error: BaseException | None

    def __str__(self) -> str:
        return self.text if self.error is None else f"{self.text}: {_line(self.error)}"


class Failures(logging.Handler):
    """Collects the errors of the tasks that `own` was called in, and of those that they start.

    Attributes:
        found: the errors so far.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[Failure] = []

    def own(self) -> None:
        """What this task logs from now on is ours."""
        _owner.set(self)

    def __enter__(self) -> Failures:
        for name in _LOGGERS:
            logging.getLogger(f"datafye_trio.{name}").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(f"datafye_trio.{name}").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take an error, if it is ours."""
        if _owner.get() is self:
            self.found.append(Failure(record.getMessage(), record.exc_info[1] if record.exc_info else None))


def _line(error: BaseException) -> str:
    """An exception in a line, with where it was raised: often in a test's own events. Groups by what is in them."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_line, error.exceptions))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
