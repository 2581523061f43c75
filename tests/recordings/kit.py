"""What the tests of recordings share: events of every class, and recordings of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
from hypothesis import strategies as st

from datafye_trio.model import AssetClass, Bar, Channel, Ema, Event, Halt, Line, Quote, Resume, Sma, Timed, Trade
from datafye_trio.recordings.base import Selection
from datafye_trio.recordings.opening import open_recordings
from datafye_trio.recordings.writer import RecordingWriter, WriterConfig

STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
TRADES, QUOTES, BARS = Channel.TRADES, Channel.QUOTES, Channel.AGGREGATES
SECOND = 10**9
DAY = 86_400 * SECOND
NOON = 1_760_011_200 * SECOND
"""2025-10-09 12:00 UTC, which is 08:00 in New York."""

EVERYTHING = Selection()
FEW = WriterConfig(part_rows=4, waiting_rows=10)
"""Small bounds for a writer."""

Given = tuple[Channel, int, Event]

_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=4)
_optional = st.none() | _texts
_times = st.integers(0, 2**63 - 1)
_prices = st.floats(allow_nan=False, allow_infinity=False)
_sides = st.none() | _prices
_sizes = st.integers(0, 2**53 - 1) | st.floats(0, 1e18, allow_nan=False)
_counts = st.integers(0, 2**63 - 1)
_lines = st.builds(Line, _counts, _counts, _prices)
_indicator: tuple[Any, ...] = (_texts, _texts, _times, _prices, _lines, _lines, _prices, _texts)
_conditions = st.none() | st.lists(_texts, max_size=3).map(tuple)
_trade = st.builds(
    Trade, _texts, _times, _prices, _sizes, _optional, _optional, _optional, _optional, st.none() | _times, _conditions
)
_quote = st.builds(Quote, _texts, _times, _sides, _sizes, _sides, _sizes, _optional, _optional, _optional, _optional)
_halts = st.builds(Halt, _texts, _times, _texts) | st.builds(Resume, _texts, _times, _texts)
_bar = st.builds(
    Bar, _texts, _texts, _times, _sides, _sides, _sides, _sides, _sizes, _counts, _sides, st.booleans(),
    st.none() | _counts,
)  # fmt: skip
EVENTS: dict[Channel, st.SearchStrategy[Any]] = {
    Channel.TRADES: _trade | _halts,
    Channel.QUOTES: _quote | _halts,
    Channel.AGGREGATES: _bar,
    Channel.SMA: st.builds(Sma, *_indicator),
    Channel.EMA: st.builds(Ema, *_indicator, _lines, _texts, _texts, _texts, _texts),
}
"""Any event that may lie in a channel."""


def trade(size: float = 1, *, symbol: str = "A", time: int = NOON) -> Trade:
    return Trade(symbol, time, 1.5, size)


def trades(count: int, *, start: int = NOON, step: int = SECOND, symbol: str = "A") -> list[Given]:
    """Trades whose sizes count from 0."""
    return [(TRADES, start + n * step, trade(n, symbol=symbol, time=start + n * step)) for n in range(count)]


def record(
    folder: Path, rows: Iterable[Given], *, dataset: str = "SIP", asset_class: AssetClass = STOCKS, part_rows: int = 100
) -> Path:
    """A recording of these rows; returns its folder."""
    with RecordingWriter(folder, dataset, asset_class, WriterConfig(part_rows)) as writer:
        for channel, time, event in rows:
            writer.add(channel, time, event)
    return folder


def read(folder: Path | Sequence[Path], selection: Selection = EVERYTHING, **asked: Any) -> list[Timed]:
    """All rows of the one dataset in a folder."""
    (recording,) = open_recordings([folder] if isinstance(folder, Path) else folder, **asked)
    return list(recording.read(selection))


def sizes(timed: Iterable[Timed]) -> list[float]:
    return [event.size for _, event in timed if isinstance(event, Trade)]


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("part-*.parquet"))


def exact(event: Event) -> tuple[Any, ...]:
    """An event as values that are equal only if every bit is, and every type."""
    return (type(event), *_exact(attrs.astuple(event)))


def _exact(values: tuple[Any, ...]) -> list[Any]:
    packed = [struct.pack("d", value) if isinstance(value, float) else value for value in values]
    return [(type(one), _exact(one) if isinstance(one, tuple) else one) for one in packed]


def add(writer: RecordingWriter, *numbers: int) -> None:
    """Give a writer trades of these sizes, each so many seconds after noon."""
    for n in numbers:
        writer.add(TRADES, NOON + n * SECOND, trade(n))
