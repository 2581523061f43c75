"""What is known of each symbol now: its newest event, whether it is halted, and whether something is missing since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import trio

from datafye_trio.client import Subscription
from datafye_trio.errors import FeedClosedError
from datafye_trio.model import Event, FeedItem, Gap, Halt, Live, Resume
from datafye_trio.nurseries import BareNursery
from datafye_trio.strategy.halts import Halts

__all__ = ["Latest", "LatestView", "open_latest"]


class Latest(Mapping[str, Event]):
    """The newest event of each symbol, as a mapping: `latest["AAPL"]`, `latest.get("AAPL")`. All sync.

    Feed it by hand, with `add`, where the moment matters: in a loop over one subscription or a merge, it then holds
    exactly what the loop has seen, on every run. `open_latest` feeds one by itself. Newest is what came last. Meant
    for one channel: of several, it holds the newest event of whichever it is.
    """

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._halts = Halts()
        self._gaps: dict[str, Gap] = {}

    def add(self, item: FeedItem) -> None:
        """Take in an item of a subscription: an event, a halt or a resumption, or a gap."""
        if isinstance(item, Gap):
            self._gaps[item.topic.symbol] = item
        elif isinstance(item, Halt | Resume):
            self._halts.add(item)
        elif not isinstance(item, Live):
            self._events[item.symbol] = item
            self._gaps.pop(item.symbol, None)

    def __getitem__(self, symbol: str) -> Event:
        return self._events[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def halt(self, symbol: str) -> Halt | None:
        """The halt of a symbol that is halted now, else None."""
        return self._halts.get(symbol)

    def gap(self, symbol: str) -> Gap | None:
        """What is missing since the symbol's newest event, which may be out of date then; None where nothing is."""
        return self._gaps.get(symbol)


class LatestView(Latest):
    """A `Latest` that keeps itself up to date; made by `open_latest`."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = False
        self._came = self._told = 0
        """Items that have come, and how many there were when `changed` last returned."""
        self._readers = trio.lowlevel.ParkingLot()

    async def wait(self, symbol: str) -> Event:
        """The newest event of a symbol, once there is one. Always a checkpoint. Cancel-safe.

        Raises:
            FeedClosedError: the data has ended, and there was none.
        """
        await trio.lowlevel.checkpoint()
        while symbol not in self._events:
            if self._ended:
                raise FeedClosedError(f"there is no event of {symbol}, and will be none: the data has ended")
            await self._readers.park()
        return self._events[symbol]

    async def changed(self) -> bool:
        """Wait until something has come since this last returned: `while await latest.changed(): ...`.

        False once the data has ended, and the last change was told. What comes while the program is busy elsewhere is
        told at the next call, as one change. For one task: another one opens a view of its own. Always a checkpoint.
        Cancel-safe.
        """
        await trio.lowlevel.checkpoint()
        while self._told == self._came:
            if self._ended:
                return False
            await self._readers.park()
        self._told = self._came
        return True

    async def _follow(self, subscription: Subscription[FeedItem]) -> None:
        while items := await subscription.receive_many():
            for item in items:
                self.add(item)
            self._came += len(items)
            self._readers.unpark_all()
        self._ended = True
        self._readers.unpark_all()


class open_latest(AbstractAsyncContextManager[LatestView]):  # noqa: N801 -- reads as the call that it is
    """Keep a view of a subscription: `async with open_latest(feed.quotes(["AAPL", "MSFT"])) as latest: latest["AAPL"]`.

    It enters the subscription, and a task of its own reads it while the body runs. What ends the subscription cancels
    the body, and is raised by the end of it; the end of the data does neither. What the body raises leaves it bare.

    Two tasks have no order within a moment: a body that gets a trade elsewhere may or may not find the quote of the
    same nanosecond here. Where decisions must be the same on each run, feed a `Latest` from a merge instead.

    Args:
        subscription: one of a feed, not entered yet.

    Raises:
        SubscriptionError: on entering, as the subscription does.
        FeedError: likewise; and from the end of the body, what has ended the subscription.
    """

    def __init__(self, subscription: Subscription[FeedItem]) -> None:
        self._subscription = subscription
        self._tasks = BareNursery("the view")

    async def __aenter__(self) -> LatestView:
        if self._tasks.nursery is not None:
            raise FeedClosedError("a view is entered once: call open_latest again for another one")
        await self._subscription.__aenter__()
        view = LatestView()
        (await self._tasks.enter()).start_soon(view._follow, self._subscription)
        return view

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its task does
        finally:
            await self._subscription.__aexit__(kind, error, traceback)  # noqa: ASYNC102 -- waits for nothing
