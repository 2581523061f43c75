"""What chance does to the messages of one connection on their way to the client."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Protocol

from datafye_trio.testing.fault import Fault
from datafye_trio.testing.framing import Frame, remade
from datafye_trio.testing.tapping import ConnectionTap

__all__ = ["Damage"]

_KINDS: Final = ("corrupt", "duplicate", "reorder")


class _Board(Protocol):
    """The faults that there are."""

    @property
    def active(self) -> tuple[Fault, ...]: ...

    def find(self, name: str, number: int) -> Fault | None: ...

    def attach(self, tap: ConnectionTap) -> None: ...

    def detach(self, tap: ConnectionTap) -> None: ...

    def cuts_within(self, tap: ConnectionTap) -> bool: ...


class Damage:
    """The `FrameFaults` of one connection.

    Each kind of fault draws from a generator of its own, so that one does not change where another strikes.
    """

    def __init__(self, number: int, seed: int, board: _Board) -> None:
        self._number = number
        self._board = board
        self._random = {kind: random.Random(f"{seed}/{number}/{kind}") for kind in _KINDS}
        self._held: Frame | None = None
        self._tap: ConnectionTap | None = None

    def attach(self, tap: ConnectionTap) -> None:
        """Bytes will pass from now on."""
        self._tap = tap
        self._board.attach(tap)

    def detach(self) -> None:
        """The connection has ended."""
        if self._tap is not None:
            self._board.detach(self._tap)

    def change(self, frame: Frame) -> Sequence[Frame]:
        """What the client gets in place of a whole message, in order."""
        if self._held is None and not self._board.active:  # as nearly always
            return (frame,)
        if self._strikes("corrupt") and frame.payload:
            frame = self._damaged(frame)
        frames = [frame, frame] if self._strikes("duplicate") else [frame]
        return [after for before in frames for after in self._ordered(before)]

    def release(self) -> Sequence[Frame]:
        """What was held back."""
        held, self._held = self._held, None
        return () if held is None else (held,)

    def cuts_within(self) -> bool:
        """Whether the connection is to be cut in the middle of this message."""
        return self._tap is not None and self._board.cuts_within(self._tap)

    def _strikes(self, name: str) -> bool:
        fault = self._board.find(name, self._number)
        if fault is None or self._random[name].random() >= fault.probability:
            return False
        fault.hit()
        if self._tap is not None:
            self._tap.scribe.note("fault", reason=name)
        return True

    def _damaged(self, frame: Frame) -> Frame:
        draw = self._random["corrupt"].randrange
        payload = bytearray(frame.payload)
        payload[draw(len(payload))] ^= draw(1, 256)
        return remade(frame, bytes(payload))

    def _ordered(self, frame: Frame) -> Sequence[Frame]:
        """One frame, or none while it waits for the next, or two."""
        if self._held is not None:
            return (frame, *self.release())
        if self._strikes("reorder"):
            self._held = frame
            return ()
        return (frame,)
