"""What data exists and how it is addressed."""

from __future__ import annotations

import attrs
import pytest

from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency, Position, TopicKey


def test_names_as_on_datafyes_paths() -> None:
    assert list(AssetClass) == ["stocks", "crypto"]
    assert list(Channel) == ["quotes", "trades", "aggregates", "sma", "ema"]
    assert list(Frequency) == ["Second", "Minute", "Hour", "Day"]


def test_bars_and_indicators_have_a_frequency() -> None:
    assert [channel for channel in Channel if channel.has_frequency] == ["aggregates", "sma", "ema"]


def test_topics_are_keys() -> None:
    topic = TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "AAPL", Frequency.MINUTE)
    table = {topic: 1, attrs.evolve(topic, running=True): 2, attrs.evolve(topic, frequency=Frequency.HOUR): 3}
    assert table[TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "AAPL", Frequency.MINUTE)] == 1
    assert len(table) == 3
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        topic.symbol = "MSFT"  # type: ignore[misc]  # that it fails is the test


def test_a_dataset_takes_any_symbol_unless_it_lists_them() -> None:
    info = DatasetInfo("SIP", AssetClass.STOCKS, (Channel.QUOTES,))
    assert (info.frequencies, info.symbols) == ((), None)


def test_positions_are_equal_by_epoch_and_seq() -> None:
    assert Position("e", 1) == Position("e", 1)
    assert Position("e", 1) != Position("f", 1)
