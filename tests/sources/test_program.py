from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.sources import Program


def test_the_default_dataset_takes_quotes_and_trades_of_any_stock():
    assert Program().dataset == DatasetInfo("Program", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES))


def test_a_dataset_from_arguments():
    program = Program("Mine", AssetClass.CRYPTO, (Channel.TRADES,), frozenset({"BTCUSD"}))
    assert program.dataset == DatasetInfo("Mine", AssetClass.CRYPTO, (Channel.TRADES,), symbols=frozenset({"BTCUSD"}))


async def test_it_never_ends_and_publishes_nothing(publisher, autojump_clock):
    await publisher.drive(Program(), seconds=86_400)
    assert autojump_clock.current_time() >= 86_400
    assert publisher.batches == []
