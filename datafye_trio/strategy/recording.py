"""`run_on_recording`: a strategy on a recording, in the market's own time, as fast as the machine can.

trio's clock is virtual here and stands still while anybody has something to do. So an event's time is what a strategy's
own clock says when it sees the event, whatever it does with it; `trio.sleep`, timeouts and `trio.current_time` all
follow. At one moment, what the strategy has slept for comes first, then the events of that moment, in their order.

The common way to play on such a clock is to sleep until each event is due, which costs three rounds of the scheduler
an event. Here the clock is moved by hand where no deadline lies before the next event, and nobody is waited for where
nobody was woken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Final, Literal, NoReturn, TypeAlias, TypeVar

import attrs
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.aggregates import Aggregation, default_aggregation
from datafye_trio.client.market_time import MarketTime
from datafye_trio.errors import ConfigurationError, DatafyeError, EventError, FeedError, SourceError, leaves_of
from datafye_trio.model import AssetClass, Timed
from datafye_trio.sources import Mark
from datafye_trio.strategy.feed import Feed
from datafye_trio.strategy.local_dataset import LocalDataset
from datafye_trio.strategy.local_feed import LocalFeed
from datafye_trio.strategy.local_hub import LocalHub
from datafye_trio.strategy.recorded import Recorded, RecordedSource, open_recorded

__all__ = ["Progress", "RecordingOptions", "run_on_recording"]

T = TypeVar("T")
Strategy: TypeAlias = Callable[[Feed], Awaitable[T]]

_REPORT_SECONDS: Final = 0.5
_LOOK: Final = 256
"""Events after which the real clock is looked at."""
_TIE: Final = 5e-10
"""Half a nanosecond: what the strategy sleeps for until the very moment of an event comes before the event."""
_AFTERWARDS: Final = 86_400.0
"""Seconds of market time that a strategy may go on for after the end of the data."""


@attrs.frozen
class Progress:
    """How far a run is: market time in nanoseconds since 1970 UTC, events so far, and real seconds since the start."""

    time: int
    events: int
    seconds: float


@attrs.frozen(kw_only=True)
class RecordingOptions:
    """How to play a recording.

    Attributes:
        dataset: which one, of a recording that holds several; the name of what tick files and lists hold.
        asset_class: of tick files and lists; by default crypto for the dataset `Crypto`, else stocks.
        start: the first moment to play, in nanoseconds since 1970 UTC; what lies before is stored data.
        end: the first moment after it.
        aggregation: how bars and indicators are made of the trades; None to have the recorded ones.
        on_progress: called about twice a second of real time, and at the end.
    """

    dataset: str | None = None
    asset_class: AssetClass | None = None
    start: int | None = None
    end: int | None = None
    aggregation: Aggregation | Literal["default"] | None = "default"
    on_progress: Callable[[Progress], None] | None = None

    def __attrs_post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ConfigurationError("start must be before end, which is not played any more")


def run_on_recording(strategy: Strategy[T], recording: Recorded, options: RecordingOptions = RecordingOptions()) -> T:
    """Run a strategy on a recording, and return what it returns. Not to be called where trio runs already.

    The market opens with the first event, as soon as the strategy waits for something. When the recording has ended,
    iterating ends; the strategy may go on, and market time with it. Where it returns, the rest is not played.

    Args:
        strategy: an async function over a feed; give it more arguments by `functools.partial`.
        recording: a path (a folder or file of Parquet, a tick CSV file), or events.
        options: what of it, and how.

    Raises:
        SourceError: the recording cannot be opened. One that cannot be read to its end ends the feed, by a FeedError.
        ConfigurationError: it is no recording, or `dataset` must be named.
        DatafyeError: the recording has ended, and the strategy waits for what never comes.
        Exception: whatever the strategy raises, bare.
    """
    found = open_recorded(recording, dataset=options.dataset, asset_class=options.asset_class)
    aggregation = default_aggregation(found.name) if options.aggregation == "default" else options.aggregation
    clock = MockClock(autojump_threshold=0)
    run = _Run(RecordedSource(found, aggregation), options, clock)
    try:
        return trio.run(run.play, strategy, clock=clock)
    except BaseExceptionGroup as group:
        if len(leaves := list(leaves_of(group))) == 1:
            raise leaves[0] from None
        raise


class _Run:
    """One strategy on one recording."""

    def __init__(self, source: RecordedSource, options: RecordingOptions, clock: MockClock) -> None:
        self._source = source
        self._options = options
        self._clock = clock
        self._dataset = LocalDataset(source)
        self._opening = 0
        """Market time at trio's zero."""
        self._events = 0
        self._next_look = _LOOK
        self._began = self._reported = time.monotonic()

    async def play(self, strategy: Strategy[T]) -> T:
        """Run the strategy and the recording side by side, until the strategy returns."""
        options, raised = self._options, None
        selection = attrs.evolve(self._source.selection, start=options.start, end=options.end)
        with closing(self._source.recording.read(selection)) as events:
            first = list(islice(events, 1))
            opening = first[0][0] if first else options.start or 0
            hub = LocalHub([self._dataset], MarketTime(opening))
            hub.market.set(opening)
            self._opening = opening
            self._source.reached(opening - 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._play, hub, chain(first, events))
                try:
                    result = await strategy(LocalFeed(hub))
                except Exception as error:  # noqa: BLE001 -- raised below: a nursery would put it into a group
                    raised = error
                nursery.cancel_scope.cancel()
        self._report(hub.market.now())
        if raised is not None:
            raise raised
        if hub.failure is not None and not hub.failure_met:
            raise hub.failure
        return result

    async def _play(self, hub: LocalHub, events: Iterator[Timed]) -> None:
        await wait_all_tasks_blocked()  # the strategy begins
        try:
            for moment, together in groupby(events, key=itemgetter(0)):
                await self._move_to(hub.market, moment)
                for _, event in together:
                    self._events += 1
                    self._dataset.check(event)
                    await hub.hand_out(self._dataset.expand(event, hub.book))
                if hub.wake_readers():
                    await wait_all_tasks_blocked()
                if self._events >= self._next_look:
                    self._look(moment)
            await hub.hand_out(self._dataset.on(Mark.END, hub.book))
        except (SourceError, EventError) as error:
            failure = FeedError(f"the recording cannot be read any further: {error}")
            failure.__cause__ = error
            hub.end(failure)
        else:
            hub.end()
        await _wait_in_vain()

    async def _move_to(self, market: MarketTime, moment: int) -> None:
        """Let market time come to a moment, and everybody do what was to be done until then, and at it."""
        due = (moment - self._opening) / 1e9  # absolute, so that rounding does not add up
        while (left := due - trio.current_time()) > 0:
            deadline = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if deadline > left + _TIE:
                self._clock.jump(left)
                break
            await trio.sleep(deadline)
            await wait_all_tasks_blocked()
        self._source.reached(moment - 1)
        if market.set(moment):
            await wait_all_tasks_blocked()

    def _look(self, moment: int) -> None:
        self._next_look = self._events + _LOOK
        if time.monotonic() - self._reported >= _REPORT_SECONDS:
            self._report(moment)

    def _report(self, moment: int) -> None:
        self._reported = time.monotonic()
        if self._options.on_progress is not None:
            self._options.on_progress(Progress(moment, self._events, self._reported - self._began))


async def _wait_in_vain() -> NoReturn:
    """The data has ended, and time goes on with what the strategy sleeps for.

    Raises:
        DatafyeError: it waits for nothing that could come, or goes on for longer than it can have reason to.
    """
    over = trio.current_time() + _AFTERWARDS
    while True:
        await wait_all_tasks_blocked()
        left = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if left == math.inf:
            raise DatafyeError("the recording has ended, and the strategy waits for something that never comes")
        if trio.current_time() + left > over:
            raise DatafyeError("the recording has ended, and a day later the strategy still sleeps: let it return")
        await trio.sleep(left)
