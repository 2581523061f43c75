"""What a source's dataset has in the end."""

from __future__ import annotations

import pytest

from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency
from datafye_trio.sources.offers import aggregation_of, offered, places_of

SECOND, MINUTE, HOUR = Frequency.SECOND, Frequency.MINUTE, Frequency.HOUR
TICKS = DatasetInfo("X", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES))


class Folding:
    aggregation = Aggregation(every_trade)


class Silent:
    aggregation = None


def test_a_source_says_how_its_trades_are_folded_if_they_are() -> None:
    assert aggregation_of(Folding()) is Folding.aggregation
    assert aggregation_of(Silent()) is None
    assert aggregation_of(object()) is None


def test_without_folding_it_is_what_the_source_says() -> None:
    assert offered(TICKS, None) is TICKS
    assert list(places_of(TICKS, None)) == [(Channel.QUOTES, None, False), (Channel.TRADES, None, False)]


@pytest.mark.parametrize("own", [(), (Channel.QUOTES,), (Channel.QUOTES, Channel.TRADES)])
def test_what_is_made_of_trades_comes_on_top_in_order(own: tuple[Channel, ...]) -> None:
    aggregation = Aggregation(every_trade, (MINUTE, SECOND), sma=None, ema_frequencies=(HOUR,))
    info = offered(DatasetInfo("X", AssetClass.STOCKS, own, symbols=frozenset({"A"})), aggregation)
    assert info.channels == (*own, Channel.AGGREGATES, Channel.EMA)
    assert info.frequencies == (SECOND, MINUTE, HOUR)
    assert info.symbols == {"A"}
    assert [place for place in places_of(info, aggregation) if place[1] is not None] == [
        (Channel.AGGREGATES, SECOND, False), (Channel.AGGREGATES, SECOND, True),
        (Channel.AGGREGATES, MINUTE, False), (Channel.AGGREGATES, MINUTE, True),
        (Channel.EMA, HOUR, False),
    ]  # fmt: skip


def test_bars_of_its_own_go_by_its_own_frequencies() -> None:
    info = DatasetInfo("X", AssetClass.STOCKS, (Channel.AGGREGATES, Channel.SMA), (MINUTE, HOUR))
    assert list(places_of(info, None)) == [
        (Channel.AGGREGATES, MINUTE, False), (Channel.AGGREGATES, MINUTE, True),
        (Channel.AGGREGATES, HOUR, False), (Channel.AGGREGATES, HOUR, True),
        (Channel.SMA, MINUTE, False), (Channel.SMA, HOUR, False),
    ]  # fmt: skip
