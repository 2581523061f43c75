"""The flags that `tail` and `watch` share, and what they ask of a feed.

Without postponed annotations: cyclopts would look the names of inherited ones up in the modules of the subclasses.
"""

import math
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from datafye_trio.client import FeedConfig, Reconnect, SubscribeOptions
from datafye_trio.client.options import make_wish
from datafye_trio.client.urls import endpoint_of
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Channel, Frequency

__all__ = ["FeedFlags", "Wanted", "config_of", "split", "wanted_of"]


def _list(text: str) -> Parameter:
    return Parameter(help=text, negative="", show_default=False)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FeedFlags:
    """What to follow, and for how long."""

    channels: Annotated[
        tuple[str, ...],
        _list(
            "Channels, comma-separated: quotes, trades, aggregates, sma, ema. By default what the path is for, "
            "else quotes and trades."
        ),
    ] = ()
    symbols: Annotated[
        tuple[str, ...], _list("Symbols, comma-separated; * (default) is every symbol of the dataset.")
    ] = ("*",)
    dataset: Annotated[str | None, Parameter(help="Dataset; by default the server's first.")] = None
    frequency: Annotated[
        str | None, Parameter(help="Of bars and indicators: Second, Minute (default), Hour or Day.")
    ] = None
    running: Annotated[bool, Parameter(help="Bars that are still forming, too.", negative="", show_default=False)] = (
        False
    )
    seconds: Annotated[float | None, Parameter(help="End after this time.")] = None
    reconnect: Annotated[
        bool, Parameter(help="Wait for a server that is not there, and come back when the connection is lost.")
    ] = True
    ca: Annotated[Path | None, Parameter(help="PEM file with the authorities to trust, for wss://.")] = None


@attrs.frozen
class Wanted:
    """The arguments of `Feed.subscribe`, checked."""

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
    if flags.seconds is not None and not 0 < flags.seconds < math.inf:
        raise ConfigurationError("--seconds must be a number above 0")
    endpoint = endpoint_of(url)
    if endpoint.history:
        raise ConfigurationError(f"{url!r} is a path of stored data: name one of live data, or none")
    channels = split(flags.channels) or ((Channel.QUOTES, Channel.TRADES) if endpoint.channel is None else ())
    channels = channels or (str(endpoint.channel),)
    # What is refused of several symbols is said, and the others flow: who looks at a market wants the rest of it.
    taken: SubscribeOptions = {"partial": True, **(options or {})}
    if flags.dataset is not None:
        taken["dataset"] = flags.dataset
    wanted = Wanted(channels, split(flags.symbols), flags.frequency or Frequency.MINUTE, flags.running, taken)
    make_wish(wanted.channels, wanted.symbols, wanted.frequency, taken, running=wanted.running)
    return wanted


def config_of(flags: FeedFlags) -> FeedConfig:
    """How to connect."""
    return FeedConfig(ca=flags.ca, reconnect=Reconnect() if flags.reconnect else Reconnect(attempts=0))


def split(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of comma-separated texts."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
