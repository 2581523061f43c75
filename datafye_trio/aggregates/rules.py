"""Which trades make a bar: all of them, those that the US tape lets count, or a choice of one's own.

What Datafye's own aggregator leaves out is not documented, so it is a setting.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from datafye_trio.aggregates.settings import TradeRule, Updates
from datafye_trio.model import Trade

__all__ = ["consolidated", "every_trade", "only_conditions"]

_VOLUME: Final = Updates.VOLUME
_NOT_OPEN_CLOSE: Final = Updates.VOLUME | Updates.HIGH_LOW

# The update rules of the consolidated tapes by sale condition: "Trade Conditions" in the CTA's CTS Pillar output
# specification (appendix of sale conditions) and in the UTP's UTDF specification; NYSE's Daily TAQ uses the same
# letters. A letter that is not here updates everything, as the regular ones do: @ and none, A acquisition, D
# distribution, E automatic execution, F intermarket sweep, K rule 127/155, L sold last, O opening, S split, X cross,
# Y yellow flag, 1 stopped stock, 5 reopening, 6 closing. Where the tapes use a letter for two things the CTA's stands:
# B is an average price there and a bunched trade (everything) on the UTP's. The tapes let 4, G, P and Z set a last
# price where there is none yet that day; a bar is no day, and here they never do.
_RESTRICTED: Final = {
    "B": _VOLUME,  # average price
    "C": _VOLUME,  # cash sale
    "H": _VOLUME,  # price variation
    "I": _VOLUME,  # odd lot
    "N": _VOLUME,  # next day
    "R": _VOLUME,  # seller
    "T": _VOLUME,  # extended hours
    "U": _VOLUME,  # extended hours, out of sequence
    "V": _VOLUME,  # contingent
    "W": _VOLUME,  # average price (UTP)
    "7": _VOLUME,  # qualified contingent
    "4": _NOT_OPEN_CLOSE,  # derivatively priced
    "G": _NOT_OPEN_CLOSE,  # bunched, out of sequence (UTP)
    "P": _NOT_OPEN_CLOSE,  # prior reference price
    "Z": _NOT_OPEN_CLOSE,  # sold, out of sequence
    "9": Updates.HIGH_LOW | Updates.OPEN_CLOSE,  # corrected consolidated close: its volume was counted before
    "M": Updates.NOTHING,  # official close of a market: repeats the auction
    "Q": Updates.NOTHING,  # official open of a market: likewise
}


def every_trade(_: Trade) -> Updates:
    """Every trade counts for everything: what crypto exchanges publish as their bars."""
    return Updates.EVERYTHING


def consolidated(trade: Trade) -> Updates:
    """The US tapes' rules: what all sale conditions of a trade allow it to update."""
    return _allowed(trade.conditions) if trade.conditions else Updates.EVERYTHING


@lru_cache(maxsize=4_096)
def _allowed(conditions: tuple[str, ...]) -> Updates:
    updates = Updates.EVERYTHING
    for condition in conditions:
        updates &= _RESTRICTED.get(condition, Updates.EVERYTHING)
    return updates


def only_conditions(allowed: Iterable[str]) -> TradeRule:
    """A rule of one's own: trades with exactly these sale conditions count for everything, all others for nothing.

    Args:
        allowed: the letters of each combination in any order, such as `["", "F", "FI"]`; `""` is a trade without.
    """
    combinations = frozenset(map(frozenset, allowed))

    def rule(trade: Trade) -> Updates:
        return Updates.EVERYTHING if frozenset(trade.conditions or ()) in combinations else Updates.NOTHING

    return rule
