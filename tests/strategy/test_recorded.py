"""What a strategy can be run on: lists, files, folders, recordings that are open, and damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import trio
from recordings.kit import NOON, record, trades
from strategy.kit import SECOND, at, quote, trade
from strategy.ways import BARS, DAY, JUMPY, moment

from datafye_trio.errors import ConfigurationError, EventError, FeedError, SourceError, SubscriptionError
from datafye_trio.model import AssetClass, Bar, Channel, Event, FeedItem, Timed, Trade
from datafye_trio.recordings.base import Selection
from datafye_trio.strategy import Feed, RecordingOptions, run_on_recording
from datafye_trio.strategy.recorded import EventList, open_recorded


async def all_trades(feed: Feed) -> list[FeedItem]:
    async with feed.trades("*") as sub:
        return [item async for item in sub]


def test_what_is_no_recording(tmp_path: Path) -> None:
    for wrong in (7, None, object()):
        with pytest.raises(ConfigurationError, match="a recording is a path, or a list of events"):
            run_on_recording(all_trades, wrong)  # type: ignore[arg-type]
    with pytest.raises(SourceError):
        run_on_recording(all_trades, tmp_path / "missing.csv")
    with pytest.raises(EventError, match="int is no market event"):
        run_on_recording(all_trades, b"trades")  # type: ignore[arg-type]


def test_an_empty_recording_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    for nothing in ([], iter(())):
        assert run_on_recording(all_trades, nothing) == []
    assert run_on_recording(all_trades, DAY, RecordingOptions(start=at(1_000))) == []
    told = [record.getMessage() for record in caplog.records]
    assert told == ["nothing was played: no event lies in the range"] * 3

    async def strategy(feed: Feed) -> tuple[int, bool]:
        return feed.now(), await feed.sleep_until(feed.now() + 1)

    assert run_on_recording(strategy, [], RecordingOptions(start=at(7))) == (at(7), False)
    assert run_on_recording(strategy, []) == (0, False)


def test_a_list_in_any_order_and_a_generator() -> None:
    wanted = [one for one in DAY if type(one) is Trade]
    turned = wanted[::-1]
    assert run_on_recording(all_trades, turned) == sorted(turned, key=moment)
    assert run_on_recording(all_trades, (one for one in DAY)) == wanted


def test_start_and_end_and_what_lies_before() -> None:
    async def strategy(feed: Feed) -> Any:
        assert feed.now() == at(5)
        async with feed.history("*", start=at(0), channel="trades") as stored:
            before = [item async for item in stored]
        return before, await all_trades(feed)

    before, played = run_on_recording(strategy, DAY, RecordingOptions(start=at(5), end=at(7)))
    found = [one for one in DAY if type(one) is Trade]
    assert before == [one for one in found if moment(one) < at(5)]
    assert played == [one for one in found if at(5) <= moment(one) < at(7)]
    with pytest.raises(ConfigurationError, match="start must be before end"):
        RecordingOptions(start=2, end=2)


@pytest.mark.parametrize("options", [{}, {"aggregation": BARS}, {"aggregation": None}])
def test_bars_are_made_of_trades_unless_the_recorded_ones_are_wanted(options: dict[str, Any]) -> None:
    async def strategy(feed: Feed) -> list[Any]:
        async with feed.bars("*", frequency="Second") as sub:
            return [item async for item in sub]

    recorded = Bar("AAPL", "Second", at(1), 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0)
    found = run_on_recording(strategy, [*JUMPY, recorded], RecordingOptions(**options))
    assert (found == [recorded]) == ("aggregation" in options and options["aggregation"] is None)
    assert found


def test_names_and_asset_classes_of_lists() -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("btc-usd", dataset="Crypto") as sub:
            return [item async for item in sub]

    events = [trade(1, "BTCUSD")]
    assert run_on_recording(strategy, events, RecordingOptions(dataset="Crypto")) == events
    assert run_on_recording(strategy, events, RecordingOptions(asset_class=AssetClass.CRYPTO)) == events
    with pytest.raises(SubscriptionError, match="UNKNOWN_DATASET"):
        run_on_recording(strategy, events)


def test_a_folder_of_parquet_and_which_dataset_of_several(tmp_path: Path) -> None:
    record(tmp_path, trades(50))
    assert [one.size for one in run_on_recording(all_trades, tmp_path)] == list(range(50))  # type: ignore[union-attr]
    record(tmp_path, trades(3, symbol="BTCUSD"), dataset="Crypto", asset_class=AssetClass.CRYPTO)
    with pytest.raises(ConfigurationError, match=r"several datasets: name one of .*Crypto.*\(dataset\)"):
        run_on_recording(all_trades, str(tmp_path))
    assert len(run_on_recording(all_trades, str(tmp_path), RecordingOptions(dataset="Crypto"))) == 3


def test_a_tick_csv_file(write: Callable[[str, str], Path]) -> None:
    rows = "".join(f"A,{NOON + n * SECOND},{100 + n},{n + 1},{n},P,\n" for n in range(20))
    path = write("trades.csv", f"symbol,ts_ns,price,size,trade_id,exchange,conditions\n{rows}")
    found = run_on_recording(all_trades, path, RecordingOptions(dataset="SIP"))
    assert [(moment(one), one.size) for one in found] == [(NOON + n * SECOND, n + 1) for n in range(20)]  # type: ignore[union-attr]


def test_a_recording_that_is_open(tmp_path: Path) -> None:
    opened = open_recorded(record(tmp_path, trades(5)))
    for _ in range(2):
        assert len(run_on_recording(all_trades, opened)) == 5


class Torn:
    """A recording that cannot be read to its end."""

    name, asset_class, channels, indexed = "Torn", AssetClass.STOCKS, (Channel.TRADES,), True

    def __init__(self, events: list[Event], error: Exception) -> None:
        self.events = events
        self.error = error
        self.closed = 0

    def read(self, selection: Selection) -> Generator[Timed]:
        try:
            for event in self.events:
                yield moment(event), event
            raise self.error
        finally:
            self.closed += 1


def test_a_damaged_file_ends_the_feed_after_what_was_read() -> None:
    torn = Torn([trade(1), trade(2), trade(2)], SourceError("row 4 is torn"))
    seen: list[FeedItem] = []

    async def strategy(feed: Feed) -> str:
        async with feed.trades("*") as sub:
            with pytest.raises(FeedError, match=r"cannot be read any further: row 4 is torn") as caught:
                async for item in sub:
                    seen.append(item)  # noqa: PERF401 -- kept, though it fails
        with pytest.raises(FeedError, match="row 4"):
            await feed.sleep_until(at(99))
        with pytest.raises(FeedError, match="row 4"):
            await feed.quotes("A").__aenter__()
        return type(caught.value.__cause__).__name__

    assert run_on_recording(strategy, torn) == "SourceError"
    assert seen == torn.events
    assert torn.closed == 1


def test_a_damaged_file_that_the_strategy_has_not_met_is_told() -> None:
    async def strategy(feed: Feed) -> None:
        await trio.sleep(10)

    with pytest.raises(FeedError, match="row 4"):
        run_on_recording(strategy, Torn([trade(1)], SourceError("row 4 is torn")))


def test_an_event_that_is_not_sound() -> None:
    async def strategy(feed: Feed) -> None:
        await all_trades(feed)

    with pytest.raises(FeedError, match="'a' is not in normal form"):
        run_on_recording(strategy, Torn([trade(1), trade(2, "a")], SourceError("")))


def test_a_bug_in_a_recording_comes_bare_and_the_files_are_closed() -> None:
    torn = Torn([trade(1)], ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError, match="bug"):
        run_on_recording(all_trades, torn)
    assert torn.closed == 1


def test_a_list_says_what_it_has() -> None:
    made = EventList.of([quote(2), trade(1)], "SIP", AssetClass.STOCKS)
    assert made.channels == (Channel.QUOTES, Channel.TRADES)
    assert [time for time, _ in made.read()] == [at(1), at(2)]
