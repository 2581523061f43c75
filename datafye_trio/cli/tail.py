"""`datafye-trio tail`: a feed as JSON lines on stdout, while anybody reads them, across restarts of servers."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import attrs
import trio
from cyclopts import App, Parameter

from datafye_trio.cli.feed_flags import DEFAULT_URL, FeedFlags, Url, Wanted, config_of, wanted_of
from datafye_trio.cli.following import Follower
from datafye_trio.cli.output import DescriptorOutput
from datafye_trio.cli.text import one_line, say
from datafye_trio.cli.views import LinesView
from datafye_trio.client import open_raw_feed
from datafye_trio.client.buffers import DEFAULT_CAPACITY, Policy

__all__ = ["TailFlags", "app", "run", "run_lines", "tail"]

_EXAMPLES: Final = """\
Examples:
  datafye-trio tail
      quotes and trades of all symbols of ws://localhost:8080/datafye-ws/v1
  datafye-trio tail --channels trades --symbols AAPL,MSFT | jq -c .tradePrice
  datafye-trio tail --channels bars --frequency Second --seconds 60 > bars.jsonl
  datafye-trio tail wss://data.example.com --dataset SIP --ca authorities.pem
  datafye-trio tail --policy latest | slow-program

One JSON line for each event, as the server wrote it; one of type "gap" where
events are lost, and "error" for what the server refuses. On stderr: how the
connection fares, and gaps in words. A server that is not there is waited for,
and one that restarts is come back to; what it still holds is fetched, and the
rest is a gap. A slow reader never gets the connection cut: --policy says what
happens when the buffer is full ("wait": it is fetched later).

Ends with 0 by Ctrl-C, SIGTERM or --seconds, or when nobody reads its output
any more; with 1, and why, when it cannot go on: all is refused, the server
says to stop, or what is wrong will not pass; with 2 for a wrong command line.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class TailFlags(FeedFlags):
    """The flags of `tail`."""

    policy: Annotated[
        Policy,
        Parameter(
            help="When the buffer is full: wait (fetch the rest later), drop_oldest, latest (the newest event of each "
            "topic), or error (end)."
        ),
    ] = "wait"
    buffer: Annotated[int, Parameter(help="Events that may wait for a slow reader.")] = DEFAULT_CAPACITY
    quiet: Annotated[
        bool,
        Parameter(help="Say nothing on stderr but why it ends.", negative="", show_default=False),
    ] = False


app = App(name="tail", help_epilogue=_EXAMPLES)


@app.default
def tail(url: Url = DEFAULT_URL, /, flags: TailFlags = TailFlags()) -> int:
    """Print what a server sends until a signal, or for `--seconds`; returns the exit code.

    Raises:
        ConfigurationError: the URL or a flag cannot be used.
    """
    return trio.run(run, url, flags)


async def run(url: str, flags: TailFlags) -> int:
    """As `tail`, in a task."""
    wanted = wanted_of(url, flags, {"policy": flags.policy, "buffer": flags.buffer})
    return await run_lines(url, flags, wanted, quiet=flags.quiet)


async def run_lines(url: str, flags: FeedFlags, wanted: Wanted, *, quiet: bool = False) -> int:
    """Follow a feed into lines on stdout; returns the exit code.

    Raises:
        ConfigurationError: the URL or the authorities cannot be used.
    """

    def tell(text: str) -> None:
        if not quiet:
            say(text)

    opening = open_raw_feed(url, config_of(flags.ca, reconnect=flags.reconnect))
    view = LinesView(DescriptorOutput(sys.stdout.fileno()), lambda text: tell(one_line(f"{url}: {text}", 600)))
    return await Follower(opening, wanted, view, tell).run(flags.seconds, None)
