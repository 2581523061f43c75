"""The life of a connection: a table of states, and the budgets that end it. No I/O, no clock: times are passed in.

The rules of this file: a state changes only by `TRANSITIONS`; the first cause of an ending wins and never changes;
CLOSED is final. A trigger that the table does not list is a bug in the caller and raises.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

import attrs

from datafye_trio.protocol.codes import CloseCode

__all__ = ["ACTIONS", "Ending", "Session", "State", "TokenBucket", "Trigger"]

ACTIONS: Final = {
    False: frozenset({"subscribe", "unsubscribe", "subscriptions", "ping", "pong"}),
    True: frozenset({"start", "more", "stop", "ping", "pong"}),
}
"""The actions of a path, by whether it is a history path."""


class State(Enum):
    """Where a connection stands."""

    OPEN = auto()
    """Requests are served and data flows."""
    DRAINING = auto()
    """We mean to close: requests are dropped, what the outbox holds is still written."""
    CLOSING = auto()
    """All is written but the close frame."""
    CLOSED = auto()


class Trigger(Enum):
    """What changes a state."""

    END = auto()
    """We decided to end the connection."""
    DRAINED = auto()
    """The outbox is empty, or is given up."""
    GONE = auto()
    """The peer has closed, or the transport is gone, or closed by us."""


TRANSITIONS: Final = {
    (State.OPEN, Trigger.END): State.DRAINING,
    (State.DRAINING, Trigger.DRAINED): State.CLOSING,
    (State.OPEN, Trigger.GONE): State.CLOSED,
    (State.DRAINING, Trigger.GONE): State.CLOSED,
    (State.CLOSING, Trigger.GONE): State.CLOSED,
    (State.CLOSED, Trigger.GONE): State.CLOSED,
}


@attrs.frozen
class Ending:
    """Why a connection ends. `drain`: whether what the outbox holds is written before the close frame."""

    code: CloseCode
    reason: str
    drain: bool = False


class TokenBucket:
    """`rate` tokens a second, at most `burst` at once; times in seconds."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._time = now

    def take(self, now: float, count: float = 1) -> float:
        """Take `count` tokens and return what is left; below zero there were not enough."""
        self._level = min(self._burst, self._level + (now - self._time) * self._rate) - count
        self._time = now
        return self._level

    def try_take(self, now: float) -> bool:
        """Take one token if there is one: who asks too often still gets `rate` a second, instead of nothing."""
        if self.take(now) >= 0:
            return True
        self._level += 1
        return False


class Session:
    """State, cause of the ending, and the budgets for requests and errors of one connection."""

    ERROR_WINDOW: Final = 10.0
    """Seconds over which request errors are counted."""
    GRACE: Final = 10
    """Requests over the rate that are answered RATE_LIMITED before the connection is closed."""

    def __init__(self, *, now: float, request_rate: float, request_burst: int, max_errors: int) -> None:
        self.state = State.OPEN
        self.ending: Ending | None = None
        self._requests = TokenBucket(request_rate, request_burst, now)
        self._errors: deque[float] = deque(maxlen=max_errors)

    def step(self, trigger: Trigger) -> State:
        """Apply a trigger and return the new state.

        Raises:
            KeyError: the table does not allow it.
        """
        self.state = TRANSITIONS[self.state, trigger]
        return self.state

    def end(self, ending: Ending) -> bool:
        """Decide to close. True the first time; later causes are not heard."""
        if self.state is not State.OPEN:
            return False
        self.ending = ending
        self.step(Trigger.END)
        return True

    def count_request(self, now: float, cost: int = 1) -> bool | None:
        """True: serve the request. False: refuse it with RATE_LIMITED. None: close with 4013.

        A request that costs as much as many counts as many.
        """
        left = self._requests.take(now, cost)
        if left >= 0:
            return True
        return False if left >= -self.GRACE * cost else None

    def count_error(self, now: float) -> bool:
        """Note a request error; True when there were too many within the window."""
        self._errors.append(now)
        return len(self._errors) == self._errors.maxlen and now - self._errors[0] < self.ERROR_WINDOW
