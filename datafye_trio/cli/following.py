"""What `tail` and `watch` do alike: a feed into a view, until a signal, the end of its reader, or a failure.

Three things go on beside each other. The feed reads the wire and never waits for the view; a task takes what waits and
hands it to the view; the view shows it in a task of its own. So a view that is stuck delays nothing but itself, and
what happens when too much waits is the subscription's policy.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

import trio

from datafye_trio.cli.feed_flags import Wanted
from datafye_trio.cli.signals import obey
from datafye_trio.cli.telling import GapTeller, StateTeller, warnings_to
from datafye_trio.cli.text import one_line, say
from datafye_trio.cli.views import View
from datafye_trio.client import FeedState, Subscription, WireFeed
from datafye_trio.errors import ConfigurationError, FeedError
from datafye_trio.model import Gap

__all__ = ["Follower"]

T = TypeVar("T")

_FAILED: Final = 1
_TEXT: Final = 500
_TELL_SECONDS: Final = 0.5


class Follower(Generic[T]):
    """See the module. `tell` takes lines for people; what ends the run is said on stderr in any case."""

    def __init__(
        self,
        opening: AbstractAsyncContextManager[WireFeed[T]],
        wanted: Wanted,
        view: View[T],
        tell: Callable[[str], object],
    ) -> None:
        self._opening = opening
        self._wanted = wanted
        self._view = view
        self._tell = tell
        self._gaps = GapTeller(tell)
        self._subscription: Subscription[T] | None = None
        self._refusals = 0
        self._refused: set[str] = set()
        self._failure: str | None = None
        self._following = trio.CancelScope()

    async def run(self, seconds: float | None, terminal: int | None) -> int:
        """Follow until SIGINT, SIGTERM, `seconds` or the end of whoever reads (0), or until it cannot go on (1)."""
        self._following.deadline = trio.current_time() + (seconds or math.inf)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, warnings_to(self._tell):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(obey, signals, self._following.cancel, terminal)
                nursery.start_soon(self._show)
                nursery.start_soon(self._notice_end)
                nursery.start_soon(self._tell_gaps)
                with self._following:
                    await self._follow(nursery)
                await self._view.finish()
                nursery.cancel_scope.cancel()
        self._gaps.tell()
        if self._failure is None:
            return 0
        say(f"datafye-trio: {one_line(self._failure, _TEXT)}")
        return _FAILED

    async def _follow(self, nursery: trio.Nursery) -> None:
        try:
            async with self._opening as feed:
                nursery.start_soon(self._tell_states, feed)  # ends by itself when the feed does
                await self._hand_over(feed)
        except (FeedError, ConfigurationError) as error:
            self._failure = str(error)

    async def _hand_over(self, feed: WireFeed[T]) -> None:
        wanted = self._wanted
        async with feed.subscribe(
            wanted.channels, wanted.symbols, frequency=wanted.frequency, running=wanted.running, **wanted.options
        ) as self._subscription:
            while True:
                self._tell_refusals(self._subscription)
                items = await self._subscription.receive_many()
                self._gaps.take([item for item in items if isinstance(item, Gap)])
                await self._view.take(items)

    def _tell_refusals(self, subscription: Subscription[T]) -> None:
        """Say what the server has refused since the last time; refused everything after an outage, it ends here."""
        new = subscription.rejected[self._refusals :]
        self._refusals += len(new)
        for refusal in new:
            if (text := str(refusal)) not in self._refused:  # each channel is asked for by itself
                self._refused.add(text)
                self._tell(one_line(text, _TEXT))
                self._view.refused(refusal)
        if new and not subscription.symbols:
            self._failure = str(new[-1])
            self._following.cancel()

    async def _tell_states(self, feed: WireFeed[T]) -> None:
        states = StateTeller()
        async for change in feed.states():
            if (words := states.words(change)) is not None:
                self._view.status(words, news=states.is_news(change))
            if change.state is FeedState.LIVE and self._subscription is not None:
                self._tell_refusals(self._subscription)

    async def _tell_gaps(self) -> None:
        while True:
            await trio.sleep(_TELL_SECONDS)
            self._gaps.tell()

    async def _show(self) -> None:
        try:
            await self._view.run()
        except OSError as error:
            self._failure = f"cannot write to stdout: {error.strerror}"
        self._following.cancel()

    async def _notice_end(self) -> None:
        await self._view.gone()
        self._following.cancel()
