"""Replay of recordings: which dataset, what of it, and what becomes of recorded bars; and a part of any files."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
import trio
from sources.kit import START_NS, NotingPublisher
from support import RawClient, memory_server
from trio.testing import MockClock

from datafye_trio.aggregates import Aggregation, default_aggregation
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Bar, Channel, Event, Frequency, Line, Quote, Sma, Trade
from datafye_trio.recordings.schema import make_schema
from datafye_trio.recordings.writer import RecordingWriter
from datafye_trio.sources import (
    Aggregating,
    Controllable,
    Historical,
    HistoryQuery,
    Mark,
    PlayState,
    Replay,
    ReplayConfig,
)

pytest.importorskip("pyarrow")

S = 10**9
START = START_NS
STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
TICKS: list[tuple[Channel, Event]] = [
    (Channel.TRADES, Trade("A", START, 1.0, 0)),
    (Channel.QUOTES, Quote("A", START + S, 1.0, 1, 2.0, 1)),
    (Channel.TRADES, Trade("B", START + 2 * S, 1.0, 2)),
    (Channel.TRADES, Trade("A", START + 3 * S, 1.0, 3)),
]
LINE = Line(2, 1, 1.0)
BARS: list[tuple[Channel, Event]] = [
    (Channel.AGGREGATES, Bar("A", "Second", START, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0)),
    (Channel.SMA, Sma("A", "Second", START, 1.0, LINE, LINE, 0.0, "NONE")),
    (Channel.AGGREGATES, Bar("A", "Second", START + S, 1.0, 1.0, 1.0, 1.0, 2, 1, 1.0)),
]


def record(folder: Path, name: str, rows: list[tuple[Channel, Event]], asset_class: AssetClass = STOCKS) -> Path:
    """Write a recording, one row a second."""
    with RecordingWriter(folder, name, asset_class) as writer:
        for second, (channel, event) in enumerate(rows):
            writer.add(channel, START + second * S, event)
    return folder


def replay(*paths: Path, **settings: object) -> Replay:
    return Replay(ReplayConfig(paths, **{"speed": inf} | settings))  # type: ignore[arg-type]


async def sizes(publisher: NotingPublisher, source: Replay) -> list[object]:
    """Sizes of trades, volumes of bars, other types by name, in the order published."""
    await source.run(publisher)
    known = {Trade: "size", Bar: "volume"}
    return [getattr(e, known[type(e)]) if type(e) in known else type(e).__name__ for e in publisher.events]


async def test_ticks_come_back_and_their_bars_are_the_servers(publisher: NotingPublisher, tmp_path: Path) -> None:
    source = replay(record(tmp_path, "SIP", TICKS + BARS))
    assert (source.dataset.name, source.dataset.asset_class) == ("SIP", STOCKS)
    assert (source.dataset.channels, source.dataset.frequencies) == ((Channel.QUOTES, Channel.TRADES), ())
    assert source.aggregation == default_aggregation("SIP")
    assert await sizes(publisher, source) == [0, "Quote", 2, 3]
    assert publisher.marks == [(4, Mark.END)]


async def test_without_an_aggregation_the_recorded_bars_come_back(publisher: NotingPublisher, tmp_path: Path) -> None:
    source = replay(record(tmp_path, "SIP", TICKS + BARS), aggregation=None)
    channels = (Channel.QUOTES, Channel.TRADES, Channel.AGGREGATES, Channel.SMA)
    assert (source.dataset.channels, source.dataset.frequencies) == (channels, tuple(Frequency))
    assert await sizes(publisher, source) == [0, "Quote", 2, 3, 1, "Sma", 2]


async def test_bars_alone_come_back_as_they_are(publisher: NotingPublisher, tmp_path: Path) -> None:
    source = replay(record(tmp_path, "SIP", BARS))
    assert (source.dataset.channels, source.aggregation) == ((Channel.AGGREGATES, Channel.SMA), None)
    assert await sizes(publisher, source) == [1, "Sma", 2]


def test_an_aggregation_may_be_given(tmp_path: Path) -> None:
    own = Aggregation(default_aggregation("X").rule, (Frequency.HOUR,))
    assert replay(record(tmp_path, "SIP", TICKS), aggregation=own).aggregation is own


async def test_channels_that_are_not_offered_are_not_read_but_for_trades_that_make_bars(
    publisher: NotingPublisher, tmp_path: Path
) -> None:
    record(tmp_path, "SIP", TICKS)
    source = replay(tmp_path, channels=(Channel.QUOTES, Channel.EMA))
    assert source.dataset.channels == (Channel.QUOTES,)
    assert await sizes(publisher, source) == [0, "Quote", 2, 3]
    publisher.batches.clear()
    assert await sizes(publisher, replay(tmp_path, channels=(Channel.QUOTES,), aggregation=None)) == ["Quote"]


async def test_symbols_are_a_closed_list(publisher: NotingPublisher, tmp_path: Path) -> None:
    source = replay(record(tmp_path, "SIP", TICKS), symbols=("B", "C"))
    assert source.dataset.symbols == frozenset({"B", "C"})
    assert await sizes(publisher, source) == [2]
    assert source.history is not None
    stored = source.history.read(HistoryQuery(Channel.TRADES, None, None, 0, 2**63))
    assert [event.symbol for batch in stored for event in batch] == ["B"]
    assert replay(tmp_path, history=False).history is None


def test_the_dataset_of_a_recording_is_found_or_named(tmp_path: Path) -> None:
    record(tmp_path, "Coins", TICKS[:1], CRYPTO)
    assert (replay(tmp_path).dataset.name, replay(tmp_path).dataset.asset_class) == ("Coins", CRYPTO)
    record(tmp_path, "SIP", TICKS[:1])
    with pytest.raises(ConfigurationError, match=r"holds several datasets: name one of Coins, SIP"):
        replay(tmp_path)
    assert replay(tmp_path, dataset="SIP").dataset.asset_class is STOCKS
    with pytest.raises(SourceError, match="no dataset Other"):
        replay(tmp_path, dataset="Other")


def test_tick_files_must_be_given_a_name(write: Callable[[str, str], Path]) -> None:
    path = write("t.csv", "symbol,ts_ns,price,size\n")
    with pytest.raises(ConfigurationError, match="give its name"):
        replay(path)


def test_a_recording_without_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    schema = make_schema("SIP", STOCKS, Channel.TRADES)
    parquet.write_table(schema.empty_table(), tmp_path / "part-00000.parquet")
    with pytest.raises(SourceError, match=r"not one row in"):
        replay(tmp_path)


@pytest.fixture(params=["csv", "parquet"])
def ten(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Ten trades, one a second, in either format."""
    trades = [Trade("A", START + n * S, 1.0, n) for n in range(10)]
    if request.param == "parquet":
        return record(tmp_path, "T", [(Channel.TRADES, trade) for trade in trades])
    rows = "".join(f"A,{trade.exchange_timestamp},1,{n}\n" for n, trade in enumerate(trades))
    (tmp_path / "t.csv").write_text("symbol,ts_ns,price,size\n" + rows)
    return tmp_path


@pytest.mark.parametrize(
    ("start", "end", "first", "stop"),
    [(None, None, 0, 10), (3, None, 3, 10), (None, 3, 0, 3), (3, 7, 3, 7), (-5, 50, 0, 10), (10, None, 0, 0)],
)
@pytest.mark.parametrize("speed", [1.0, inf])
async def test_a_part_is_replayed_half_open(
    publisher: NotingPublisher,
    autojump_clock: MockClock,
    ten: Path,
    speed: float,
    start: int | None,
    end: int | None,
    first: int,
    stop: int,
) -> None:
    span = {"start": start and START + start * S, "end": end and START + end * S}
    source = replay(ten, dataset="T", speed=speed, **span)
    assert await sizes(publisher, source) == [*range(first, stop)]
    assert source.state is PlayState.ENDED


async def test_it_is_controlled_within_its_part(
    publisher: NotingPublisher, autojump_clock: MockClock, nursery: trio.Nursery, ten: Path
) -> None:
    source = replay(ten, dataset="T", speed=1.0, paused=True, start=START + 2 * S, end=START + 8 * S)
    assert isinstance(source, Controllable)
    assert isinstance(source, Aggregating)
    assert isinstance(source, Historical)
    nursery.start_soon(source.run, publisher)
    source.step(1)
    await source.wait_settled()
    source.seek(START + 7 * S)
    source.step(5)
    await source.wait_settled()
    source.seek(START)
    source.resume()
    await trio.sleep(1.5)
    source.pause()
    assert [event.size for event in publisher.events if isinstance(event, Trade)] == [2, 7, 2, 3]
    assert (source.position, source.state) == (START + 3 * S, PlayState.PAUSED)


def test_its_history_is_the_whole_recording_or_nothing(ten: Path) -> None:
    assert replay(ten, dataset="T", history=False).history is None
    history = replay(ten, dataset="T", start=START + 5 * S).history
    assert history is not None
    query = HistoryQuery(Channel.TRADES, None, None, START, START + 3 * S)
    assert [event.size for batch in history.read(query) for event in batch if isinstance(event, Trade)] == [0, 1, 2]


async def test_it_ends_as_controls_say_even_where_it_fails(
    publisher: NotingPublisher, autojump_clock: MockClock, write: Callable[[str, str], Path]
) -> None:
    source = replay(write("t.csv", "symbol,ts_ns,price,size\nA,1,x,1\n"), dataset="T")
    with pytest.raises(SourceError, match="line 2"):
        await source.run(publisher)
    with pytest.raises(SourceError, match="the replay of T has ended"):
        source.pause()


@pytest.mark.parametrize("speed", [1.0, 100.0, inf])
async def test_a_server_makes_the_same_bars_at_any_speed(autojump_clock: MockClock, ten: Path, speed: float) -> None:
    source = replay(ten, dataset="T", speed=speed, wait_for_client=1)
    async with memory_server(None, [source]) as server:
        client = await RawClient.connect(server, "/datafye-ws/v1/stocks/live/aggs?symbols=A&frequency=Second")
        await client.until("subscribed")
        bars = await client.messages(10)  # the last one is closed by the end of the data
    assert [(bar["type"], bar["datetime"], bar["volume"], bar["final"]) for bar in bars] == [
        ("ohlc", START + n * S, n, True) for n in range(10)
    ]
