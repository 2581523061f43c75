"""Faults that wait for their moment: a cut after so many bytes or within a message, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from datafye_trio.testing.fault import Fault
from datafye_trio.testing.tapping import ConnectionTap

__all__ = ["Drop", "Refuse"]

_STATUSES: Final = frozenset(status.value for status in HTTPStatus if status.value >= 200) | {None}
"""Below 200 there are no final answers."""


class Drop(Fault):
    """Cuts each of `taps`, or the next connection that comes, after so many bytes, or (None) within a message."""

    def __init__(
        self, connection: int | None, end: Callable[[Fault], None], after: int | None, taps: Iterable[ConnectionTap]
    ) -> None:
        concerned = tuple(taps)
        said = "mid_frame=True" if after is None else f"after={after}"
        super().__init__("drop", connection, end, left=max(1, len(concerned)), said=said)
        self._after = after
        self._waiting: dict[int, ConnectionTap] = {}
        self._next = not concerned
        for tap in concerned:
            self._begin(tap)

    def meet(self, tap: ConnectionTap) -> None:
        """A connection has come."""
        if self._next and tap.request.upgrade and self.concerns(tap.number):
            self._next = False
            self._begin(tap)

    def leave(self, tap: ConnectionTap) -> None:
        """A connection has ended: cut by this, or by something else before it could be."""
        if self._waiting.pop(tap.number, None) is not None:
            if tap.link.to_client.lift(self):
                self.hit()
            else:
                self.miss()

    def cuts_within(self, tap: ConnectionTap) -> bool:
        """Whether it falls within the message that is about to pass."""
        if self._after is not None or self._waiting.pop(tap.number, None) is None:
            return False
        self.hit()
        return True

    def end(self) -> None:
        """Cut nobody any more."""
        for tap in self._waiting.values():
            tap.link.to_client.lift(self)
        self._waiting.clear()
        super().end()

    def _begin(self, tap: ConnectionTap) -> None:
        self._waiting[tap.number] = tap
        if self._after is not None:
            tap.link.to_client.cut_after(self._after, self)


class Refuse(Fault):
    """Refuses the next `count` handshakes with a status, or (None) connections unseen.

    Raises:
        ValueError: a count below 1, a status that no final answer of HTTP has, or seconds below 0.
    """

    def __init__(self, end: Callable[[Fault], None], count: int, status: int | None, retry_after: float | None) -> None:
        if count < 1 or status not in _STATUSES:
            raise ValueError(f"count={count}, status={status}: a count from 1, and a status from 200, or None")
        if retry_after is not None and not retry_after >= 0:
            raise ValueError(f"retry_after={retry_after}: seconds are from 0")
        said = f"{count}, status={status}" + ("" if retry_after is None else f", retry_after={retry_after:g}")
        super().__init__("refuse", None, end, left=count, said=said)
        self.status = status
        self.headers = () if retry_after is None else (("Retry-After", f"{retry_after:g}"),)
