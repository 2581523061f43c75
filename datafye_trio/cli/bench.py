"""`datafye-trio bench`: put clients on a running server, and tell what they got: rates, latencies, losses.

One process, one thread; what is above its own ceiling it cannot see, and its report says when it was busy all the time.
The ceiling, measured on ready-made chunks of 400 quotes of 225 bytes from a plain socket, in messages for each second
that this process worked: 1,050,000 with 100 clients, which find most messages decoded by a neighbour, and 640,000 with
one. Of the 0.95 µs, peeling frames takes 0.23, checking 0.30, sockets and Trio the rest.

Latencies are sampled: 8 to 15 messages of each read of a client, each counted for those up to the next; where a client
reads fewer at once, every message counts.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
import time
from typing import Annotated, Final

import attrs
import trio
from cyclopts import App, Parameter

from datafye_trio.cli.bench_client import Wanted
from datafye_trio.cli.bench_load import Load, LoadConfig
from datafye_trio.cli.bench_progress import show_progress
from datafye_trio.cli.bench_report import Report
from datafye_trio.cli.feed_flags import (
    DEFAULT_URL,
    Authorities,
    Channels,
    Dataset,
    OneFrequency,
    Running,
    Symbols,
    Url,
    config_of,
    live_endpoint,
    split,
)
from datafye_trio.cli.signals import HURRIED, obey, terminal_of
from datafye_trio.cli.text import Screen, one_line, say
from datafye_trio.client.options import make_wish
from datafye_trio.client.urls import normal_url
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Channel, Frequency

__all__ = ["BenchFlags", "app", "bench", "run"]

_FAILED: Final = 1
_LOST: Final = 3
_OTHER_FILES: Final = 64
"""Open files of this process beside one for each client."""
_MOST_CLIENTS: Final = 100_000
_WIDE: Final = 120

_EXAMPLES: Final = """\
Examples:
  datafye-trio bench
      ten clients, quotes and trades of all symbols, for ten seconds
  datafye-trio bench ws://localhost:8080 --clients 500 --seconds 60
  datafye-trio bench --channels trades --symbols AAPL,MSFT --clients 100
  datafye-trio bench wss://data.example.com --dataset SIP --ca authorities.pem
  datafye-trio bench --json | jq .latency_ms.p99

All clients connect, then all subscribe, then comes the warm-up, then what is
measured. Every seq is checked from subscribing on. A client that is cut, or
loses something, does not come back: it is told. The table goes to stdout, how
far it is to stderr.

Latency is this machine's clock minus the stamp of quotes and trades, so it
needs clocks that agree (on one machine they do). Where the stamps are of
another day, as in a replay, it is told above the least seen.
One process reads about a million messages a second, of all its clients
together. The report says when that was the limit: then run several.

Ends with 0 if every client got all of it; with 3 if something was lost, or a
client was cut or could not connect; with 1, and why, if nothing could be
measured; with 2 for a wrong command line; with 130 by Ctrl-C or SIGTERM, after
the table of what was measured until then.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class BenchFlags:
    """The flags of `bench`."""

    clients: Annotated[int, Parameter(help="How many clients.")] = 10
    channels: Channels = ()
    symbols: Symbols = ("*",)
    dataset: Dataset = None
    frequency: OneFrequency = None
    running: Running = False
    seconds: Annotated[float, Parameter(help="How long to measure.")] = 10.0
    warmup: Annotated[float, Parameter(help="Seconds of data before that, which are only checked for losses.")] = 1.0
    connect_rate: Annotated[
        float, Parameter(help="New connections a second; a server may refuse more than 200 of one address.")
    ] = 100.0
    ca: Authorities = None
    json: Annotated[bool, Parameter(help="One JSON object instead of the table.", negative="", show_default=False)] = (
        False
    )


app = App(name="bench", help_epilogue=_EXAMPLES)


@app.default
def bench(url: Url = DEFAULT_URL, /, flags: BenchFlags = BenchFlags()) -> int:
    """Load a server and print what was found; returns the exit code.

    Raises:
        ConfigurationError: the URL or a flag cannot be used, or the system gives too few open files.
    """
    config = config_from(url, flags)
    _allow_files(flags.clients + _OTHER_FILES)
    return trio.run(run, url, config, flags.json)


def config_from(url: str, flags: BenchFlags) -> LoadConfig:
    """What to put on the server.

    Raises:
        ConfigurationError: the URL or a flag cannot be used.
    """
    if not 1 <= flags.clients <= _MOST_CLIENTS:
        raise ConfigurationError(f"--clients must be a whole number from 1 to {_MOST_CLIENTS:,}")
    for name, number, least in (("seconds", flags.seconds, 0.1), ("connect-rate", flags.connect_rate, 0.1)):
        if not least <= number < math.inf:
            raise ConfigurationError(f"--{name} must be a number of at least {least:g}")
    if not 0 <= flags.warmup < math.inf:
        raise ConfigurationError("--warmup must be a number of at least 0")
    endpoint = live_endpoint(url)
    channels = split(flags.channels) or (
        (str(endpoint.channel),) if endpoint.channel is not None else (Channel.QUOTES, Channel.TRADES)
    )
    wish = make_wish(
        channels,
        split(flags.symbols),
        flags.frequency or Frequency.MINUTE,
        {} if flags.dataset is None else {"dataset": flags.dataset},
        running=flags.running,
    )
    options = config_of(flags.ca, reconnect=False).client_options()
    return LoadConfig(
        wanted=Wanted(normal_url(url), options, wish),
        clients=flags.clients,
        connect_rate=flags.connect_rate,
        warmup=flags.warmup,
        seconds=flags.seconds,
        wall_clock=time.time_ns,
        cpu_clock=time.process_time,
    )


async def run(url: str, config: LoadConfig, as_json: bool = False) -> int:
    """As `bench`, in a task, with what it measures and measures with. A second signal ends the process at once."""
    load = Load(config)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True
        load.stop()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey, signals, stop, terminal_of(sys.stderr))
            nursery.start_soon(show_progress, load)
            await load.run()
            nursery.cancel_scope.cancel()
    report = Report(url, load, interrupted=interrupted)
    if as_json:
        say(json.dumps(report.as_json(), indent=2), sys.stdout)
    elif report.failure is None:
        _print(report)
    if report.failure is not None:
        say(f"datafye-trio: {one_line(report.failure, 500)}")
        return _FAILED
    return HURRIED if interrupted else 0 if report.whole else _LOST


def _print(report: Report) -> None:
    screen = Screen(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
    for table in report.tables():
        screen.print(table)
    for line in report.lines():
        say(line, sys.stdout)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigurationError(
            f"{wanted - _OTHER_FILES:,} clients need {wanted:,} open files, and the system allows {hard:,}: "
            "raise it (ulimit -n), or name fewer --clients"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
