"""`run_on_recording`: a strategy on a recording, in the market's own time, as fast as the machine can.

trio's clock is virtual here and stands still while anybody has something to do. So an event's time is what a strategy's
own clock says when it sees the event, whatever it does with it; `trio.sleep`, timeouts and `trio.current_time` all
follow. See `playing` for how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import attrs
import trio

from datafye_trio.aggregates import Aggregation, default_aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass
from datafye_trio.strategy.feed import Feed
from datafye_trio.strategy.local_feed import LocalFeed
from datafye_trio.strategy.progress import Progress
from datafye_trio.strategy.recorded import Recorded, RecordedSource, open_recorded

if TYPE_CHECKING:
    from datafye_trio.strategy.playing import Player

__all__ = ["Progress", "RecordingOptions", "run_on_recording"]

T = TypeVar("T")
Strategy: TypeAlias = Callable[[Feed], Awaitable[T]]


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

    The market opens with the first event, or at `start`, as soon as the strategy waits for something. When the
    recording has ended, iterating ends; the strategy may go on, and market time with it, for up to a day. Where it
    returns, the rest is not played.

    Each run is like the other, as long as tasks that are woken at the same moment do not care which of them is first:
    trio shuffles them. Those that wait for events, or in `sleep_until` and `every`, are woken one after the other: by
    time, then by the order of events, then by who has subscribed, or begun to wait, first. `trio.sleep` makes no such
    promise where two sleep until the same moment, nor do tasks that begin together. To be sure, decide in one task.

    Market time stands still while a task runs, and while a thread of `trio.to_thread` works (files of trio's do so,
    too), unless that has a limiter of its own. It goes on while a socket or a process is waited for. A task that never
    waits, but polls (`trio.lowlevel.checkpoint()` in a loop), makes it stand still for ever. One that asks for more in
    a loop, after iterating has ended, goes on for ever, too, and is warned.

    Args:
        strategy: an async function over a feed; give it more arguments by `functools.partial`.
        recording: a path (a folder or file of Parquet, a tick CSV file), or events.
        options: what of it, and how.

    Raises:
        SourceError: the recording cannot be opened. One that cannot be read to its end ends the feed, by a FeedError.
        EventError: something in a list is no event.
        ConfigurationError: it is no recording, or `dataset` must be named; the strategy is no async function; trio runs
            already.
        DatafyeError: the recording has ended, and the strategy waits for what never comes.
        Exception: whatever the strategy raises, as it was raised.
    """
    if trio.lowlevel.in_trio_run():
        raise ConfigurationError(
            "run_on_recording starts a trio.run of its own, and trio runs already: call it before, or in a thread "
            "(trio.to_thread.run_sync)"
        )
    found = open_recorded(recording, dataset=options.dataset, asset_class=options.asset_class)
    aggregation = default_aggregation(found.name) if options.aggregation == "default" else options.aggregation
    # Here, since trio.testing loads pytest, where that is installed: no command of ours is to wait for it.
    from trio.testing import MockClock

    from datafye_trio.strategy.playing import Player

    clock = MockClock(autojump_threshold=0)
    player = Player(RecordedSource(found, aggregation), clock, options.start, options.end, options.on_progress)
    return trio.run(_run, strategy, player, clock=clock)


async def _run(strategy: Strategy[T], player: Player) -> T:
    """Run the strategy and the recording side by side, until the strategy returns."""
    async with player as hub:
        try:
            result = await _called(strategy, LocalFeed(hub))
        finally:
            player.report()  # of a run that fails, or is interrupted, too: how far it came
    if hub.failure is not None and not hub.failure_met:
        raise hub.failure
    return result


def _called(strategy: Strategy[T], feed: Feed) -> Awaitable[T]:
    if not callable(strategy) or not isinstance(running := strategy(feed), Awaitable):
        raise ConfigurationError(f"a strategy is an async function of a feed: `async def`, not {strategy!r}"[:200])
    return running
