"""Bars and indicators in one stream: which come, in which order, and what a correction does to the lines."""

from __future__ import annotations

import attrs
import pytest

from datafye_trio.aggregates import Aggregation, Derivation, EmaPeriods, SmaPeriods, consolidated, every_trade
from datafye_trio.model import AssetClass, Bar, Ema, Frequency, Sma, Trade

SECOND = 1_000_000_000
SECONDS = Aggregation(every_trade, (Frequency.SECOND,), sma=SmaPeriods(2, 3), ema=EmaPeriods(2, 3, 2))


def at(seconds: float, price: float, conditions: str = "") -> Trade:
    return Trade("A", round(seconds * SECOND), price, 1, conditions=tuple(conditions) or None)


def derive(aggregation: Aggregation, *trades: Trade) -> list[Bar | Sma | Ema]:
    derivation = Derivation(aggregation, AssetClass.STOCKS)
    return [*(value for trade in trades for value in derivation.add(trade)), *derivation.finish()]


def test_each_bar_comes_before_its_indicators() -> None:
    values = derive(SECONDS, at(0, 1), at(1, 2))
    assert [type(value) for value in values] == [Bar, Sma, Ema] * 2


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"sma": None}, [Bar, Ema]),
        ({"ema": None}, [Bar, Sma]),
        ({"sma": None, "ema": None}, [Bar]),
        ({"frequencies": (), "sma_frequencies": (Frequency.SECOND,)}, [Sma]),
        ({"ema_frequencies": (Frequency.DAY,)}, [Bar, Sma, Ema]),
    ],
)
def test_what_is_not_offered_does_not_come(changes: dict[str, object], kinds: list[type]) -> None:
    assert [type(value) for value in derive(attrs.evolve(SECONDS, **changes), at(0, 1))] == kinds


def test_a_correction_of_the_newest_bar_changes_the_lines_from_there_on() -> None:
    values = derive(SECONDS, at(0, 1), at(1, 2), at(0.5, 4), at(2, 0))
    assert [value.revision for value in values if type(value) is Bar] == [None, 1, None, None]
    assert [(value.price, value.fast_line.ma) for value in values if type(value) is Sma] == [(1, 1), (2, 3), (0, 1)]


def test_a_bar_that_comes_late_for_the_first_time_or_is_corrected_behind_the_newest_leaves_the_lines() -> None:
    plain = derive(SECONDS, at(0, 1), at(2, 2), at(3, 3), at(4, 4))
    late = derive(SECONDS, at(0, 1), at(2, 2), at(3, 3), at(1, 9), at(0.5, 9), at(4, 4))
    lines = [[value for value in values if type(value) is not Bar] for values in (plain, late)]
    assert lines[0] == lines[1]
    assert len(late) == len(plain) + 2


def test_a_bar_without_a_close_has_no_indicators() -> None:
    values = derive(attrs.evolve(SECONDS, rule=consolidated), at(0, 1, "I"), at(1, 2))
    assert [(type(value), getattr(value, "close", None)) for value in values] == [
        (Bar, None), (Bar, 2), (Sma, None), (Ema, None),
    ]  # fmt: skip


def test_indicators_begin_anew_after_the_end_and_after_a_jump() -> None:
    derivation = Derivation(SECONDS, AssetClass.STOCKS)
    for begin_anew in (derivation.finish, derivation.reset):
        derivation.add(at(0, 1))
        *_, ema = derivation.add(at(1, 2))
        assert isinstance(ema, Ema)
        assert ema.fast_line.count == 1
        begin_anew()


def test_indicators_begin_anew_where_market_time_does() -> None:
    derivation = Derivation(SECONDS, AssetClass.STOCKS)
    derivation.add(at(0, 1))
    derivation.add(at(10**6, 9))
    ends = [value for n in range(100) for value in derivation.add(at(1 + n / 1_000, 2))]
    assert [type(value) for value in ends] == [Bar, Sma, Ema]  # those of the time far ahead
    derivation.add(at(2, 3))
    _, sma, _ = derivation.add(at(3, 4))
    assert isinstance(sma, Sma)
    assert (sma.price, sma.slow_line.count) == (3, 1)
