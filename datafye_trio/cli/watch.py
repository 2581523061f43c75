"""`datafye-trio watch`: a feed as a live table in a terminal; without one, it is `tail`."""

from __future__ import annotations

import sys

import trio

from datafye_trio.cli.feed_flags import config_of, wanted_of
from datafye_trio.cli.flags import WatchFlags
from datafye_trio.cli.following import Follower
from datafye_trio.cli.signals import terminal_of
from datafye_trio.cli.tail import run_lines
from datafye_trio.cli.text import Screen, say
from datafye_trio.cli.views import TableView
from datafye_trio.client import open_feed

__all__ = ["run", "watch"]


def watch(url: str, flags: WatchFlags) -> int:
    """Show what a server sends until a signal, or for `--seconds`; returns the exit code.

    Raises:
        ConfigurationError: the URL or a flag cannot be used.
    """
    return trio.run(run, url, flags)


async def run(url: str, flags: WatchFlags) -> int:
    """As `watch`, in a task."""
    wanted = wanted_of(url, flags)
    terminal = terminal_of(sys.stdout)
    if flags.json or terminal is None:
        return await run_lines(url, flags, wanted)
    opening = open_feed(url, config_of(flags.ca, reconnect=flags.reconnect))
    return await Follower(opening, wanted, TableView(url, Screen()), say).run(flags.seconds, terminal)
