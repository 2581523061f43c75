import pytest

from datafye_trio.aggregates import default_aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency
from datafye_trio.sources import Program


def test_the_default_dataset_takes_quotes_and_trades_of_any_stock():
    assert Program().dataset == DatasetInfo("Program", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES))


def test_a_dataset_from_arguments():
    program = Program("Mine", AssetClass.CRYPTO, (Channel.TRADES,), frozenset({"BTCUSD"}))
    assert program.dataset == DatasetInfo("Mine", AssetClass.CRYPTO, (Channel.TRADES,), symbols=frozenset({"BTCUSD"}))


def test_bars_are_its_own_or_made_of_its_trades_and_not_both():
    own = Program(channels=(Channel.AGGREGATES,), frequencies=(Frequency.DAY,))
    assert own.dataset.frequencies == (Frequency.DAY,)
    with pytest.raises(ConfigurationError, match="the bars of Program are either its own"):
        Program(channels=(Channel.AGGREGATES,), aggregation=default_aggregation("Program"))


async def test_it_never_ends_and_publishes_nothing(publisher, autojump_clock):
    await publisher.drive(Program(), seconds=86_400)
    assert autojump_clock.current_time() >= 86_400
    assert publisher.batches == []
