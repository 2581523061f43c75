from itertools import islice
from math import inf

import pytest
import trio

from datafye_trio.aggregates import default_aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Quote, Trade
from datafye_trio.sources import BATCH, QUICKSTART_SYMBOLS, Synthetic, SyntheticConfig, SyntheticMarket
from datafye_trio.sources.pacing import TICK


def market_events(config, start, count):
    return [event for _, event in islice(SyntheticMarket(config, start), count)]


def test_the_dataset_is_a_closed_list():
    expected = DatasetInfo(
        "Synthetic", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES), symbols=frozenset(QUICKSTART_SYMBOLS)
    )
    assert Synthetic().dataset == expected


def test_crypto_has_no_quotes():
    dataset = Synthetic(SyntheticConfig(AssetClass.CRYPTO, ("btc-usd",))).dataset
    assert dataset == DatasetInfo("Crypto", AssetClass.CRYPTO, (Channel.TRADES,), symbols=frozenset({"BTCUSD"}))


@pytest.mark.parametrize(
    ("channels", "kind"), [((Channel.TRADES, Channel.EMA), Trade), ((Channel.QUOTES,), Quote), ((), Trade)]
)
async def test_it_publishes_what_it_offers_and_the_trades_that_bars_need(
    channels, kind, publisher, start_ns, autojump_clock
):
    aggregation = None if channels == (Channel.QUOTES,) else "default"
    source = Synthetic(SyntheticConfig(channels=channels, aggregation=aggregation))
    assert source.dataset.channels == tuple(channel for channel in channels if channel is not Channel.EMA)
    await publisher.drive(source, stop_after=100)
    everything = market_events(SyntheticConfig(), start_ns, 3_000)
    assert publisher.events == [event for event in everything if type(event) is kind][: len(publisher.events)]


def test_bars_are_made_by_default_and_closed_by_the_wall_clock_only_if_it_is_market_time():
    assert Synthetic().aggregation == default_aggregation("Synthetic", live=True)
    for config in (SyntheticConfig(rate=inf), SyntheticConfig(start_ns=1)):
        assert Synthetic(config).aggregation == default_aggregation("Synthetic")
    assert Synthetic(SyntheticConfig(aggregation=None)).aggregation is None


def test_its_history_may_be_kept_back():
    assert Synthetic().history is not None
    assert Synthetic(SyntheticConfig(history=False)).history is None


@pytest.mark.parametrize("channels", [(), (Channel.EMA,), (Channel.QUOTES,)])
def test_a_market_with_nothing_to_offer_is_refused(channels):
    with pytest.raises(ConfigurationError, match="has nothing to offer"):
        SyntheticConfig(AssetClass.CRYPTO, channels=channels, aggregation=None)


async def test_it_publishes_its_market_from_now_on(publisher, start_ns, autojump_clock):
    config = SyntheticConfig(seed=4)
    await publisher.drive(Synthetic(config), stop_after=2_000)
    assert publisher.events == market_events(config, start_ns, len(publisher.events))


async def test_a_given_start_is_kept(publisher, autojump_clock):
    config = SyntheticConfig(start_ns=1_700_000_000_000_000_005)
    await publisher.drive(Synthetic(config), stop_after=100)
    assert publisher.events == market_events(config, config.start_ns, len(publisher.events))


@pytest.mark.unmeasured
@pytest.mark.parametrize(("rate", "count"), [(0.1, 50), (100.0, 5_000), (5_000.0, 50_000)])
async def test_an_event_is_published_when_its_market_time_has_come(rate, count, publisher, start_ns, autojump_clock):
    await publisher.drive(Synthetic(SyntheticConfig(rate=rate)), stop_after=count)
    assert count <= len(publisher.events) <= count + BATCH
    lateness = [
        at - (event.exchange_timestamp - start_ns) / 1e9
        for at, event in zip(publisher.arrivals, publisher.events, strict=True)
    ]
    assert min(lateness) > -1e-6
    assert max(lateness) <= TICK + 1e-6


@pytest.mark.unmeasured
async def test_a_stall_loses_nothing(publisher, start_ns, autojump_clock):
    async def stall():
        await trio.sleep(20 if len(publisher.batches) == 3 else 0)

    publisher.before = stall
    config = SyntheticConfig(rate=1_000.0)
    await publisher.drive(Synthetic(config), seconds=30.0)
    assert publisher.events == market_events(config, start_ns, len(publisher.events))
    assert len(publisher.events) == pytest.approx(30_000, abs=5)


async def test_at_the_highest_rate_it_asks_for_room_before_each_full_batch(publisher, start_ns, autojump_clock):
    config = SyntheticConfig(rate=inf)
    await publisher.drive(Synthetic(config), stop_after=5 * BATCH)
    assert [len(batch) for _, batch in publisher.batches] == [BATCH] * 5
    assert publisher.rooms >= 5
    assert publisher.arrivals[-1] == 0.0  # nothing slept
    assert publisher.events == market_events(config, start_ns, 5 * BATCH)
