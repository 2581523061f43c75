"""Datasets as settings: a description with a typed value for each key, and the source that it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from datafye_trio.cli.values import Given, Paths, Rate, Texts, structure
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Channel
from datafye_trio.protocol import normalise_symbol, parse_channel
from datafye_trio.sources import Program, Replay, ReplayConfig, Source, Synthetic, SyntheticConfig

__all__ = ["DATASET_SETTINGS", "Description", "ProgramConfig", "describe", "open_source", "settings_of"]

DATASET_SETTINGS: Final[dict[str, Any]] = {
    "source": Literal["synthetic", "replay", "program"],
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
    "channels": Texts,
}
"""The keys of a dataset and their types."""

_COMMON: Final = ("source", "name", "asset_class")
_KEYS: Final = {
    "synthetic": (*_COMMON, "symbols", "seed", "rate", "halts", "start_ns"),
    "replay": (*_COMMON, "replay", "speed", "loop", "wait_for_client"),
    "program": (*_COMMON, "symbols", "channels"),
}
_FIELDS: Final = {"name": "dataset", "replay": "paths"}
"""Keys whose name in the sources' own settings is another."""


@attrs.frozen
class ProgramConfig:
    """A dataset that a program feeds through `server.publish`: served alone, it is there and stays silent."""

    dataset: str = "Program"
    asset_class: AssetClass = AssetClass.STOCKS
    channels: tuple[Channel, ...] = (Channel.QUOTES, Channel.TRADES)
    symbols: tuple[str, ...] | None = None


Description: TypeAlias = SyntheticConfig | ReplayConfig | ProgramConfig


def describe(given: Mapping[str, Given]) -> Description:
    """The description that these keys make.

    Raises:
        ConfigurationError: a value that cannot work, or a key that this kind of source does not have.
    """
    values = {name: structure(one, DATASET_SETTINGS[name]) for name, one in given.items()}
    kind = values.pop("source", "replay" if "replay" in values else "synthetic")
    for name, one in given.items():
        if name not in _KEYS[kind]:
            raise ConfigurationError(f"{one.where} is not for a {kind} dataset: it has {', '.join(_KEYS[kind])}")
    if kind == "replay" and not {"replay", "name"} <= values.keys():
        first = next(iter(given.values()))
        raise ConfigurationError(f"{first.where}: a replay needs a path (replay) and a name for the dataset")
    if kind != "replay" and values.get("name") == "Crypto":
        values.setdefault("asset_class", AssetClass.CRYPTO)
    fields = {_FIELDS.get(name, name): value for name, value in values.items()}
    try:
        return _make(kind, fields)
    except (ConfigurationError, ValueError) as error:
        # The sources name the setting in their words; say also where it was given.
        blamed = [one.where for name, one in given.items() if re.search(rf"\b{name.rstrip('s')}s?\b", str(error))]
        raise ConfigurationError(f"{', '.join(blamed)}: {error}" if blamed else str(error)) from None


def open_source(description: Description) -> Source:
    """The source itself; a replay looks for its files here.

    Raises:
        ConfigurationError: the files cannot be used.
    """
    if isinstance(description, SyntheticConfig):
        return Synthetic(description)
    if isinstance(description, ReplayConfig):
        try:
            return Replay(description)
        except SourceError as error:
            raise ConfigurationError(f"replay of {description.dataset}: {error}") from None
    symbols = description.symbols
    return Program(
        description.dataset,
        description.asset_class,
        description.channels,
        None if symbols is None else frozenset(symbols),
    )


def settings_of(description: Description) -> dict[str, object]:
    """Every key of a description with its effective value, None where it has none."""
    kinds = {SyntheticConfig: "synthetic", ReplayConfig: "replay", ProgramConfig: "program"}
    kind = kinds[type(description)]
    values = {name: getattr(description, _FIELDS.get(name, name)) for name in _KEYS[kind] if name != "source"}
    return {"source": kind, **values}


def _make(kind: str, fields: dict[str, Any]) -> Description:
    if kind == "synthetic":
        return SyntheticConfig(**fields)
    if kind == "replay":
        return ReplayConfig(**fields)
    if "channels" in fields:
        fields["channels"] = tuple(parse_channel(name) for name in fields["channels"])
    if "symbols" in fields:
        asset_class = fields.get("asset_class", AssetClass.STOCKS)
        fields["symbols"] = tuple(normalise_symbol(symbol, asset_class) for symbol in fields["symbols"])
    return ProgramConfig(**fields)
