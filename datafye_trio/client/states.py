"""What a feed is doing, for whoever wants to watch: a hub that is set in sync code, and any number of watchers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Self
from weakref import WeakSet

import attrs
import trio

__all__ = ["MAX_WAITING", "FeedState", "JoinedStates", "PartStates", "StateChange", "StateWatch", "States"]

MAX_WAITING: Final = 64
"""The changes that wait for one watcher; of more, the newest."""


class FeedState(StrEnum):
    """What a feed is doing."""

    CONNECTING = "connecting"
    """It opens a connection."""
    CONNECTED = "connected"
    """The connection is open, and nothing is asked yet."""
    RECOVERING = "recovering"
    """What was subscribed before is asked for again, and missed events come in."""
    LIVE = "live"
    """All that is subscribed flows."""
    DISCONNECTED = "disconnected"
    """There is no connection; `why` says why, and `retry_in` when the next attempt is, if there is one."""
    CLOSED = "closed"
    """The feed is at its end. The last state."""


@attrs.frozen
class StateChange:
    """A feed's state from `time` on.

    Attributes:
        state: what it does now.
        url: where it connects to.
        why: what brought it here, in words, where there is something to say.
        retry_in: seconds until the next attempt, where one will come.
        time: when, in seconds of `trio.current_time()`.
        missed: changes just before this one that this watcher was too slow to see.
    """

    state: FeedState
    url: str
    why: str | None = None
    retry_in: float | None = None
    time: float = 0.0
    missed: int = 0


class StateWatch:
    """The changes of one watcher: `async for change in watch`. Ends after `closed`.

    It is an object and no async generator, so nothing need be closed: a loop may be left at any point, and gone on with
    later. Each change goes to one reader, where several read one watch.
    """

    __slots__ = ("__weakref__", "_ended", "_missed", "_readers", "_waiting")

    def __init__(self, current: StateChange) -> None:
        self._waiting: deque[StateChange] = deque()
        self._missed = 0
        self._ended = False
        self._readers = trio.lowlevel.ParkingLot()
        self._put(current)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StateChange:
        """The next change, the state at the time of `watch` first. Cancel-safe; always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._readers.park()
        change = self._waiting.popleft()
        missed, self._missed = self._missed, 0
        return attrs.evolve(change, missed=missed) if missed else change

    def _put(self, change: StateChange) -> None:
        if len(self._waiting) == MAX_WAITING:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(change)
        self._ended = change.state is FeedState.CLOSED
        self._readers.unpark_all()


class States:
    """Where a feed says what it does. Begins with `connecting`; `closed` is final, and what is set later is ignored.

    Watchers are held weakly: one that nobody holds any more costs nothing, and one that is read is held by its reader.
    """

    def __init__(self, url: str, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._current = StateChange(FeedState.CONNECTING, url, time=clock())
        self._watches: WeakSet[StateWatch] = WeakSet()

    @property
    def current(self) -> StateChange:
        """The newest change."""
        return self._current

    def set(
        self, state: FeedState, *, url: str | None = None, why: str | None = None, retry_in: float | None = None
    ) -> None:
        """Go on to `state` and tell all watchers; `url` stays what it was where it is not given. Never blocks."""
        if self._current.state is FeedState.CLOSED:
            return
        self._current = StateChange(state, url or self._current.url, why, retry_in, self._clock())
        for watch in self._watches:
            watch._put(self._current)

    def watch(self) -> StateWatch:
        """A new watcher, which sees the current state first and then each change, in order."""
        watch = StateWatch(self._current)
        self._watches.add(watch)
        return watch


_WORST_FIRST: Final = (FeedState.DISCONNECTED, FeedState.CONNECTING, FeedState.CONNECTED, FeedState.RECOVERING)


class PartStates(States):
    """What one of several connections does, while it is started. Made by `JoinedStates`."""

    def __init__(self, url: str, told: Callable[[], None]) -> None:
        super().__init__(url)
        self.started = False
        self._told = told

    def set(
        self, state: FeedState, *, url: str | None = None, why: str | None = None, retry_in: float | None = None
    ) -> None:
        """See `States`."""
        super().set(state, url=url, why=why, retry_in=retry_in)
        self._told()

    def start(self) -> None:
        """The connection is wanted."""
        self.started = True
        self.set(FeedState.CONNECTING)

    def rest(self) -> None:
        """The connection is wanted no longer."""
        self.started = False
        self._told()


class JoinedStates:
    """Several connections' states as one: that of the one which is worst off, with its URL. With none, it is live."""

    def __init__(self, whole: States) -> None:
        self._whole = whole
        self._parts: list[PartStates] = []

    def part(self, url: str) -> PartStates:
        """The states of one more connection."""
        part = PartStates(url, self.tell)
        self._parts.append(part)
        return part

    def tell(self) -> None:
        """Say what holds for all, where that is news."""
        found = [part.current for part in self._parts if part.started]
        worst = next((one for state in _WORST_FIRST for one in found if one.state is state), None)
        now = self._whole.current
        if worst is None:
            if now.state is not FeedState.LIVE:
                self._whole.set(FeedState.LIVE)
        elif (worst.state, worst.url, worst.why, worst.retry_in) != (now.state, now.url, now.why, now.retry_in):
            self._whole.set(worst.state, url=worst.url, why=worst.why, retry_in=worst.retry_in)
