"""`serve --descriptor FILE.yaml`: from Datafye's data descriptor and the feeds given to it, to tables of datasets.

The tables are those of the TOML file (`cli.datasets`), so `--print-config` prints what a descriptor comes to.

- `Synthetic` is generated, unless a feed of its own is named. No other dataset is ever made up: it needs a feed.
- A feed is `--replay NAME=PATH`, several times for one dataset or for several; or `--replay PATH`, a recording that
  says of itself which datasets it holds, or, where one dataset alone can be meant, any tick files.
- What a feed lacks of what the descriptor names is a warning with line and field, and is left out; so is a dataset
  without a feed. That nothing is left is an error.
- The other flags of a dataset (`--speed`, `--rate`, ...) go to every dataset that they fit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from datafye_trio.cli.datasets import keys_of
from datafye_trio.cli.dataspec import SYNTHETIC, DatasetSpec, DataSpec, Offer, read_dataspec
from datafye_trio.cli.text import one_line
from datafye_trio.cli.values import Given, Paths, structure
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import Channel
from datafye_trio.recordings.base import Recording
from datafye_trio.recordings.opening import open_recordings

__all__ = ["Described", "read_descriptor"]

_DECIDED: Final = ("name", "asset_class", "symbols")
"""Flags of a dataset that the descriptor itself decides."""


@attrs.frozen
class Described:
    """What a descriptor comes to: a table of settings for each dataset, and what it asks for in vain."""

    tables: tuple[dict[str, Given], ...]
    warnings: tuple[str, ...]


def read_descriptor(path: Path, flags: Mapping[str, Given]) -> Described:
    """The datasets of a descriptor, with the feeds and other settings of datasets that flags and variables give.

    Raises:
        ConfigurationError: the descriptor is wrong, a feed cannot be used, a flag is for none of the datasets, or no
            dataset is left.
    """
    for name in _DECIDED:
        if name in flags:
            raise ConfigurationError(f"{flags[name].where} cannot be used with a descriptor: {path} decides that")
    spec = read_dataspec(path)
    feeds = _feeds(spec, flags["replay"]) if "replay" in flags else {}
    tables = []
    for dataset in spec.datasets:
        if not dataset.offers:
            continue  # warned of
        if dataset.name in feeds:
            table = _fed(dataset, feeds[dataset.name])
        elif dataset.name == SYNTHETIC:
            table = _generated(dataset)
        else:
            dataset.field.warn(f"{dataset.name} is left out: it has no feed, give --replay {dataset.name}=PATH")
            continue
        if table is not None:
            tables.append(table)
    if not tables:
        raise ConfigurationError("; ".join([f"{path} leaves nothing to serve", *spec.warnings[-1:]]))
    _spread(tables, {name: one for name, one in flags.items() if name != "replay"})
    return Described(tuple(tables), tuple(spec.warnings))


def _feeds(spec: DataSpec, replay: Given) -> dict[str, Given]:
    """The paths for each dataset that has a feed."""
    names = [dataset.name for dataset in spec.datasets]
    paths: dict[str, list[str]] = {}
    plain: list[str] = []
    for text in structure(replay, Paths):
        name, separator, path = text.partition("=")
        if separator and name in names:
            if not path:
                raise ConfigurationError(f"{replay.where}: {text} names no path")
            paths.setdefault(name, []).append(path)
        elif separator and "/" not in name and not os.path.exists(text):
            have = ", ".join(names)
            raise ConfigurationError(f"{replay.where}: {spec.name} has no dataset {one_line(name, 40)}, it has {have}")
        else:
            plain.append(text)
    if plain:
        open_to = [name for name in names if name not in paths and name != SYNTHETIC]
        paths |= dict.fromkeys(_meant(plain, open_to, spec, replay.where), plain)
    return {name: Given(found, replay.where) for name, found in paths.items()}


def _meant(paths: Sequence[str], names: Sequence[str], spec: DataSpec, where: str) -> Iterable[str]:
    """The datasets among `names` that unnamed paths feed."""
    if len(names) == 1:
        return names
    shown = ", ".join(paths)
    if not names:
        raise ConfigurationError(f"{where}: {spec.name} has no dataset that {shown} could feed")
    try:
        held = [recording.name for recording in open_recordings([Path(path) for path in paths])]
    except (ConfigurationError, SourceError) as error:
        raise ConfigurationError(f"{where}: {error}; for one of several datasets, write {names[0]}=PATH") from None
    if not set(held) & set(names):
        raise ConfigurationError(f"{where}: {shown} holds {', '.join(held)}, {spec.name} needs {', '.join(names)}")
    return [name for name in names if name in held]


def _generated(dataset: DatasetSpec) -> dict[str, Given]:
    return {"source": Given("synthetic", dataset.field.path), **_offered(dataset, dataset.offers)}


def _fed(dataset: DatasetSpec, feed: Given) -> dict[str, Given] | None:
    """The table of a dataset that is replayed, None where its feed has nothing of what it offers."""
    recording = _open(dataset, feed)
    offers = []
    for offer in dataset.offers:
        # Bars and indicators are made of trades, where they were not recorded themselves.
        needed = Channel.TRADES if offer.channel.has_frequency else offer.channel
        if {needed, offer.channel} & {*recording.channels}:
            offers.append(offer)
        else:
            offer.field.warn(f"{offer} is not offered: the feed of {dataset.name} has no {needed}")
    if not offers:
        return None
    return {
        "source": Given("replay", dataset.field.path),
        "replay": feed,
        "asset_class": Given(recording.asset_class, feed.where),
        **_offered(dataset, offers),
    }


def _open(dataset: DatasetSpec, feed: Given) -> Recording:
    try:
        return open_recordings([Path(path) for path in structure(feed, Paths)], dataset=dataset.name)[0]
    except (ConfigurationError, SourceError) as error:
        raise ConfigurationError(f"{feed.where}: replay of {dataset.name}: {error}") from None


def _offered(dataset: DatasetSpec, offers: Iterable[Offer]) -> dict[str, Given]:
    """What both kinds of datasets have in common."""
    where = f"{dataset.field.file}, line {dataset.field.line}: {dataset.field.path}"
    ticks = [str(offer) for offer in offers if not offer.channel.has_frequency]
    aggregates = [str(offer) for offer in offers if offer.channel.has_frequency]
    table = {
        "name": Given(dataset.name, f"{where}.dataset"),
        "ticks": Given(ticks, f"{where}.live.ticks"),
        "aggregates": Given(aggregates, f"{where}.live.aggregates"),
        "history": Given(dataset.has_history, f"{where}.history"),
    }
    if dataset.symbols is not None:
        table["symbols"] = Given(list(dataset.symbols), f"{where}.symbols.tickers")
    return table


def _spread(tables: Iterable[dict[str, Given]], flags: Mapping[str, Given]) -> None:
    """Give each flag to the datasets whose kind has it.

    Raises:
        ConfigurationError: a flag fits none.
    """
    unused = dict(flags)
    for table in tables:
        for name, one in flags.items():
            if name in keys_of(str(table["source"].value)):
                table[name] = one
                unused.pop(name, None)
    for one in unused.values():
        raise ConfigurationError(f"{one.where} is for none of the datasets that the descriptor leaves to serve")
