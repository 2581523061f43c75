"""The benchmark of bars: trades a second through `Aggregator`, beside polars on the same trades.

Ours makes bars of seconds, minutes, hours and days in one pass, trade by trade as they come in, with exact sums; polars
has all trades in columns beforehand and takes one `group_by_dynamic` a frequency, on all cores, with sums of floats.
What each reads is made beforehand and not counted: trades as objects, trades as columns.
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final, TypeAlias

import attrs
import polars as pl

from datafye_trio.aggregates import Aggregation, Aggregator, every_trade
from datafye_trio.model import AssetClass, Bar, Frequency, Trade

__all__ = ["AggregateSettings", "run"]

_SECOND: Final = 1_000_000_000
_BEGIN: Final = 1_704_238_200 * _SECOND  # 2024-01-02T23:30:00Z: half an hour before hour and day end
_SPAN: Final = 3_600 * _SECOND
_EVERY: Final = {Frequency.SECOND: "1s", Frequency.MINUTE: "1m", Frequency.HOUR: "1h", Frequency.DAY: "1d"}
_FIELDS: Final = ("open", "high", "low", "close", "count", "volume", "vwap")
_EXACT: Final = 5
"""So many of the fields must be equal to the last digit; the others are sums of floats there."""

Tables: TypeAlias = Mapping[Frequency, pl.DataFrame]


@attrs.frozen
class AggregateSettings:
    """How many symbols and trades, and how often each of the two is measured."""

    symbols: int = 1_000
    trades: int = 1_000_000
    rounds: int = 5


def run(settings: AggregateSettings) -> dict[str, object]:
    """Measure both in turns; the result is in trades a second.

    Raises:
        SystemExit: the two do not make the same bars: there is nothing to compare.
    """
    trades = list(_trades(settings))
    table = _table(trades)
    gc.collect()
    gc.freeze()  # a server never holds a million trades: they must not be walked through again and again
    bars = _check(_ours(trades)[1], _polars(table)[1])
    ours, theirs = [], []
    for number in range(settings.rounds):
        ours.append(settings.trades / _ours(trades)[0])
        theirs.append(settings.trades / _polars(table)[0])
        print(f"  round {number + 1}: {ours[-1]:12,.0f} trades/s, polars {theirs[-1]:12,.0f} trades/s", file=sys.stderr)
    return {
        "benchmark": "aggregate",
        "symbols": settings.symbols,
        "trades": settings.trades,
        "bars": bars,
        "polars_threads": pl.thread_pool_size(),
        "ours": _summary(ours),
        "polars": _summary(theirs),
        "ratio": _summary([one / other for one, other in zip(ours, theirs, strict=True)]),
    }


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _trades(settings: AggregateSettings) -> Iterator[Trade]:
    """Trades over an hour about midnight: some symbols trade all the time, most now and then (Zipf), in bursts."""
    random = Random(1)
    names = [f"S{number:04}" for number in range(settings.symbols)]
    weights = [1 / (rank + 1) for rank in range(settings.symbols)]
    prices = {name: random.randint(500, 50_000) for name in names}  # in cents
    times = sorted(round(_SPAN * random.random()) for _ in range(settings.trades))
    for time_ns, name in zip(times, random.choices(names, weights, k=settings.trades), strict=True):
        prices[name] = max(1, prices[name] + random.randint(-2, 2))
        yield Trade(name, _BEGIN + time_ns, prices[name] / 100, random.randint(1, 50_000) / 100)


def _table(trades: Sequence[Trade]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": [trade.symbol for trade in trades],
            "time": pl.Series([trade.exchange_timestamp for trade in trades], dtype=pl.Datetime("ns")),
            "price": [trade.price for trade in trades],
            "size": [trade.size for trade in trades],
        }
    ).set_sorted("time")


def _ours(trades: Sequence[Trade]) -> tuple[float, list[Bar]]:
    """The seconds that it took, and the bars."""
    aggregator = Aggregator(Aggregation(every_trade, sma=None, ema=None), AssetClass.CRYPTO)
    bars: list[Bar] = []
    began = time.perf_counter()
    for trade in trades:
        if finished := aggregator.add(trade):
            bars += finished
    bars += aggregator.finish()
    return time.perf_counter() - began, bars


def _polars(table: pl.DataFrame) -> tuple[float, Tables]:
    price, size = pl.col("price"), pl.col("size")
    began = time.perf_counter()
    found = {
        frequency: table.group_by_dynamic("time", every=every, group_by="symbol").agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            count=pl.len(),
            volume=size.sum(),
            vwap=(price * size).sum() / size.sum(),
        )
        for frequency, every in _EVERY.items()
    }
    return time.perf_counter() - began, found


def _check(ours: Sequence[Bar], theirs: Tables) -> int:
    """The count of bars, which both have made alike."""
    for frequency, table in theirs.items():
        made = sorted((bar for bar in ours if bar.frequency == frequency), key=lambda bar: (bar.symbol, bar.start))
        rows = (
            table.sort("symbol", "time").with_columns(pl.col("time").cast(pl.Int64)).select("symbol", "time", *_FIELDS)
        )
        if len(made) != len(rows):
            raise SystemExit(f"{frequency}: {len(made):,} bars of ours, {len(rows):,} of polars")
        for bar, (symbol, start, *values) in zip(made, rows.iter_rows(), strict=True):
            mine = [getattr(bar, name) for name in _FIELDS]
            exact = mine[:_EXACT] == values[:_EXACT] and (bar.symbol, bar.start) == (symbol, start)
            if not exact or not all(map(_close, mine[_EXACT:], values[_EXACT:])):
                raise SystemExit(f"the bars differ: {bar} of ours, {symbol} {start} {values} of polars")
    return len(ours)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)
