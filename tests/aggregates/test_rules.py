from __future__ import annotations

import pytest

from datafye_trio.aggregates import consolidated, every_trade, only_conditions
from datafye_trio.aggregates.settings import Updates
from datafye_trio.model import Trade

VOLUME, HIGH_LOW = Updates.VOLUME, Updates.VOLUME | Updates.HIGH_LOW


def trade(conditions: str) -> Trade:
    return Trade("A", 0, 1.0, 1, conditions=tuple(conditions) or None)


@pytest.mark.parametrize(
    ("conditions", "updates"),
    [
        *[(letters, Updates.EVERYTHING) for letters in ("", "@", "F", "O", "6", "@F", "E", "5", "L", "X")],
        *[(letters, VOLUME) for letters in ("I", "B", "C", "N", "R", "T", "U", "V", "7", "W", "H")],
        *[(letters, HIGH_LOW) for letters in ("4", "Z", "P", "G")],
        ("M", Updates.NOTHING),
        ("Q", Updates.NOTHING),
        ("9", Updates.HIGH_LOW | Updates.OPEN_CLOSE),
        ("FTI", VOLUME),  # all of them must allow an update
        ("4B", VOLUME),
        ("FZ", HIGH_LOW),
        ("9T", Updates.NOTHING),
        ("?", Updates.EVERYTHING),
    ],
)
def test_the_tape_s_rules(conditions: str, updates: Updates) -> None:
    assert consolidated(trade(conditions)) is updates


def test_every_trade_counts_whatever_its_conditions() -> None:
    assert every_trade(trade("MQT")) is Updates.EVERYTHING


def test_a_filter_of_one_s_own_takes_whole_combinations_in_any_order() -> None:
    rule = only_conditions(["", "F", "FI"])
    taken = {text for text in ("", "F", "FI", "IF", "I", "FIT") if rule(trade(text)) is Updates.EVERYTHING}
    assert taken == {"", "F", "FI", "IF"}
    assert rule(trade("T")) is Updates.NOTHING
