"""Datafye's data descriptor (DataSpec, `apiVersion: datafye.io/v1`): what it says of each dataset, and where.

Documented (the vendor's reference page of data descriptors, its samples and the descriptor of its certification run):
- `apiVersion`, `kind: DataSpec` (the newer samples leave it out), `metadata`, `mode` (live, paper, backtest) and
  `datasets`; beside them `broker` and `credentials`. A document is YAML or JSON.
- Of a dataset: `dataset`, `provider`, `symbols.tickers` (a list), `reference`, `live` and `history`.
- `live.ticks` and `live.aggregates`: one text with commas (`"ohlc-1s,ohlc-1m,ema-1d"`).
- `history.ticks` and `history.aggregates`: a list of `{schema: ohlc-1m, duration: 90d}`; `history.reference.duration`.
- A descriptor for backtests may have `history` alone: its live feed is the replay of a recorded day.

Assumed, since nothing shows it:
- A text with commas and a list stand wherever the other does, and so do `trades` and `{schema: trades}`.
- Without `live`, a dataset offers live what its `history` names. Without `symbols`, it offers all that its feed has.
- With `history`, all that is stored can be asked for, whatever schemas it names: bars are folded as they are needed.
- `ticks` among ticks is trades and quotes together. Schemas and modes are read in any case; names of datasets are not.
- A field that is null is as good as absent.

What is wrong raises, with line and field. What this server does not do is a warning, with line and field, and left out:
tick kinds besides trades and quotes, bars of other spans, other statistics, reference data, durations (the recording
decides how far back history goes), and any field that is not known. Read past in silence, because a recorded feed needs
none of it: `metadata`, `provider`, `credentials`, whose values are never looked at and in no message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from datafye_trio.cli.fields import Field, did_you_mean
from datafye_trio.cli.schemas import KINDS, SCHEMAS, SPANS, schema_of
from datafye_trio.cli.yaml_tree import Node, read_yaml
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import normalise_symbol

__all__ = ["CRYPTO", "DATASETS", "SYNTHETIC", "DataSpec", "DatasetSpec", "Offer", "parse_dataspec", "read_dataspec"]

SYNTHETIC: Final = "Synthetic"
CRYPTO: Final = "Crypto"
DATASETS: Final = ("SIP", CRYPTO, SYNTHETIC, "TotalView", "PrecisionAlpha", "Palpha", "Alpaca", "HWAI")
"""The datasets of which the vendor speaks; others may be recorded."""

_API_VERSION: Final = "datafye.io/v1"
_KIND: Final = "DataSpec"
_MODES: Final = ("live", "paper", "backtest")
_ROOT: Final = ("apiVersion", "kind", "metadata", "mode", "datasets", "broker", "credentials")
_DATASET: Final = ("dataset", "provider", "symbols", "reference", "live", "history")
_TICKS: Final = {
    "trades": (Channel.TRADES,),
    "quotes": (Channel.QUOTES,),
    "ticks": (Channel.QUOTES, Channel.TRADES),
}
_WORD: Final = re.compile(r"[a-z][a-z0-9_-]*")
_SCHEMA: Final = re.compile(r"([a-z]+)-([0-9]+[a-z]+)")
_DURATION: Final = re.compile(r"[0-9]+ ?[A-Za-z]+")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@attrs.frozen
class Offer:
    """A schema that a dataset offers, and the field that says so. Ticks have no frequency."""

    channel: Channel
    frequency: Frequency | None
    field: Field = attrs.field(eq=False)

    def __str__(self) -> str:
        """As a descriptor spells it: `trades`, `ohlc-1m`."""
        return self.channel.value if self.frequency is None else schema_of(self.channel, self.frequency)


@attrs.frozen
class DatasetSpec:
    """What a descriptor says of one dataset.

    Attributes:
        name, asset_class: as on the wire.
        field: the dataset itself, for further complaints.
        symbols: in normal form; None is all that the feed has.
        offers: what is offered live, without repeats.
        has_history: whether stored data can be asked for.
    """

    name: str
    asset_class: AssetClass
    field: Field
    symbols: tuple[str, ...] | None
    offers: tuple[Offer, ...]
    has_history: bool


@attrs.frozen
class DataSpec:
    """A descriptor. `warnings` has one line for each thing that this server does not do."""

    name: str
    datasets: tuple[DatasetSpec, ...]
    warnings: list[str]


def read_dataspec(path: Path) -> DataSpec:
    """The descriptor in a file.

    Raises:
        ConfigurationError: it cannot be read, or is wrong; the text names file, line and field.
    """
    return parse_dataspec(read_yaml(path), str(path))


def parse_dataspec(root: Node, name: str) -> DataSpec:
    """The descriptor that a document makes.

    Raises:
        ConfigurationError: it is wrong; the text names it by `name`, and line and field.
    """
    warnings: list[str] = []
    top = Field(root, "", name, warnings)
    fields = top.fields(_ROOT)
    version = fields.get("apiVersion")
    if version is None or version.text() != _API_VERSION:
        raise (version or top).error(f"apiVersion must be {_API_VERSION}")
    if (kind := fields.get("kind")) is not None and kind.text() != _KIND:
        raise kind.error(f"must be {_KIND}: only data descriptors can be served")
    if (mode := fields.get("mode")) is not None and mode.text().lower() not in _MODES:
        raise mode.error(f"must be one of {', '.join(_MODES)}")
    if (broker := fields.get("broker")) is not None:
        broker.warn("this server serves data and takes no orders")
    items = fields["datasets"].items() if "datasets" in fields else []
    if not items:
        raise top.error("datasets is missing or empty: list at least one")
    datasets: dict[str, DatasetSpec] = {}
    for item in items:
        spec = _parse_dataset(item)
        if spec.name in datasets:
            raise item.error(f"the dataset {spec.name} comes twice, first in line {datasets[spec.name].field.line}")
        datasets[spec.name] = spec
    return DataSpec(name, tuple(datasets.values()), warnings)


def _parse_dataset(field: Field) -> DatasetSpec:
    fields = field.fields(_DATASET)
    if "dataset" not in fields:
        raise field.error("dataset is missing: name it, such as dataset: SIP")
    name = _name(fields["dataset"])
    asset_class = AssetClass.CRYPTO if name == CRYPTO else AssetClass.STOCKS
    symbols = _symbols(fields["symbols"], asset_class) if "symbols" in fields else None
    reference = fields.get("reference")
    if reference is not None and reference.truth():
        reference.warn("this server has no reference data")
    live = _offers(fields["live"].fields(("ticks", "aggregates"))) if "live" in fields else None
    stored = _history(fields["history"]) if "history" in fields else ()
    offers = stored if live is None else live
    if not offers:
        field.warn(f"{name} offers nothing that this server has: give it live.ticks or live.aggregates")
    return DatasetSpec(name, asset_class, field, symbols, offers, "history" in fields)


def _name(field: Field) -> str:
    name = field.text()
    if not _NAME.fullmatch(name):
        raise field.error("must be a name of letters, digits and . - _")
    if name not in DATASETS:
        meant = next((known for known in DATASETS if known.casefold() == name.casefold()), None)
        if meant is not None:
            raise field.error(f"there is no dataset {name}: write {meant}")
        field.warn(f"Datafye has no dataset {name}; only a recording of that name can feed it")
    return name


def _symbols(field: Field, asset_class: AssetClass) -> tuple[str, ...] | None:
    tickers = field.fields(("tickers",)).get("tickers")
    if tickers is None:
        return None
    items = tickers.items(split=True)
    if not items:
        raise tickers.error("is empty: name at least one symbol")
    symbols: dict[str, Field] = {}
    for item in items:
        text = item.text()
        try:
            symbol = normalise_symbol(text, asset_class)
        except ValueError as error:
            raise item.error(str(error)) from None
        if symbol in symbols:
            raise item.error(f"{symbol} comes twice, first in line {symbols[symbol].line}")
        if asset_class is AssetClass.CRYPTO and text.upper().startswith("X:"):
            item.warn(f"here {text} is {symbol}; Datafye itself wants it written so, and else has no data")
        symbols[symbol] = item
    return tuple(symbols)


def _history(field: Field) -> tuple[Offer, ...]:
    fields = field.fields(("ticks", "aggregates", "reference"))
    if (reference := fields.get("reference")) is not None:
        reference.warn("this server has no reference data")
    return _offers(fields)


def _offers(fields: Mapping[str, Field]) -> tuple[Offer, ...]:
    """What the fields `ticks` and `aggregates` name."""
    offers: dict[Offer, Offer] = {}
    for key, parse in (("ticks", _parse_tick), ("aggregates", _parse_aggregate)):
        for item in fields[key].items(split=True) if key in fields else ():
            schema = _schema(item)
            for channel, frequency in parse(schema):
                offer = Offer(channel, frequency, schema)
                if (first := offers.setdefault(offer, offer)) is not offer:
                    raise schema.error(f"{offer} comes twice, first in line {first.field.line}")
    return tuple(offers)


def _schema(item: Field) -> Field:
    """The schema itself, of a text or of `{schema: ..., duration: ...}`."""
    if not isinstance(item.node.value, dict):
        return item
    fields = item.fields(("schema", "duration"))
    if "schema" not in fields:
        raise item.error("schema is missing: name it, such as schema: trades")
    if (duration := fields.get("duration")) is not None:
        if not _DURATION.fullmatch(duration.text()):
            raise duration.error("must be a duration such as 30d")
        duration.warn("not applied: history goes back as far as there is data", once=True)
    return fields["schema"]


def _parse_tick(field: Field) -> Iterable[tuple[Channel, None]]:
    word = field.text().lower()
    if not _WORD.fullmatch(word):
        raise field.error("must be a kind of ticks, such as trades")
    if word not in _TICKS:
        field.warn(f"this server has no ticks {word}{did_you_mean(word, _TICKS)}")
    return ((channel, None) for channel in _TICKS.get(word, ()))


def _parse_aggregate(field: Field) -> Iterable[tuple[Channel, Frequency]]:
    word = field.text().lower()
    if (named := _SCHEMA.fullmatch(word)) is None:
        raise field.error("must be a schema such as ohlc-1m: what, a dash, and the span of a bar")
    kind, span = named.groups()
    if kind not in KINDS:
        field.warn(f"this server has no {kind}: it has {', '.join(KINDS)}")
    elif span not in SPANS:
        field.warn(f"this server has no bars of {span}: it has {', '.join(SPANS)}")
    return (SCHEMAS[word],) if word in SCHEMAS else ()
