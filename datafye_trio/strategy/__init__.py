"""Strategies: async functions over a feed, and what helps to write them."""

from datafye_trio.strategy.feed import Feed
from datafye_trio.strategy.local_feed import LocalFeed, open_local_feed
from datafye_trio.strategy.recording import Progress, RecordingOptions, run_on_recording

__all__ = ["Feed", "LocalFeed", "open_local_feed", "Progress", "RecordingOptions", "run_on_recording"]
