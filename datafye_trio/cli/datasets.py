"""Datasets as settings: a description with a typed value for each key, and the source that it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from datafye_trio.aggregates import Aggregation, default_aggregation
from datafye_trio.cli.offering import OFFERING, offering_from, offering_of
from datafye_trio.cli.stdin import open_stdin
from datafye_trio.cli.values import Given, Paths, Periods, Rate, Texts, Time, structure
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Channel
from datafye_trio.protocol import format_time, normalise_symbol, parse_channel
from datafye_trio.recordings.opening import default_asset_class, open_recordings
from datafye_trio.sources import JsonLines, Program, Replay, ReplayConfig, Source, Synthetic, SyntheticConfig

__all__ = [
    "DATASET_SETTINGS",
    "Description",
    "ProgramConfig",
    "UpstreamConfig",
    "describe",
    "keys_of",
    "open_source",
    "settings_of",
]

DATASET_SETTINGS: Final[dict[str, Any]] = {
    "source": Literal["synthetic", "replay", "program", "relay"],
    "name": str,
    "asset_class": AssetClass,
    "symbols": Texts,
    "seed": int,
    "rate": Rate,
    "halts": bool,
    "start_ns": int,
    "replay": Paths,
    "speed": Rate,
    "loop": bool,
    "wait_for_client": int,
    "from": Time,
    "to": Time,
    "shift_to_now": bool,
    "paused": bool,
    "ticks": Texts,
    "aggregates": Texts,
    "bars": Literal["all", "consolidated"],
    "lateness": float,
    "sma": Periods,
    "ema": Periods,
    "history": bool,
    "channels": Texts,
    "stdin": bool,
    "upstream": str,
    "upstream_ca": str,
}
"""The keys of a dataset and their types."""

_COMMON: Final = ("source", "name", "asset_class")
_TELLING: Final = {"replay": "replay", "upstream": "relay", "stdin": "program"}
"""Keys that tell the kind of a source that is not named."""
_PART: Final = ("from", "to", "shift_to_now", "paused")
_KEYS: Final = {
    "synthetic": (*_COMMON, "symbols", "seed", "rate", "halts", "start_ns", *OFFERING, "history"),
    "replay": (*_COMMON, "replay", "symbols", "speed", "loop", "wait_for_client", *_PART, *OFFERING, "history"),
    "program": (*_COMMON, "symbols", "channels", "stdin"),
    "relay": ("source", "upstream", "upstream_ca", "name"),
}
_FIELDS: Final = {"name": "dataset", "upstream_ca": "ca", "replay": "paths", "from": "start", "to": "end"}
"""Keys whose name in the sources' own settings is another."""


@attrs.frozen
class ProgramConfig:
    """A dataset that a program feeds through `server.publish`; served alone, from stdin, or it stays silent."""

    dataset: str = "Program"
    asset_class: AssetClass = AssetClass.STOCKS
    channels: tuple[Channel, ...] = (Channel.QUOTES, Channel.TRADES)
    symbols: tuple[str, ...] | None = None
    stdin: bool = False


@attrs.frozen
class UpstreamConfig:
    """The datasets of another server, to be relayed; with a name, only that one. `ca` is a PEM file to trust."""

    upstream: str
    dataset: str | None = None
    ca: str | None = None

    def __attrs_post_init__(self) -> None:
        from datafye_trio.client.urls import normal_url  # only who relays needs the client

        try:
            url = normal_url(self.upstream)
        except ConfigurationError as error:
            raise ConfigurationError(f"the upstream {error}") from None
        if self.ca and not url.startswith("wss:"):
            raise ConfigurationError(f"there is no TLS to {url}: write wss://, or leave upstream_ca out")


Description: TypeAlias = SyntheticConfig | ReplayConfig | ProgramConfig | UpstreamConfig


def describe(given: Mapping[str, Given]) -> Description:
    """The description that these keys make.

    Raises:
        ConfigurationError: a value that cannot work, or a key that this kind of source does not have.
    """
    values = {name: structure(one, DATASET_SETTINGS[name]) for name, one in given.items()}
    kind = values.pop("source", None) or next((kind for key, kind in _TELLING.items() if values.get(key)), "synthetic")
    for name, one in given.items():
        if name not in _KEYS[kind]:
            raise ConfigurationError(f"{one.where} is not for a {kind} dataset: it has {', '.join(_KEYS[kind])}")
    if kind == "replay" and "replay" not in values:
        first = next(iter(given.values()))
        raise ConfigurationError(f"{first.where}: a replay needs a path (replay)")
    if kind == "relay" and "upstream" not in values:
        first = next(iter(given.values()))
        raise ConfigurationError(f"{first.where}: a relay needs the URL of a server (upstream)")
    if kind == "replay" and "name" not in values:
        # Here, and not only when it is opened: the name decides how bars are made, and what other settings mean.
        values["name"] = _only_dataset(values["replay"])
    if kind in ("synthetic", "program") and values.get("name") == "Crypto":
        values.setdefault("asset_class", AssetClass.CRYPTO)
    fields = {_FIELDS.get(name, name): value for name, value in values.items()}
    try:
        return _make(kind, fields)
    except (ConfigurationError, ValueError) as error:
        # The sources name the setting in their words; say also where it was given.
        blamed = [one.where for name, one in given.items() if re.search(rf"\b{name.rstrip('s')}s?\b", str(error))]
        raise ConfigurationError(f"{', '.join(blamed)}: {error}" if blamed else str(error)) from None


def open_source(description: SyntheticConfig | ReplayConfig | ProgramConfig) -> Source:
    """The source itself; a replay looks for its files here. (Those of a relay are known once it is connected.)

    Raises:
        ConfigurationError: the files cannot be used.
    """
    if isinstance(description, SyntheticConfig):
        return Synthetic(description)
    if isinstance(description, ReplayConfig):
        try:
            return Replay(description)
        except (ConfigurationError, SourceError) as error:
            raise ConfigurationError(f"replay of {description.dataset}: {error}") from None
    symbols = description.symbols
    source = Program(
        description.dataset,
        description.asset_class,
        description.channels,
        None if symbols is None else frozenset(symbols),
    )
    return JsonLines(source.dataset, open_stdin) if description.stdin else source


def settings_of(description: Description) -> dict[str, object]:
    """Every key of a description with its effective value, None where it has none."""
    kinds = {SyntheticConfig: "synthetic", ReplayConfig: "replay", ProgramConfig: "program", UpstreamConfig: "relay"}
    kind = kinds[type(description)]
    values: dict[str, object] = {"source": kind}
    if isinstance(description, SyntheticConfig | ReplayConfig):
        values |= offering_of(description.channels, _aggregation_of(description))
    if isinstance(description, ReplayConfig):
        span = {"from": description.start, "to": description.end}
        values |= {name: None if time is None else format_time(time) for name, time in span.items()}
    for name in _KEYS[kind]:
        values.setdefault(name, getattr(description, _FIELDS.get(name, name), None))
    return {name: values[name] for name in _KEYS[kind]}


def keys_of(kind: str) -> tuple[str, ...]:
    """The keys that a kind of source has."""
    return _KEYS[kind]


def _only_dataset(paths: Sequence[str]) -> str:
    try:
        found = open_recordings([Path(path) for path in paths])
    except (ConfigurationError, SourceError) as error:
        raise ConfigurationError(f"replay: {error}") from None
    if len(found) > 1:
        names = ", ".join(recording.name for recording in found)
        raise ConfigurationError(f"replay: {', '.join(paths)} holds several datasets: name one of {names}")
    return found[0].name


def _aggregation_of(description: SyntheticConfig | ReplayConfig) -> Aggregation | None:
    return _default_aggregation(description) if description.aggregation == "default" else description.aggregation


def _default_aggregation(description: SyntheticConfig | ReplayConfig) -> Aggregation:
    """How the source makes bars by itself."""
    live = isinstance(description, SyntheticConfig) and description.is_live
    return default_aggregation(description.dataset or "", live=live)


def _make(kind: str, fields: dict[str, Any]) -> Description:
    if kind == "relay":
        return UpstreamConfig(**fields)
    if "symbols" in fields and kind != "synthetic":  # which does so itself
        known = fields.get("asset_class") or default_asset_class(fields.get("dataset", ""))
        fields["symbols"] = tuple(dict.fromkeys(normalise_symbol(symbol, known) for symbol in fields["symbols"]))
    if kind == "program":
        if "channels" in fields:
            fields["channels"] = tuple(parse_channel(name) for name in fields["channels"])
        elif fields.get("stdin"):
            fields["channels"] = tuple(Channel)  # whatever comes
        return ProgramConfig(**fields)
    offering = {str(name): fields.pop(name) for name in OFFERING if name in fields}
    made = SyntheticConfig(**fields) if kind == "synthetic" else ReplayConfig(**fields)
    return attrs.evolve(made, **offering_from(offering, _default_aggregation(made)))
