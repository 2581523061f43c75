"""`open_local_feed`: a feed of sources in the same process, without a server, a wire or a socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Unpack

import trio

from datafye_trio.client import HistoryOptions, Moment
from datafye_trio.client.base_feed import BaseFeed
from datafye_trio.client.market_time import MarketTime
from datafye_trio.errors import ConfigurationError, FeedClosedError, FeedError, SourceError, leaves_of
from datafye_trio.logs import get_logger
from datafye_trio.model import FeedItem
from datafye_trio.nurseries import BareNursery
from datafye_trio.sources import Mark, Program, Source
from datafye_trio.sources.positions import Relaying
from datafye_trio.strategy.local_dataset import LocalDataset
from datafye_trio.strategy.local_history import LocalHistory
from datafye_trio.strategy.local_hub import LocalHub, LocalPublisher

__all__ = ["LocalFeed", "open_local_feed"]

log = get_logger("feed")


class LocalFeed(BaseFeed[FeedItem]):
    """A feed that runs; made by `open_local_feed` and `run_on_recording`. It is a `datafye_trio.strategy.Feed`."""

    def __init__(self, hub: LocalHub) -> None:
        super().__init__(hub, hub.market)
        self._hub = hub

    def history(
        self,
        symbols: str | Sequence[str],
        *,
        start: Moment,
        end: Moment | None = None,
        **options: Unpack[HistoryOptions],
    ) -> LocalHistory:
        """Stored events of a range of time, in order, and then the end: see `LocalHistory`.

        Args:
            symbols: one or several; `*` is every symbol of the dataset.
            start: the first moment of the range. For bars, it is their start that counts.
            end: the first moment after it; by default now, and never later: what is still to come is not told.
            options: see `HistoryOptions`; `rate` and `window` are of the wire, and have no meaning here.

        Raises:
            ConfigurationError: what nobody could make sense of; a datetime without a time zone.
        """
        return LocalHistory(self._hub, symbols, start, end, options)


class open_local_feed(AbstractAsyncContextManager[LocalFeed]):  # noqa: N801 -- reads as the call that it is
    """Open a feed of sources: `async with open_local_feed(Synthetic()) as feed: ...`.

    The sources run while the body does. Iterating ends once all of them have. One that cannot go on (`SourceError`)
    ends the feed with a `FeedError`, raised by whatever waits for its events, or by the next call; where nothing did,
    by the end of the body. Whatever else one raises cancels the body, and leaves `open_local_feed` bare, as what the
    body raises does.

    Args:
        sources: each a dataset of its own; the first is the default one.
        wall_clock: nanoseconds since 1970 UTC, for sources that make up their times.

    Raises:
        ConfigurationError: no source, two that name one dataset, or one that needs a server: a relay, a `Program`.
    """

    def __init__(self, *sources: Source, wall_clock: Callable[[], int] = time.time_ns) -> None:
        if not sources:
            raise ConfigurationError("open_local_feed: name a source, such as Synthetic()")
        names = [source.dataset.name for source in sources]
        for source, name in zip(sources, names, strict=True):
            if names.count(name) > 1:
                raise ConfigurationError(f"the dataset {name} is named twice: give each source its own")
            if isinstance(source, Relaying):
                raise ConfigurationError(f"{name} passes on another server's data: open_feed reads them there")
            if isinstance(source, Program):
                raise ConfigurationError(f"{name} gets its events by server.publish: here, write a source that runs")
        self._sources = sources
        self._wall_clock = wall_clock
        self._tasks = BareNursery("the feed")
        self._hub: LocalHub | None = None
        self._running = len(sources)

    async def __aenter__(self) -> LocalFeed:
        if self._hub is not None:
            raise FeedClosedError("a feed is opened once: call open_local_feed again for another one")
        datasets = [LocalDataset(source) for source in self._sources]
        self._hub = hub = LocalHub(datasets, MarketTime(self._wall_clock()))
        nursery = await self._tasks.enter()
        for dataset, source in zip(datasets, self._sources, strict=True):
            nursery.start_soon(self._run, hub, dataset, source)
        return LocalFeed(hub)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._hub is not None  # noqa: S101 -- set by __aenter__
        failure = self._hub.failure
        self._hub.end(FeedClosedError("the feed is closed: its `async with` has ended"))
        await self._tasks.leave(error)  # noqa: ASYNC102 -- ends when its tasks do
        await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC102 -- tells outside what was taken out of the group
        if error is None and failure is not None and not self._hub.failure_met:
            raise failure.with_traceback(None)

    async def _run(self, hub: LocalHub, dataset: LocalDataset, source: Source) -> None:
        publisher = LocalPublisher(hub, dataset, self._wall_clock)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_close_quiet, dataset, publisher)
                await source.run(publisher)
                nursery.cancel_scope.cancel()
            await publisher.mark(Mark.END)
        except ExceptionGroup as group:
            errors = list(leaves_of(group))
            if not all(isinstance(error, SourceError) for error in errors):
                raise
            log.warning("source failed", dataset=dataset.info.name, why=str(errors[0]))
            failure = FeedError(f"the source of {dataset.info.name} cannot go on: {errors[0]}")
            failure.__cause__ = errors[0]
            hub.end(failure)
        self._running -= 1
        if not self._running:
            hub.end()


async def _close_quiet(dataset: LocalDataset, publisher: LocalPublisher) -> None:
    """Finish, by the wall clock, the bars of a feed that has fallen silent, as a server does."""
    if dataset.quiet is not None:
        while True:
            await dataset.quiet.wait()
            await publisher.mark(Mark.QUIET)
