"""A strategy on a recording, in the market's own time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from datafye_trio.cli.run_progress import RunView, Standing
from datafye_trio.cli.run_watching import Watched
from datafye_trio.cli.telling import warnings_to
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.strategy import Feed, Progress, RecordingOptions, run_on_recording
from datafye_trio.strategy.recorded import open_recorded

__all__ = ["Recorded"]


class Recorded:
    """One run on a recording. `standing` is how far it is.

    Raises:
        ConfigurationError: there is no recording, or it is not said which of several datasets is meant.
    """

    interrupted = 130
    """The exit code after a Ctrl-C: that of `import`, since it was not done."""
    stopped = False

    def __init__(self, path: Path, options: RecordingOptions, view: RunView) -> None:
        self._view = view
        self._watched: Watched | None = None
        self._began = self._now = self._events = 0
        self._started = time.monotonic()
        self._options = attrs.evolve(options, on_progress=self._report)
        try:
            self._recording = open_recorded(path, dataset=options.dataset, asset_class=options.asset_class)
        except SourceError as error:
            raise ConfigurationError(str(error)) from None
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace("(dataset)", "(--dataset)")) from None

    @property
    def standing(self) -> Standing:
        """As it was last told: twice a second, and at the end."""
        lost = (0, 0, 0) if self._watched is None else self._watched.losses()
        return Standing(self._began, self._now, self._events, time.monotonic() - self._started, *lost)

    def run(self, strategy: Callable[[Feed], Awaitable[object]]) -> object:
        """What the strategy returns.

        Raises:
            FeedError: the recording cannot be read to its end, and the strategy has not met that.
            DatafyeError: the strategy waits for what never comes.
            BaseException: whatever the strategy raises.
        """

        async def watching(feed: Feed) -> object:
            self._watched = Watched(feed)
            self._began = self._now = feed.now()
            return await strategy(self._watched.as_feed())

        with warnings_to(self._view.tell):
            return run_on_recording(watching, self._recording, self._options)

    def _report(self, progress: Progress) -> None:
        self._now, self._events = progress.time, progress.events
        self._view.show(self.standing)
