"""One fault that lasts, or waits for its moment, until it is ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from datafye_trio.testing.conditions import Conditions

__all__ = ["Fault"]


class Fault(AbstractContextManager["Fault"]):
    """A fault of a test server; made by `Faults`. `with faults.mute(): ...` ends it with the body.

    Attributes:
        name: the call that made it, such as `mute`.
        connection: the number of the one that it is done to; None: all.
        hits: how often it was done: frames that were changed, connections that were refused, cut, closed.
        conditions: how the bytes to the client travel meanwhile.
        probability: of each message, to be hit.
        left: how often it will be done before it ends by itself; None: until it is ended.
    """

    def __init__(
        self,
        name: str,
        connection: int | None,
        end: Callable[[Fault], None],
        *,
        conditions: Conditions | None = None,
        probability: float = 0.0,
        left: int | None = None,
        said: str = "",
    ) -> None:
        self.name = name
        self.connection = connection
        self.hits = 0
        self.conditions = conditions or Conditions()
        self.probability = probability
        self.left = left
        self._end = end
        self._said = said
        self._active = True

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self._active

    def concerns(self, number: int) -> bool:
        """Whether it is done to a connection."""
        return self.connection in (None, number)

    def hit(self) -> None:
        """Count that it was done; with the last time it ends."""
        self.hits += 1
        self.miss()

    def miss(self) -> None:
        """Count that it cannot be done any more where it was to be."""
        if self.left is not None:
            self.left -= 1
            if not self.left:
                self.end()

    def end(self) -> None:
        """End it: what it holds back goes on at once, what it was to do is not done. Idempotent."""
        if self._active:
            self._active = False
            self._end(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def __str__(self) -> str:
        where = "" if self.connection is None else f" on #{self.connection}"
        return f"{self.name}({self._said}){where}"

    def __repr__(self) -> str:
        state = "active" if self._active else "ended"
        return f"<fault {self}: {state}, done {self.hits} times>"
