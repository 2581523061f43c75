"""What was asked of a replay (pause, resume, step, seek), and how its task learns of it.

Asking is sync and so takes effect at once: whatever the replay waits for at that moment, be it a time to come or room
in the broker's channel, is interrupted. What the task does next it decides anew, from what is asked by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.sources.base import PlayState

__all__ = ["Controls"]


class Controls:
    """The state of one replay. All calls are for the Trio thread.

    Args:
        name: the dataset, for the texts of errors.
        paused: begin so.
    """

    def __init__(self, name: str, *, paused: bool = False) -> None:
        self._name = name
        self._state = PlayState.PAUSED if paused else PlayState.RUNNING
        self._steps = 0
        self._target: int | None = None
        self._position: int | None = None
        self._scope: trio.CancelScope | None = None
        self._resting = True
        self._changed = trio.lowlevel.ParkingLot()

    # For those who ask; see `datafye_trio.sources.Controllable`.

    @property
    def state(self) -> PlayState:
        """Whether it runs, is paused, or has ended."""
        return self._state

    @property
    def position(self) -> int | None:
        """The time of the last event that was published, None before the first."""
        return self._position

    def pause(self) -> None:
        """Publish nothing more from now on; what is left of a step is dropped."""
        self._ask(PlayState.PAUSED)

    def resume(self) -> None:
        """Go on from the next event, at once."""
        if self._state is not PlayState.RUNNING:
            self._ask(PlayState.RUNNING)

    def step(self, n: int = 1) -> None:
        """Publish the next `n` events as fast as clients read, then stay paused."""
        if n < 1:
            raise ConfigurationError(f"a replay is stepped by 1 event or more, not by {n}")
        left = self._steps
        if not left:
            self._ask(PlayState.PAUSED)
        self._steps = left + n

    def seek(self, to_ns: int) -> None:
        """Go on with the first event at or after `to_ns`; what is left of a step is dropped."""
        self._ask(self._state)
        self._target = to_ns

    async def wait_settled(self) -> None:
        """Wait until what was asked is done; `position` is exact then if the replay is paused. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        while not self._is_settled():
            await self._changed.park()

    # For the task that replays.

    @property
    def allowed(self) -> int | None:
        """How many events may be published now; None for any number."""
        return None if self._state is PlayState.RUNNING else self._steps

    def take_target(self) -> int | None:
        """Where to go, if that was asked since the last call. To be called before anything else is done."""
        self._resting = False
        target, self._target = self._target, None
        return target

    @contextmanager
    def interruptible(self) -> Iterator[trio.CancelScope]:
        """A cancel scope for one await: cancelled when something is asked."""
        with trio.CancelScope() as scope:
            self._scope = scope
            try:
                yield scope
            finally:
                self._scope = None

    def published(self, count: int, last: int, scope: trio.CancelScope) -> None:
        """Note that `count` events went out, the last of them at `last`, within an interruptible scope."""
        self._position = last
        # Interrupted, but too late: a step that was asked for meanwhile is not these events.
        if not scope.cancel_called:
            self._steps = max(0, self._steps - count)

    def drop_steps(self) -> None:
        """Note that there is nothing left to step over."""
        self._steps = 0

    async def rest(self) -> None:
        """Wait until something may be published, or a target is to be taken. Cancel-safe."""
        self._resting = True
        self._changed.unpark_all()
        await trio.lowlevel.checkpoint()
        while self.allowed == 0 and self._target is None:
            await self._changed.park()

    def end(self) -> None:
        """Note that the replay is over, however it ended."""
        self._state = PlayState.ENDED
        self._steps = 0
        self._changed.unpark_all()

    def _ask(self, state: PlayState) -> None:
        if self._state is PlayState.ENDED:
            raise SourceError(f"the replay of {self._name} has ended: there is nothing left to control")
        self._state = state
        self._steps = 0
        if self._scope is not None:
            self._scope.cancel()
        self._changed.unpark_all()

    def _is_settled(self) -> bool:
        if self._state is PlayState.PAUSED:
            return self._resting and not self._steps and self._target is None
        return self._state is PlayState.ENDED or self._target is None
