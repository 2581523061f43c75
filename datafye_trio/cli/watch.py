"""`datafye-trio watch`: a feed as a live table in a terminal; without one, it is `tail`."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import attrs
import trio
from cyclopts import App, Parameter

from datafye_trio.cli.feed_flags import DEFAULT_URL, FeedFlags, Url, config_of, wanted_of
from datafye_trio.cli.following import Follower
from datafye_trio.cli.signals import terminal_of
from datafye_trio.cli.tail import run_lines
from datafye_trio.cli.text import Screen, say
from datafye_trio.cli.views import TableView
from datafye_trio.client import open_feed

__all__ = ["WatchFlags", "app", "run", "watch"]

_EXAMPLES: Final = """\
Examples:
  datafye-trio watch
      a live table of all symbols of ws://localhost:8080/datafye-ws/v1
  datafye-trio watch --symbols AAPL,MSFT --channels quotes
  datafye-trio watch --channels bars --frequency Second --running
  datafye-trio watch --json --seconds 10 > events.jsonl
  datafye-trio watch wss://data.example.com/datafye-ws/v1 --dataset SIP

A server that is not there is waited for, and one that restarts is come back to;
the line below the table says how that goes. Without a terminal, or with --json,
it prints what `datafye-trio tail` prints.
Ends with 0 by Ctrl-C or --seconds, or when nobody reads its output any more;
with 1, and why, when it cannot go on.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class WatchFlags(FeedFlags):
    """The flags of `watch`."""

    json: Annotated[
        bool,
        Parameter(
            help="One JSON line an event instead of a table; so also without a terminal.",
            negative="",
            show_default=False,
        ),
    ] = False


app = App(name="watch", help_epilogue=_EXAMPLES)


@app.default
def watch(url: Url = DEFAULT_URL, /, flags: WatchFlags = WatchFlags()) -> int:
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
