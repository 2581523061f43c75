"""The flags that `tail`, `watch`, `record` and `bench` share, and what they ask of a feed.

Without postponed annotations: cyclopts would look the names of inherited ones up in the modules of the subclasses.
"""

import math
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from datafye_trio.client import FeedConfig, Reconnect, SubscribeOptions
from datafye_trio.client.options import make_wish
from datafye_trio.client.urls import endpoint_of
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Channel, Frequency
from datafye_trio.protocol import Endpoint

__all__ = [
    "DEFAULT_URL",
    "Authorities",
    "Channels",
    "Dataset",
    "FeedFlags",
    "OneFrequency",
    "Running",
    "Seconds",
    "Symbols",
    "Url",
    "Wanted",
    "check_seconds",
    "config_of",
    "list_flag",
    "live_endpoint",
    "split",
    "wanted_of",
]

DEFAULT_URL: Final = "ws://localhost:8080/datafye-ws/v1"


def list_flag(text: str) -> Parameter:
    """A flag of several values: shown without its default, and without a negative."""
    return Parameter(help=text, negative="", show_default=False)


Url = Annotated[str, Parameter(help="Base URL, or a path below it.")]
Channels = Annotated[
    tuple[str, ...],
    list_flag(
        "Channels, comma-separated: quotes, trades, aggregates, sma, ema. By default what the path is for, "
        "else quotes and trades."
    ),
]
Symbols = Annotated[tuple[str, ...], list_flag("Symbols, comma-separated; * (default) is every symbol of the dataset.")]
Dataset = Annotated[str | None, Parameter(help="Dataset; by default the server's first.")]
OneFrequency = Annotated[str | None, Parameter(help="Of bars and indicators: Second, Minute (default), Hour or Day.")]
Running = Annotated[bool, Parameter(help="Bars that are still forming, too.", negative="", show_default=False)]
Seconds = Annotated[float | None, Parameter(help="End after this time.")]
Authorities = Annotated[Path | None, Parameter(help="PEM file with the authorities to trust, for wss://.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FeedFlags:
    """What to follow, and for how long."""

    channels: Channels = ()
    symbols: Symbols = ("*",)
    dataset: Dataset = None
    frequency: OneFrequency = None
    running: Running = False
    seconds: Seconds = None
    reconnect: Annotated[
        bool, Parameter(help="Wait for a server that is not there, and come back when the connection is lost.")
    ] = True
    ca: Authorities = None


@attrs.frozen
class Wanted:
    """The arguments of `WireFeed.subscribe`, checked."""

    channels: tuple[str, ...]
    symbols: tuple[str, ...]
    frequency: str
    running: bool
    options: SubscribeOptions


def wanted_of(url: str, flags: FeedFlags, options: SubscribeOptions | None = None) -> Wanted:
    """What to subscribe to.

    Raises:
        ConfigurationError: the URL or a flag cannot be used.
    """
    check_seconds(flags.seconds)
    endpoint = live_endpoint(url)
    channels = split(flags.channels) or ((Channel.QUOTES, Channel.TRADES) if endpoint.channel is None else ())
    channels = channels or (str(endpoint.channel),)
    # What is refused of several symbols is said, and the others flow: who looks at a market wants the rest of it.
    taken: SubscribeOptions = {"partial": True, **(options or {})}
    if flags.dataset is not None:
        taken["dataset"] = flags.dataset
    wanted = Wanted(channels, split(flags.symbols), flags.frequency or Frequency.MINUTE, flags.running, taken)
    make_wish(wanted.channels, wanted.symbols, wanted.frequency, taken, running=wanted.running)
    return wanted


def check_seconds(seconds: float | None) -> None:
    """Refuse a time that cannot be waited for.

    Raises:
        ConfigurationError: it is no finite number above 0.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise ConfigurationError("--seconds must be a number above 0")


def live_endpoint(url: str) -> Endpoint:
    """What a URL of live data names.

    Raises:
        ConfigurationError: it cannot be used, or is one of stored data.
    """
    endpoint = endpoint_of(url)
    if endpoint.history:
        raise ConfigurationError(f"{url!r} is a path of stored data: name one of live data, or none")
    return endpoint


def config_of(ca: Path | None, *, reconnect: bool) -> FeedConfig:
    """How to connect."""
    return FeedConfig(ca=ca, reconnect=Reconnect() if reconnect else Reconnect(attempts=0))


def split(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of comma-separated texts."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
