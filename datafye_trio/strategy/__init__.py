"""Strategies: async functions over a feed, and what helps to write them."""

from datafye_trio.strategy.feed import Feed

__all__ = ["Feed"]
