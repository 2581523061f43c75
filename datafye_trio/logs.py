"""Loggers of this package: structlog's calls (`log.info("connected", connection=...)`) on the standard `logging`.

Nothing is configured on import and nothing is printed by a library user who did not ask: structlog's own default would
print to stdout. The command line puts a handler on the logger `datafye_trio` (see `cli.logging`).
"""

from __future__ import annotations

import logging
from typing import cast

import structlog

__all__ = ["get_logger", "is_told"]


def is_told(count: int) -> bool:
    """Whether one of many alike is told: the first, the tenth, the hundredth, so that a peer cannot fill the log."""
    return str(count).rstrip("0") == "1"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a part of this package, below `datafye_trio`."""
    logger = structlog.wrap_logger(
        logging.getLogger(f"datafye_trio.{name}"),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)
