"""Strategies: async functions over a feed, and what helps to write them."""

from datafye_trio.strategy.feed import Feed
from datafye_trio.strategy.halts import Halts
from datafye_trio.strategy.local_feed import LocalFeed, open_local_feed
from datafye_trio.strategy.merging import Merged, merge
from datafye_trio.strategy.paper import Fill, Holding, PaperBook
from datafye_trio.strategy.recording import Progress, RecordingOptions, run_on_recording
from datafye_trio.strategy.rolling import Rolling
from datafye_trio.strategy.timing import every
from datafye_trio.strategy.views import Latest, LatestView, open_latest
from datafye_trio.strategy.windows import Window, count_windows, time_windows

__all__ = [
    "Feed", "LocalFeed", "open_local_feed", "Progress", "RecordingOptions", "run_on_recording",
    "Rolling", "Window", "count_windows", "time_windows", "Latest", "LatestView", "open_latest", "Halts",
    "Merged", "merge", "every", "PaperBook", "Fill", "Holding",
]  # fmt: skip
