"""Rows of a recording as events again: whole columns at a time, since a dict a row would cost five times as much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, TypeAlias

import attrs

from datafye_trio.model import AssetClass, Bar, Channel, Event, Line, Quote, Trade
from datafye_trio.recordings.arrow import load_arrow
from datafye_trio.recordings.schema import KINDS, Kind

__all__ = ["decode"]

_Values: TypeAlias = list[Any]
_LINES: Final = ("slow_line", "fast_line", "signal_line")
_SIZES: Final[Mapping[type[Any], frozenset[str]]] = {
    Trade: frozenset({"size"}),
    Quote: frozenset({"bid_size", "ask_size"}),
    Bar: frozenset({"volume"}),
}
"""What is an integer for stocks where it is whole."""
_REQUIRED: Final = frozenset({"price", "size", "bid_size", "ask_size", "reason"})
"""What only rows of other kinds may lack; what no row may lack, the schema says."""
_EXACT: Final = 2**53
"""Beyond it a double stands for many integers."""


def decode(batch: Any, channel: Channel, asset_class: AssetClass) -> Iterator[Event]:
    """The events of a record batch with the columns of its channel, those in `COMMON_COLUMNS` as dictionaries.

    Raises:
        ValueError: a row is of an unknown kind, or lacks what its kind has.
    """
    names = _texts(batch.column("type"))
    kinds = {kind.name: kind for kind in KINDS[channel]}
    present = set(names)
    if unknown := present - kinds.keys():
        raise ValueError(f"a row of type {min(unknown)!r} is among the {channel}")
    if len(present) == 1:
        return _decode_kind(batch, kinds[names[0]], asset_class)
    pc = load_arrow().compute
    streams = {}
    for name in present:
        mask = pc.equal(batch.column("type").dictionary_decode(), name)
        streams[name] = _decode_kind(batch.filter(mask), kinds[name], asset_class)
    return (next(streams[name]) for name in names)


def _decode_kind(batch: Any, kind: Kind, asset_class: AssetClass) -> Iterator[Event]:
    sizes = _SIZES.get(kind.cls, frozenset()) if asset_class is AssetClass.STOCKS else frozenset()
    column_of = {attribute: column for column, attribute in kind.attributes.items()}
    columns: list[Iterable[Any]] = []
    for field in attrs.fields(kind.cls):
        if field.name in _LINES:
            parts = [batch.column(f"{field.name}_{part}").to_pylist() for part in ("periods", "count", "ma")]
            columns.append(map(Line, *parts))
            continue
        array = batch.column(column_of.get(field.name, field.name))
        if array.null_count and field.name in _REQUIRED:
            raise ValueError(f"a {kind.name} lacks its {field.name}")
        columns.append(_whole_where_possible(array) if field.name in sizes else _values(array))
    return map(kind.cls, *columns)


def _values(array: Any) -> _Values:
    if hasattr(array, "dictionary"):
        return _texts(array)
    if hasattr(array, "offsets"):
        return _tuples(array)
    values: _Values = array.to_pylist()
    return values


def _texts(array: Any) -> _Values:
    """The texts of a dictionary array: one object for all that are equal, so that its hash is made once."""
    values = array.dictionary.to_pylist()
    if array.null_count:
        return [None if at is None else values[at] for at in array.indices.to_pylist()]
    return list(map(values.__getitem__, array.indices.to_pylist()))


def _tuples(array: Any) -> _Values:
    """The texts of each row as a tuple; None where the row has no list."""
    texts = _texts(array.values)
    spans = pairwise(array.offsets.to_pylist())
    if not array.null_count:
        return [tuple(texts[start:end]) for start, end in spans]
    there = array.is_valid().to_pylist()
    return [tuple(texts[start:end]) if held else None for (start, end), held in zip(spans, there, strict=True)]


def _whole_where_possible(array: Any) -> _Values:
    """Whole numbers as integers, as the wire wants the sizes of stocks; fractions of a share stay as they are."""
    pa = load_arrow()
    if (pa.compute.max(array).as_py() or 0) < _EXACT:
        try:
            values: _Values = array.cast(pa.int64()).to_pylist()
        except pa.ArrowInvalid:  # a fraction: seldom, so all at once is tried first
            pass
        else:
            return values
    return [int(value) if value.is_integer() and value < _EXACT else value for value in array.to_pylist()]
