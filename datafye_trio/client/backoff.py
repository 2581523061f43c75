"""When to come back after a connection has failed or ended, and whether at all. Sans-IO: no clock and no sleep.

Waits double from 0.25 to 30 s. Each is drawn between 0 and its bound (full jitter), since all clients of a server lose
it at the same moment and must not come back at the same moment. The bound falls back only after a minute of health: a
server that accepts and drops at once is not asked four times a second for ever.

The bound doubles with the time that has passed, too, and not with the number of draws alone: after four small draws,
half a second into an outage, plain doubling may already draw 4 s, and one client in 45 was over 3 s late for a server
that was down for 1 s. So a bound is at most the first one and twice what was waited so far, which leaves the longest
schedule as it is (0.25, 0.5, 1, 2, ...) and brings everybody back within 2.25 s of such a server.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, Final

import attrs

from datafye_trio.errors import ConfigurationError, ConnectError, DisconnectedError
from datafye_trio.protocol import Advice, CloseCode

__all__ = ["LONGEST_RETRY_AFTER", "Backoff", "Reconnect", "comes_back", "judge"]

LONGEST_RETRY_AFTER: Final = 600.0
"""A server that asks for more seconds than these is asked again all the same: a mistyped header must not end a feed."""

_TOO_MANY_REQUESTS: Final = 5.0
_SPREAD: Final = 0.5
"""Of a time that the server asks to wait, the part over which its clients spread on top."""

_KNOWN: Final = frozenset(CloseCode)
_REFUSALS: Final = frozenset({1010, 3000, 3003})
"""Codes of the registry that are none of the protocol's: an extension that we lack, unauthorized, forbidden."""


def _check_positive(_: Reconnect, attribute: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ConfigurationError(f"reconnect.{attribute.name}: a number of seconds above 0, not {value!r}")


def _check_attempts(_: Reconnect, __: attrs.Attribute[int | None], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ConfigurationError(f"reconnect.attempts: None for no end, or a whole number from 0, not {value!r}")


@attrs.frozen
class Reconnect:
    """How a feed comes back; all times are seconds.

    Attributes:
        attempts: how often in a row it tries again before it raises what went wrong; None: without end, 0: never.
            A row ends where the waits fall back: after `healthy_after`.
        first: the bound of the first wait.
        ceiling: the bound that it doubles up to.
        refused_ceiling: that one where the address refuses: to ask costs nobody much, and a server that restarts is
            found soon.
        healthy_after: how long a connection must have been good for the waits to begin anew.
        jitter: gives numbers from 0 to 1, by which the waits are drawn. A run that is to come out the same each time
            gives a seeded one.

    Raises:
        ConfigurationError: a value that makes no sense.
    """

    attempts: int | None = attrs.field(default=None, validator=_check_attempts)
    first: float = attrs.field(default=0.25, validator=_check_positive)
    ceiling: float = attrs.field(default=30.0, validator=_check_positive)
    refused_ceiling: float = attrs.field(default=5.0, validator=_check_positive)
    healthy_after: float = attrs.field(default=60.0, validator=_check_positive)
    jitter: Callable[[], float] = random.random

    def __attrs_post_init__(self) -> None:
        if self.first > self.ceiling:
            raise ConfigurationError(
                f"reconnect.first: {self.first:g} s is above reconnect.ceiling, {self.ceiling:g} s; lower it"
            )


class Backoff:
    """The waits of one feed. `random` gives numbers from 0 to 1; `failures` counts those in a row."""

    def __init__(self, config: Reconnect, random: Callable[[], float]) -> None:
        self.failures = 0
        self._config = config
        self._random = random
        self._bound = config.first
        self._waited = 0.0
        """Seconds in this row of failures."""

    def next(self, failure: ConnectError | DisconnectedError, healthy_seconds: float) -> float | None:
        """Seconds to wait after `failure`; None: give up, and raise it.

        Args:
            failure: what ended the attempt or the connection.
            healthy_seconds: how long the connection that it ended was good; 0 where there was none.
        """
        config = self._config
        if not judge(failure):
            return None
        if healthy_seconds >= config.healthy_after:
            self.failures = 0
            self._waited = 0.0
            self._bound = config.first
        if config.attempts is not None and self.failures >= config.attempts:
            return None
        self.failures += 1
        if isinstance(failure, ConnectError) and failure.kind == "refused":
            self._bound = min(self._bound, config.refused_ceiling)
        bound = min(self._bound, config.first + 2 * self._waited)
        self._bound = min(2 * self._bound, config.ceiling)
        asked = _asked(failure)
        wait = asked + self._random() * max(bound, _SPREAD * asked)
        self._waited += wait
        return wait


def judge(failure: ConnectError | DisconnectedError) -> bool:
    """Whether to come back after `failure`: the connecting side knows, or the close code says so (`comes_back`)."""
    if isinstance(failure, DisconnectedError):
        return failure.retryable and comes_back(failure.code)
    return failure.retryable


def comes_back(code: int) -> bool:
    """Whether a close code's advice is to connect again (protocol.md section 7).

    - A server's 1000 means stop, as the table has it: it has said goodbye in good order, and a test server or a replay
      does so at the end of its data. The feed then raises DisconnectedError, so that nobody waits for more in silence.
    - 1005 and 1006, no code and no close at all: the connection was lost.
    - 4500 to 4999 mean stop, whether known or not, and so do the registry's refusals (1010, 3000, 3003).
    - All else that nobody has defined means come back: what is not said to be final may pass, and the waits are long.
    """
    if code in _KNOWN:
        return CloseCode(code).advice is not Advice.STOP
    return code not in _REFUSALS and not 4500 <= code < 5000


def _asked(failure: ConnectError | DisconnectedError) -> float:
    """The seconds that the server asks us to stay away."""
    if isinstance(failure, DisconnectedError):
        return _TOO_MANY_REQUESTS if failure.code == CloseCode.TOO_MANY_REQUESTS else 0.0
    asked = failure.retry_after or 0.0
    return min(asked, LONGEST_RETRY_AFTER) if asked > 0 else 0.0  # and not where it is no number at all
