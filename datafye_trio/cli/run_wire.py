"""A strategy on a server, until it returns, or somebody ends it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import trio

from datafye_trio.cli.run_progress import RunView, Standing
from datafye_trio.cli.run_watching import Watched
from datafye_trio.cli.telling import StateTeller, warnings_to
from datafye_trio.cli.text import one_line
from datafye_trio.client import FeedConfig, WireFeed, open_feed
from datafye_trio.model import FeedItem
from datafye_trio.strategy import Feed

__all__ = ["Wire"]

_FIRST_LOOK: Final = 0.02
_LOOK: Final = 0.5
_TEXT: Final = 600


class Wire:
    """One run on a server. `standing` is how far it is; `stopped`, whether a SIGTERM has ended it.

    Raises:
        ConfigurationError: the URL or a setting cannot be used.
    """

    interrupted = 0
    """The exit code after a Ctrl-C: that of `tail`, since a server has no end."""

    def __init__(self, url: str | None, config: FeedConfig, view: RunView) -> None:
        self._opening = open_feed(url, config)
        self._view = view
        self._began: int | None = None
        self._started = 0.0
        self.standing = Standing()
        self.stopped = False

    def run(self, strategy: Callable[[Feed], Awaitable[object]]) -> object:
        """What the strategy returns, None where it was stopped.

        A Ctrl-C is trio's own KeyboardInterrupt, and no signal that a task waits for: so it ends a strategy that never
        waits for anything, too.

        Raises:
            FeedError: the feed has ended, and the strategy has not met that.
            BaseException: whatever the strategy raises.
        """
        return trio.run(self.follow, strategy)

    async def follow(self, strategy: Callable[[Feed], Awaitable[object]]) -> object:
        """As `run`, in a task."""
        self._started = trio.current_time()
        result, raised = None, None
        with trio.open_signal_receiver(signal.SIGTERM) as signals, warnings_to(self._view.tell):
            async with self._opening as feed, trio.open_nursery() as nursery:
                watched, running = Watched(feed), trio.CancelScope()
                nursery.start_soon(self._obey, signals, running)
                nursery.start_soon(self._tell_states, feed)
                nursery.start_soon(self._show, watched)
                try:
                    with running:
                        result = await strategy(watched.as_feed())
                except Exception as error:  # noqa: BLE001 -- raised below: a nursery would put it into a group
                    raised = error
                finally:
                    self._look(watched)
                nursery.cancel_scope.cancel()
                self.stopped = running.cancelled_caught
            if raised is not None:
                raise raised
        return result

    async def _obey(self, signals: AsyncIterator[int], running: trio.CancelScope) -> None:
        async for _ in signals:
            running.cancel()

    async def _tell_states(self, feed: WireFeed[FeedItem]) -> None:
        states = StateTeller()
        async for change in feed.states():
            if (words := states.words(change)) is not None and states.is_news(change):
                self._view.tell(one_line(words, _TEXT))

    async def _show(self, watched: Watched) -> None:
        while True:
            if begun := self._look(watched).events > 0:
                self._view.show(self.standing)
            # The first event may set the market's clock to another day: the sooner it is seen, the better.
            await trio.sleep(_LOOK if begun else _FIRST_LOOK)

    def _look(self, watched: Watched) -> Standing:
        events, now = watched.taken(), watched.now()
        if self._began is None and events:
            self._began = now
        began, seconds = now if self._began is None else self._began, trio.current_time() - self._started
        self.standing = Standing(began, now, events, seconds, *watched.losses())
        return self.standing
