"""Bars and indicators as pure folds over trades: no clock, no I/O."""

from datafye_trio.aggregates.accumulator import Accumulator
from datafye_trio.aggregates.bars import Aggregator, fold_trades
from datafye_trio.aggregates.defaults import LIVE_GRACE, default_aggregation
from datafye_trio.aggregates.derivation import Derivation, Value
from datafye_trio.aggregates.event_time import event_time
from datafye_trio.aggregates.folding import fold_bars
from datafye_trio.aggregates.indicators import EmaFold, SmaFold
from datafye_trio.aggregates.rules import consolidated, every_trade, only_conditions
from datafye_trio.aggregates.settings import Aggregation, EmaPeriods, SmaPeriods, TradeRule, Updates
from datafye_trio.aggregates.spans import span_of

__all__ = [
    "Aggregation", "EmaPeriods", "SmaPeriods", "TradeRule", "Updates", "LIVE_GRACE", "default_aggregation",
    "consolidated", "every_trade", "only_conditions",
    "Accumulator", "Aggregator", "Derivation", "Value", "fold_bars", "fold_trades", "event_time", "span_of",
    "EmaFold", "SmaFold",
]  # fmt: skip
