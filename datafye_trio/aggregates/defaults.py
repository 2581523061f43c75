"""How a dataset's bars are made where nobody says otherwise."""

from __future__ import annotations

from typing import Final

from datafye_trio.aggregates.rules import consolidated, every_trade
from datafye_trio.aggregates.settings import Aggregation

__all__ = ["LIVE_GRACE", "default_aggregation"]

LIVE_GRACE: Final = 2.0
"""Seconds after the end of a quiet symbol's bar on a live feed: trades are mostly less than a second under way."""

_TAPES: Final = frozenset({"SIP"})


def default_aggregation(dataset: str, *, live: bool = False) -> Aggregation:
    """All trades, but by the rules of the tape for the SIP, which carries that tape.

    Args:
        dataset: the dataset's name.
        live: whether market time follows the wall clock, so that a quiet symbol's bar can be closed by it.
    """
    rule = consolidated if dataset in _TAPES else every_trade
    return Aggregation(rule, grace=LIVE_GRACE if live else None)
