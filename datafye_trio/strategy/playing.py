"""Playing a recording to a strategy, on trio's virtual clock.

The rules of this file. Time stands still while anybody has something to do. At one moment, those that sleep until it
come first, one that sleeps for long as well as one that does not; then all events of that moment are handed out, in
their order, and those that wait for them are woken one after the other, each only when the one before waits again.
So what happens does not depend on how trio shuffles its tasks, as far as that is in our hands.

The common way to play on such a clock is to sleep until each event is due, which costs several rounds of the scheduler
an event. Here the clock is moved by hand where no deadline lies before the next event, and nobody is waited for where
nobody was woken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from itertools import chain, groupby, islice
from operator import itemgetter
from types import TracebackType
from typing import Final

import attrs
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.aggregates import event_time
from datafye_trio.client.market_time import MarketTime
from datafye_trio.errors import DatafyeError, EventError, FeedError, SourceError, leaves_of
from datafye_trio.logs import get_logger
from datafye_trio.model import Timed
from datafye_trio.nurseries import BareNursery
from datafye_trio.sources import Mark
from datafye_trio.strategy.lingering import warning_of_lingering
from datafye_trio.strategy.local_dataset import LocalDataset
from datafye_trio.strategy.local_hub import LocalHub
from datafye_trio.strategy.progress import Progress
from datafye_trio.strategy.recorded import RecordedSource

__all__ = ["Player"]

log = get_logger("feed")

_REPORT_SECONDS: Final = 0.5
_TIE: Final = 5e-10
"""Half a nanosecond: what the strategy sleeps for until the very moment of an event comes before the event."""
_GLANCE: Final = 0.001
"""Real seconds between two looks at whether threads still work: trio does not tell when one has ended."""
_AFTERWARDS: Final = 86_400.0
"""Seconds of market time that a strategy may go on for after the end of the data."""


class Player(AbstractAsyncContextManager[LocalHub]):
    """Plays a recording to a hub while its body runs, and cancels a body that waits for what never comes.

    Raises on entering:
        SourceError: the recording cannot be opened.
    From the end of the body:
        DatafyeError: it has waited for what never comes. What it raises by itself leaves it bare.
    """

    def __init__(
        self,
        source: RecordedSource,
        clock: MockClock,
        start: int | None,
        end: int | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._source = source
        self._clock = clock
        self._start = start
        self._selection = attrs.evolve(source.selection, start=start, end=end)
        self._on_progress = on_progress
        self._events = 0
        self._began = self._reported = time.monotonic()
        self._in_vain: DatafyeError | None = None
        """Why the strategy was cancelled."""
        self._tasks = BareNursery("the run")
        self._deadline = -math.inf
        """The first deadline of a task, in trio's time; nobody sets another one while nobody runs."""

    async def __aenter__(self) -> LocalHub:
        self._recorded = self._source.recording.read(self._selection)
        first = list(islice(self._recorded, 1))
        self._opening = self._start if self._start is not None else first[0][0] if first else 0
        self._market = MarketTime(self._opening, by_hand=True)
        self._source.reached(self._opening - 1)
        self._dataset = LocalDataset(self._source)
        self._hub = LocalHub([self._dataset], self._market, self._make_room)
        nursery = await self._tasks.enter()
        nursery.start_soon(self._play, chain(first, self._recorded), nursery.cancel_scope)
        return self._hub

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
        finally:
            self._recorded.close()
        # A strategy that has got over it, returns or raises something of its own: then that counts.
        leaves = [] if error is None else list(leaves_of(error))
        if leaves and self._in_vain is not None and all(isinstance(leaf, trio.Cancelled) for leaf in leaves):
            raise self._in_vain from None

    def report(self) -> None:
        """Tell how far it is."""
        self._reported = time.monotonic()
        if self._on_progress is not None:
            self._on_progress(Progress(self._market.now(), self._events, self._reported - self._began))

    async def _play(self, events: Iterable[Timed], strategy: trio.CancelScope) -> None:
        self._threads = trio.to_thread.current_default_thread_limiter()
        await self._settle()  # the strategy begins
        failure = None
        try:
            for moment, together in groupby(events, key=itemgetter(0)):
                await self._play_moment(moment, together)
            if not self._events:
                log.warning("nothing was played: no event lies in the range", dataset=self._dataset.info.name)
            await self._finish()
        except (SourceError, EventError) as error:
            await self._wake_readers()
            failure = FeedError(f"the recording cannot be read any further: {error}")
            failure.__cause__ = error
        with warning_of_lingering():
            for wake in self._hub.ending(failure):
                wake()
                await self._settle()
            self._in_vain = await self._wait_in_vain()
        strategy.cancel()

    async def _play_moment(self, moment: int, together: Iterable[Timed]) -> None:
        await self._move_to(moment)
        dataset, hub = self._dataset, self._hub
        for _, event in together:
            self._events += 1
            dataset.check(event)
            await hub.hand_out(dataset.expand(event, hub.book))
        self._source.reached(moment)
        await self._wake_readers()
        if time.monotonic() - self._reported >= _REPORT_SECONDS:
            self.report()

    async def _finish(self) -> None:
        """Bars that end with the data, each when its span does: not before, as none is known before."""
        asset_class = self._dataset.info.asset_class
        last = self._dataset.on(Mark.END, self._hub.book)
        for moment, together in groupby(last, key=lambda routed: event_time(routed.event, asset_class)):
            await self._move_to(moment)
            await self._hub.hand_out(list(together))
            await self._wake_readers()

    async def _make_room(self, _: Callable[[], bool]) -> None:
        """Let the programs read. One that has no room after that sleeps, and time does not go on for its sake."""
        await self._wake_readers()

    async def _wake_readers(self) -> None:
        for sink in self._hub.readers():
            sink.changed()
            await self._settle()

    async def _move_to(self, moment: int) -> None:
        """Let market time come to a moment, and everybody do what was to be done until then, and at it."""
        market = self._market
        while True:
            goal = market.next_wait(moment)
            due = (goal - self._opening) / 1e9  # absolute, so that rounding does not add up
            left = due - trio.current_time()
            # A float of seconds is exact to the nanosecond for some weeks; beyond, a tie is what it cannot tell apart.
            if self._deadline <= due + max(_TIE, 4 * math.ulp(due)):
                self._clock.jump(max(self._deadline - trio.current_time(), 0.0))
                await self._settle()
                continue
            shown = market.now()  # a nanosecond or so late, where somebody has slept until then
            if left > 0:
                self._clock.jump(left)
            market.show(max(goal, shown))
            if (wake := market.due()) is None:
                return
            wake()
            await self._settle()

    async def _settle(self) -> None:
        """Wait until everybody waits, and no thread of theirs works."""
        await wait_all_tasks_blocked()
        while self._threads.borrowed_tokens:
            await wait_all_tasks_blocked(_GLANCE)  # a cushion is of real time, and keeps the clock where it is
        self._deadline = trio.current_time() + trio.lowlevel.current_statistics().seconds_to_next_deadline

    async def _wait_in_vain(self) -> DatafyeError:
        """The data has ended, and time goes on with what the strategy sleeps for. Returns why that has no end."""
        over = trio.current_time() + _AFTERWARDS
        while self._deadline <= over:
            self._clock.jump(max(self._deadline - trio.current_time(), 0.0))
            await self._settle()
        if self._deadline == math.inf:
            return DatafyeError("the recording has ended, and the strategy waits for something that never comes")
        return DatafyeError("the recording has ended, and a day later the strategy still sleeps: let it return")
