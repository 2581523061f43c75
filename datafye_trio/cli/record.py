"""`datafye-trio record`: subscribe to a server, and write what comes as a recording, until a signal."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import attrs
import trio
from cyclopts import App, Parameter

from datafye_trio.cli.feed_flags import (
    Authorities,
    Channels,
    Dataset,
    Seconds,
    Symbols,
    Url,
    check_seconds,
    config_of,
    list_flag,
    live_endpoint,
    split,
)
from datafye_trio.cli.progress import show_progress, summary
from datafye_trio.cli.recorder import Recorder, RecorderConfig
from datafye_trio.cli.signals import obey, terminal_of
from datafye_trio.cli.tally import Tally
from datafye_trio.cli.telling import warnings_to
from datafye_trio.cli.text import one_line, say
from datafye_trio.client import SubscribeOptions, open_feed
from datafye_trio.client.options import Wish, make_wish
from datafye_trio.errors import ConfigurationError, RecordingError, leaves_of
from datafye_trio.model import Channel, Frequency
from datafye_trio.protocol import parse_channel, parse_frequency
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.writer import RecordingWriter

__all__ = ["RecordFlags", "app", "check_folder", "record", "run", "wishes_of"]

_FAILED: Final = 1

_EXAMPLES: Final = """\
Examples:
  datafye-trio record ws://localhost:8080/datafye-ws/v1 recording/
      quotes and trades of all symbols
  datafye-trio record ws://localhost:8080/datafye-ws/v1 recording/ \\
      --channels trades,aggregates --frequency Second,Minute --symbols AAPL,MSFT
  datafye-trio record wss://data.example.com/datafye-ws/v1 sip/ --dataset SIP

DIR becomes Parquet files that polars, pandas and DuckDB read as they lie; one
that is there is continued. They are written twice a second: a kill at any
moment loses less than the last second, and what is on disk always opens.
Ends with 0 by Ctrl-C, SIGTERM or --seconds; with 1, and why, when it cannot go
on or had to drop rows (a full disk). A lost connection is made again, unless
the server says not to, and what was missed is fetched; what the server does not
hold any more is a gap: it is shown, and stays visible as a hole in seq.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RecordFlags:
    """The flags of `record`."""

    channels: Channels = ()
    frequency: Annotated[
        tuple[str, ...],
        list_flag("Frequencies of bars and indicators, comma-separated: Second, Minute (default), Hour, Day."),
    ] = ()
    symbols: Symbols = ("*",)
    dataset: Dataset = None
    seconds: Seconds = None
    reconnect: Annotated[bool, Parameter(help="Come back when the connection is lost.")] = True
    ca: Authorities = None


app = App(name="record", help_epilogue=_EXAMPLES)


@app.default
def record(
    url: Url,
    folder: Annotated[Path, Parameter(name="DIR", help="Folder to record to; made if it is not there.")],
    /,
    flags: RecordFlags = RecordFlags(),
) -> int:
    """Record what a server sends until a signal, or for `--seconds`; returns the exit code.

    Raises:
        ConfigurationError: the URL, the folder or a flag cannot be used, or pyarrow is missing.
    """
    check_seconds(flags.seconds)
    feed_config = config_of(flags.ca, reconnect=flags.reconnect)
    config = RecorderConfig(
        opening=open_feed(url, feed_config),  # refuses a wrong URL before all else
        wishes=wishes_of(url, flags),
        open_sink=partial(RecordingWriter, folder),
        wall_clock=time.time_ns,
    )
    load_arrow()
    check_folder(folder)
    return trio.run(run, config, flags.seconds)


async def run(config: RecorderConfig, seconds: float | None = None) -> int:
    """Record until SIGINT, SIGTERM or `seconds` are over (0), or until it fails or has lost something (1).

    A second signal ends the process at once, with 130: what is on disk by then is whole.
    """
    began = trio.current_time()
    tally = Tally(say)
    recorder = Recorder(config, tally)
    recorder.reading.deadline = began + (seconds or math.inf)
    terminal = terminal_of(sys.stderr)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, warnings_to(tally.tell):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(obey, signals, recorder.stop, terminal)
                nursery.start_soon(show_progress, recorder, tally)
                await recorder.run()
                nursery.cancel_scope.cancel()
        except* (ConfigurationError, RecordingError) as group:
            recorder.failure = str(next(leaves_of(group)))
    if recorder.failure is not None:
        say(f"datafye-trio: {one_line(recorder.failure, 500)}")
    if recorder.sink is not None or recorder.failure is None:
        say(summary(recorder, tally, trio.current_time() - began))
    lost = recorder.sink is not None and recorder.sink.lost > 0
    return _FAILED if lost or recorder.failure is not None else 0


def wishes_of(url: str, flags: RecordFlags) -> tuple[Wish, ...]:
    """What to subscribe to: ticks in one wish, bars and indicators in one for each frequency.

    Raises:
        ConfigurationError: there is no such channel or frequency, or nothing is named.
    """
    try:
        channels = [parse_channel(name) for name in split(flags.channels)]
        frequencies = [parse_frequency(name) for name in split(flags.frequency)]
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    endpoint = live_endpoint(url)
    if not channels:
        channels = [Channel.QUOTES, Channel.TRADES] if endpoint.channel is None else [endpoint.channel]
    symbols = split(flags.symbols)
    if not symbols:
        raise ConfigurationError("--symbols is empty: name at least one, or * for all")
    slow = tuple(channel for channel in channels if channel.has_frequency)
    ticks = tuple(channel for channel in channels if not channel.has_frequency)
    if frequencies and not slow:
        raise ConfigurationError("--frequency is for aggregates, sma and ema: quotes and trades have none")
    options: SubscribeOptions = {} if flags.dataset is None else {"dataset": flags.dataset}
    wanted = [(ticks, Frequency.MINUTE), *((slow, one) for one in dict.fromkeys(frequencies or [Frequency.MINUTE]))]
    return tuple(make_wish(names, symbols, frequency, options) for names, frequency in wanted if names)


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but recordings, before anything is written to it.

    Raises:
        ConfigurationError: it is a file, or holds other things, or cannot be read or written.
    """
    try:
        foreign = sorted(path.name for path in folder.iterdir() if not path.name.startswith("dataset="))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise ConfigurationError(f"{folder} is a file: name a folder to record to") from None
    except OSError as error:
        raise ConfigurationError(f"cannot use the folder {folder}: {error.strerror}") from None
    if foreign:
        raise ConfigurationError(f"{folder} holds other things ({foreign[0]}): name an empty folder, or a recording")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"cannot write to the folder {folder}: permission denied")
