"""Bars and indicators as pure folds over trades: no clock, no I/O."""

from datafye_trio.aggregates.settings import Aggregation, EmaPeriods, SmaPeriods, TradeRule, Updates

__all__ = ["Aggregation", "EmaPeriods", "SmaPeriods", "TradeRule", "Updates"]
