"""The US tapes' rules on two days of a real tape, beside the exchange's official closes and a vendor's table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datafye_trio.aggregates import Aggregation, TradeRule, Updates, consolidated, every_trade, fold_trades
from datafye_trio.aggregates.rules import _RESTRICTED
from datafye_trio.model import AssetClass, Bar, Frequency, Trade
from datafye_trio.recordings.opening import open_recordings

MINUTE = 60_000_000_000
DAYS = (1_514_851_200, 1_514_937_600)  # 2018-01-02 and 2018-01-03, UTC
OPENING, CLOSING = 14 * 3_600 + 30 * 60, 21 * 3_600  # of the regular session, in seconds of the UTC day
OFFICIAL_CLOSES = [157.04, 157.28]


@pytest.fixture(scope="module")
def trades(sample: Callable[[str], Path]) -> list[Trade]:
    path = sample("equity_xxx_taq_20180102") / "trades.csv.gz"
    (recording,) = open_recordings([path], dataset="SIP")
    return [event for _, event in recording.read() if isinstance(event, Trade)]


def made(trades: list[Trade], rule: TradeRule, frequency: Frequency) -> dict[int, Bar]:
    aggregation = Aggregation(rule, (frequency,), sma=None, ema=None)
    return {bar.start: bar for bar in fold_trades(trades, aggregation, AssetClass.STOCKS)}


@pytest.mark.unmeasured
def test_each_day_closes_at_the_official_close(trades: list[Trade]) -> None:
    assert [bar.close for bar in made(trades, consolidated, Frequency.DAY).values()] == OFFICIAL_CLOSES
    messages = [trade for trade in trades if "M" in (trade.conditions or ()) and trade.exchange_id == "XNYS"]
    assert [trade.price for trade in messages] == OFFICIAL_CLOSES
    assert [bar.close for bar in made(trades, every_trade, Frequency.DAY).values()] != OFFICIAL_CLOSES


def test_the_last_eligible_print_is_the_closing_auction(trades: list[Trade]) -> None:
    eligible = [trade for trade in trades if Updates.OPEN_CLOSE in consolidated(trade)]
    assert len(eligible) < len(trades)
    second_day = DAYS[1] * 1_000_000_000
    last = [
        [trade for trade in eligible if (trade.exchange_timestamp < second_day) is first][-1] for first in (True, False)
    ]
    assert [(trade.price, trade.exchange_id, "6" in (trade.conditions or ())) for trade in last] == [
        (price, "XNYS", True) for price in OFFICIAL_CLOSES
    ]


@pytest.mark.unmeasured
def test_minutes_agree_with_those_of_all_trades_as_often_as_measured(trades: list[Trade]) -> None:
    session = [
        second * 1_000_000_000
        for day in DAYS
        for second in range(day + OPENING, day + CLOSING, MINUTE // 1_000_000_000)
    ]
    ours, everything = (made(trades, rule, Frequency.MINUTE) for rule in (consolidated, every_trade))
    agreeing = {
        field: sum(getattr(ours[start], field) == getattr(everything[start], field) for start in session)
        for field in ("open", "high", "low", "close", "volume")
    }
    assert len(session) == 780
    assert agreeing == {"open": 443, "high": 418, "low": 475, "close": 416, "volume": 778}


ANOTHER_MEANING = {("UTP", "B"), ("CTA", "I")}
"""Letters of one tape whose rule here is another one's: B is the CTA's average price, I an odd lot since 2013."""


def test_the_table_is_that_of_a_vendor(sample: Callable[[str], Path]) -> None:
    path = sample("reference_polygon_fixtures") / "conditions_stocks_first10.json"
    compared = set()
    for condition in json.loads(path.read_text())["results"]:
        rules = condition["update_rules"]["consolidated"]
        expected = Updates.NOTHING
        for name, update in (
            ("updates_volume", Updates.VOLUME),
            ("updates_high_low", Updates.HIGH_LOW),
            ("updates_open_close", Updates.OPEN_CLOSE),
        ):
            expected |= update if rules[name] else Updates.NOTHING
        for tape, letter in condition["sip_mapping"].items():
            if (tape, letter) not in ANOTHER_MEANING:
                assert _RESTRICTED.get(letter, Updates.EVERYTHING) == expected, (
                    f"{condition['name']}: {letter} ({tape})"
                )
                compared.add(letter)
    assert compared == set("ABWEGC6X4")
