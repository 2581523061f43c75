import csv
import gzip
import tracemalloc
from math import inf

import pytest
import trio

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Quote, Trade
from datafye_trio.sources import BATCH, Replay, ReplayConfig
from datafye_trio.sources.pacing import TICK

SECOND = 10**9
TRADES = "symbol,ts_ns,recv_ns,price,size,trade_id\n"
QUOTES = "symbol,ts_ns,recv_ns,bid_price,bid_size,ask_price,ask_size\n"


def replay(*paths, **settings):
    return Replay(ReplayConfig(paths, **{"dataset": "SIP", "speed": inf} | settings))


async def ids(publisher, source):
    """The trade ids (or the bid sizes of quotes) in the order published."""
    await source.run(publisher)
    return [event.trade_id if isinstance(event, Trade) else event.bid_size for event in publisher.events]


def test_the_channels_are_those_of_the_files(write):
    trades, quotes = write("t.csv", TRADES), write("q.csv", QUOTES)
    assert replay(trades).dataset == DatasetInfo("SIP", AssetClass.STOCKS, (Channel.TRADES,))
    assert replay(quotes).dataset == DatasetInfo("SIP", AssetClass.STOCKS, (Channel.QUOTES,))
    both = replay(trades.parent, dataset="Crypto").dataset
    assert both == DatasetInfo("Crypto", AssetClass.CRYPTO, (Channel.QUOTES, Channel.TRADES))


@pytest.mark.parametrize(
    ("settings", "asset_class"),
    [
        ({"dataset": "Crypto"}, AssetClass.CRYPTO),
        ({"dataset": "Crypto", "asset_class": AssetClass.STOCKS}, AssetClass.STOCKS),
        ({"dataset": "crypto"}, AssetClass.STOCKS),
        ({"dataset": "Coins", "asset_class": AssetClass.CRYPTO}, AssetClass.CRYPTO),
    ],
)
def test_the_asset_class_goes_by_the_dataset_unless_given(write, settings, asset_class):
    assert replay(write("t.csv", TRADES), **settings).dataset.asset_class is asset_class


def test_one_path_may_be_a_text(write):
    assert ReplayConfig(str(write("t.csv", TRADES)), "SIP").paths[0].name == "t.csv"


async def test_files_merge_by_the_time_of_receipt_where_all_have_it(write, publisher):
    write("t.csv", TRADES + "A,50,10,1,1,t10\nA,60,30,1,1,t30\n")
    path = write("q.csv", QUOTES + "A,1,20,1,20,2,1\nA,2,40,1,40,2,1\n").parent
    assert await ids(publisher, replay(path)) == ["t10", 20, "t30", 40]
    assert [event.exchange_timestamp for event in publisher.events] == [50, 1, 60, 2]


async def test_files_merge_by_the_exchange_time_where_one_lacks_the_time_of_receipt(write, publisher):
    write("t.csv", TRADES + "A,10,999,1,1,t10\nA,30,1,1,1,t30\n")
    path = write("q.csv", QUOTES.replace("recv_ns,", "") + "A,20,1,20,2,1\nA,40,1,40,2,1\n").parent
    assert await ids(publisher, replay(path)) == ["t10", 20, "t30", 40]


def test_files_without_a_common_time_are_named(write):
    write("t.csv", TRADES.replace("recv_ns,", ""))
    path = write("q.csv", QUOTES.replace("ts_ns,", "")).parent
    with pytest.raises(SourceError, match=r"no column of times: .*q\.csv lacks ts_ns, .*t\.csv lacks recv_ns"):
        replay(path)


async def test_ties_go_in_file_order_trades_before_quotes(write, publisher):
    quotes = write("a.csv", QUOTES + "A,1,5,1,1,2,1\nA,1,5,1,2,2,1\nA,1,6,1,3,2,1\n")
    later = write("b.csv", TRADES + "A,1,5,1,1,b1\nA,1,5,1,1,b2\nA,1,6,1,1,b3\n")
    first = write("c.csv", TRADES + "A,1,5,1,1,c1\nA,1,6,1,1,c2\n")
    order = ["c1", "b1", "b2", 1, 2, "c2", "b3", 3]
    assert await ids(publisher, replay(quotes, first, later)) == order


async def test_a_file_whose_times_go_back_keeps_its_order(write, publisher):
    write("t.csv", TRADES + "A,1,10,1,1,t1\nA,1,30,1,1,t2\nA,1,5,1,1,t3\nA,1,40,1,1,t4\n")
    path = write("q.csv", QUOTES + "A,1,7,1,7,2,1\nA,1,35,1,35,2,1\n").parent
    assert await ids(publisher, replay(path)) == [7, "t1", "t2", "t3", 35, "t4"]


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, [0, 1, 61]), (10.0, [0, 0.1, 6.1]), (0.5, [0, 2, 122])])
async def test_the_pace_is_that_of_the_recording_times_the_speed(write, publisher, autojump_clock, speed, seconds):
    rows = "".join(f"A,{7},{1_000_000_000 * n},1,1,x\n" for n in (500, 501, 561))
    await replay(write("t.csv", TRADES + rows), speed=speed).run(publisher)
    assert publisher.arrivals == pytest.approx(seconds, abs=TICK)
    assert publisher.rooms == 0


async def test_full_speed_asks_for_room_before_each_full_batch(write, publisher, autojump_clock):
    rows = "".join(f"A,{n * SECOND},{n * SECOND},1,1,{n}\n" for n in range(2 * BATCH + 1))
    await replay(write("t.csv", TRADES + rows)).run(publisher)
    assert [len(batch) for _, batch in publisher.batches] == [BATCH, BATCH, 1]
    assert publisher.rooms >= 3
    assert publisher.arrivals[-1] == 0.0


@pytest.mark.parametrize("speed", [1.0, inf])
async def test_it_ends_with_its_files(write, publisher, autojump_clock, speed):
    source = replay(write("t.csv", TRADES + "A,1,1,1,1,x\n"), speed=speed)
    await source.run(publisher)
    assert len(publisher.events) == 1


@pytest.mark.parametrize("speed", [1.0, inf])
@pytest.mark.parametrize("loop", [False, True])
async def test_files_without_rows_end_at_once_even_in_a_loop(write, publisher, autojump_clock, speed, loop):
    with trio.fail_after(1):
        await replay(write("t.csv", TRADES), speed=speed, loop=loop).run(publisher)
    assert publisher.events == []


async def test_a_loop_begins_again_with_the_times_of_the_file(write, publisher, autojump_clock):
    path = write("t.csv", TRADES + f"A,1,{SECOND},1,1,a\nA,2,{3 * SECOND},1,1,b\n")
    await publisher.drive(replay(path, speed=1.0, loop=True), stop_after=5)
    assert [event.trade_id for event in publisher.events] == ["a", "b", "a", "b", "a"]
    assert [event.exchange_timestamp for event in publisher.events] == [1, 2, 1, 2, 1]
    assert publisher.arrivals == pytest.approx([0, 2, 2, 4, 4], abs=3 * TICK)


async def test_a_loop_at_full_speed(write, publisher, autojump_clock):
    path = write("t.csv", TRADES + "A,1,1,1,1,a\nA,2,2,1,1,b\n")
    await publisher.drive(replay(path, loop=True), stop_after=100)
    assert [event.trade_id for event in publisher.events] == ["a", "b"] * 50


async def test_a_loop_gives_clients_a_chance_even_where_a_file_spans_no_time(write, publisher, autojump_clock):
    path = write("t.csv", TRADES + "A,1,1,1,1,a\n")
    await publisher.drive(replay(path, speed=1.0, loop=True), stop_after=10)
    assert publisher.rooms >= 9


async def test_it_waits_for_clients_and_a_little_more(write, publisher, autojump_clock, nursery):
    source = replay(write("t.csv", TRADES + "A,1,1,1,1,a\n"), wait_for_client=3)
    nursery.start_soon(source.run, publisher)
    await trio.sleep(60)
    assert publisher.batches == []
    assert publisher.asked_topics == [3]
    publisher.subscribed.set()
    await trio.sleep(1)
    assert publisher.arrivals == pytest.approx([60.2])


async def test_a_malformed_row_ends_it_after_the_rows_before(write, publisher, autojump_clock):
    path = write("t.csv", TRADES + "A,1,1,1,1,a\nA,2,2,1,1,b\nA,3,3,zero,1,c\nA,4,4,1,1,d\n")
    for speed in (1.0, inf):
        publisher.batches.clear()
        with pytest.raises(SourceError, match=r"t\.csv, line 4: 'zero' is no price"):
            await replay(path, speed=speed).run(publisher)
        assert [event.trade_id for event in publisher.events] == ["a", "b"]


async def test_a_first_row_that_is_malformed(write, publisher, autojump_clock):
    path = write("t.csv", TRADES + "A,1,1,1,-1,a\n")
    with pytest.raises(SourceError, match="line 2"):
        await replay(path, speed=1.0).run(publisher)


async def test_it_reads_no_further_than_it_publishes(write, publisher, autojump_clock, nursery):
    """The row that is broken lies an hour ahead; until then nothing is wrong."""
    path = write("t.csv", TRADES + f"A,1,1,1,1,a\nA,2,{3600 * SECOND},1,1,b\nbroken\n")
    with trio.move_on_after(1800):
        await replay(path, speed=1.0).run(publisher)
    assert [event.trade_id for event in publisher.events] == ["a"]


async def test_cancelled_in_the_middle_it_closes_its_files(write, publisher, autojump_clock):
    """Warnings are errors here: a file left open would fail the test."""
    path = write("t.csv", TRADES + "".join(f"A,1,{n * SECOND},1,1,{n}\n" for n in range(5_000)))
    with trio.move_on_after(10.5):
        await replay(path, path, speed=1.0).run(publisher)
    assert len(publisher.events) == 22


@pytest.mark.unmeasured
async def test_memory_is_bounded(tmp_path, autojump_clock):
    class Counter:
        count = 0

        async def publish(self, events):
            self.count += len(events)
            await trio.lowlevel.checkpoint()

        async def room(self):
            await trio.lowlevel.checkpoint()

        async def mark(self, mark):
            await trio.lowlevel.checkpoint()

    path = tmp_path / "t.csv.gz"
    rows = 60_000
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(TRADES + "".join(f"A,{n},{n},{n}.25,{n},{n}\n" for n in range(rows)))
    counter, source = Counter(), replay(path)
    tracemalloc.start()
    try:
        await source.run(counter)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counter.count == rows
    assert peak < 30 * rows  # an event alone takes more than 30 bytes a row: the rows were never all there at once


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"paths": ()}, "at least one file"),
        ({"speed": 0.0}, "above 0"),
        ({"speed": float("nan")}, "nan is not"),
        ({"wait_for_client": 0}, "at least 1 topic"),
        ({"start": 5, "end": 5}, "its from is not before its to"),
    ],
)
def test_a_bad_setting_is_named(settings, text):
    with pytest.raises(ConfigurationError, match=text):
        ReplayConfig(**{"paths": "t.csv", "dataset": "SIP"} | settings)


# The two large sets go through a whole server, in tests/end_to_end/test_replay.py.
SETS = [
    ("crypto_usdm_running_bars_20210722", "Crypto", 91, 613),
    ("crypto_xrpeth_trades_20191011", "Crypto", 12_477, 0),
    ("equity_qqq_databento_20230328", "SIP", 4, 4),
]


def cells(folder, kind):
    """The rows of a sample, read once more in the plainest way."""
    for path in sorted(folder.glob(f"{kind}.csv*")):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            yield from csv.DictReader(file)


@pytest.mark.parametrize(("name", "dataset", "trades", "quotes"), SETS)
async def test_recordings_arrive_whole_and_in_order(name, dataset, trades, quotes, sample, publisher):
    folder = sample(name)
    await replay(folder, dataset=dataset).run(publisher)
    by_kind = {kind: [event for event in publisher.events if type(event) is kind] for kind in (Trade, Quote)}
    assert (len(by_kind[Trade]), len(by_kind[Quote])) == (trades, quotes)
    for trade, row in zip(by_kind[Trade], cells(folder, "trades"), strict=True):
        assert (trade.symbol, trade.price, trade.size) == (row["symbol"], float(row["price"]), float(row["size"]))
        assert trade.exchange_timestamp == int(row["ts_ns"])
        assert trade.trade_id == row.get("trade_id", row.get("last_trade_id"))
        assert trade.conditions == (tuple(row.get("conditions", "").strip()) or None)
    for quote, row in zip(by_kind[Quote], cells(folder, "quotes"), strict=True):
        assert quote.exchange_timestamp == int(row.get("ts_ns", row.get("recv_ns")))
        assert quote.symbol == row["symbol"]
        for side in ("bid", "ask"):
            price = row[f"{side}_price"]
            assert getattr(quote, f"{side}_price") == (float(price) if price else None)
            assert getattr(quote, f"{side}_size") == float(row[f"{side}_size"])


@pytest.mark.parametrize(("settings", "said"), [({}, False), ({"start": 21}, True), ({"end": 10}, True)])
async def test_a_range_without_events_is_told(write, publisher, caplog, settings, said):
    await replay(write("t.csv", TRADES + "A,10,10,1,1,1\nA,20,20,1,1,2\n"), **settings).run(publisher)
    assert ("no event lies in the range" in caplog.text) is said
    assert bool(publisher.events) is not said
