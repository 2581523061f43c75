"""Playing: whose events go where, and when; and what becomes of an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from recordings.kit import record, trades
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import ConfigurationError, Event, EventError, SourceError, Timed
from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.testing import START, bar, trade
from datafye_trio.testing.playing import Playing, timed

SIP = DatasetInfo("SIP", AssetClass.STOCKS, tuple(Channel))
CRYPTO = DatasetInfo("Crypto", AssetClass.CRYPTO, (Channel.TRADES,))
TICKS = """symbol,ts_ns,price,size
AAPL,1704205800000000000,100.0,100
AAPL,1704205800250000000,101.0,100
"""


class Outlet:
    """Notes when what came."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.came: list[tuple[float, int]] = []
        self.fails = fails

    async def publish(self, events: Sequence[Event]) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails is not None:
            raise self.fails
        self.came.append((trio.current_time(), len(events)))

    async def room(self) -> None:
        await trio.sleep(1)


def every_second(count: int) -> Iterator[Timed]:
    return ((START + n * 10**9, trade(at=timedelta(seconds=n))) for n in range(count))


@pytest.mark.parametrize(
    ("at", "speed", "came"),
    [
        (0.0, 1.0, [(0, 1), (1, 1), (2, 1)]),
        (2.5, 1.0, [(2.5, 1), (3.5, 1), (4.5, 1)]),
        (1.0, 4.0, [(1, 1), (1.25, 1), (1.5, 1)]),
        (1.0, math.inf, [(2, 3)]),  # there is room after a second
    ],
)
async def test_when_they_go_out(
    autojump_clock: MockClock, at: float, speed: float, came: list[tuple[float, int]]
) -> None:
    playing, outlet = Playing(), Outlet()
    assert not playing.done
    await playing.run(every_second(3), outlet, at=at, speed=speed)
    assert [(round(time, 6), size) for time, size in outlet.came] == came
    assert playing.done
    assert await playing.wait() == playing.published == 3


async def test_nothing_to_play_is_done_at_once(autojump_clock: MockClock) -> None:
    playing = Playing()
    await playing.run(iter(()), Outlet(), at=0, speed=1)
    assert await playing.wait() == 0


async def test_cancelled_it_is_done_and_its_files_are_closed(autojump_clock: MockClock) -> None:
    closed: list[bool] = []

    def endless() -> Iterator[Timed]:
        try:
            yield from every_second(10**6)
        finally:
            closed.append(True)

    playing, outlet = Playing(), Outlet()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await playing.run(endless(), outlet, at=0, speed=1)

        nursery.start_soon(run)
        await trio.sleep(2.5)
        playing.cancel()
        playing.cancel()
        assert await playing.wait() == 3
    assert closed == [True]


async def test_an_error_is_for_whoever_waits(autojump_clock: MockClock) -> None:
    playing, error = Playing(), EventError("a NaN")
    await playing.run(every_second(3), Outlet(error), at=0, speed=1)
    assert playing.done
    assert not playing.told
    with pytest.raises(EventError, match="a NaN"):
        await playing.wait()
    assert playing.told
    assert playing.error is error


async def test_a_wait_is_cancel_safe(autojump_clock: MockClock) -> None:
    playing = Playing()
    with trio.move_on_after(1) as waiting:
        await playing.wait()
    assert waiting.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(playing.wait)
        await wait_all_tasks_blocked()
        await playing.run(every_second(1), Outlet(), at=0, speed=1)


def test_events_get_the_times_at_which_they_are_known() -> None:
    events = [trade(at=timedelta(seconds=7)), bar(), bar(frequency="1d")]
    name, found = timed(events, [SIP, CRYPTO], None)
    times = [time for time, _ in found]
    assert name == "SIP"
    assert times == [START + 7 * 10**9, START + 60 * 10**9, START + (14 * 60 + 30) * 60 * 10**9]
    name, found = timed([bar(frequency="1d", at=START)], [SIP, CRYPTO], "Crypto")
    assert (name, [time for time, _ in found]) == ("Crypto", [START + (9 * 60 + 30) * 60 * 10**9])


def test_what_is_no_event_is_told() -> None:
    _, events = timed([trade(), {"price": 1}], [SIP], None)  # type: ignore[list-item]
    assert next(events) == (START, trade())
    with pytest.raises(EventError, match="dict is no market event: play Quotes, Trades, Bars and the like"):
        next(events)


def test_there_is_no_such_dataset() -> None:
    with pytest.raises(ConfigurationError, match="no dataset 'OTC': it has SIP, Crypto"):
        timed([], [SIP, CRYPTO], "OTC")


def test_tick_files_are_of_the_dataset_that_they_are_played_to(write: Callable[[str, str], Path]) -> None:
    path = write("AAPL_trades.csv", TICKS)
    for what in (path, str(path)):
        name, found = timed(what, [SIP, CRYPTO], None)
        assert (name, [event.price for _, event in found]) == ("SIP", [100.0, 101.0])  # type: ignore[union-attr]
    with pytest.raises(SourceError, match="none.csv"):
        timed(path.with_name("none.csv"), [SIP], None)


def test_recordings_go_to_the_dataset_of_their_name_or_to_the_one_that_is_named(tmp_path: Path) -> None:
    record(tmp_path, trades(2, symbol="AAPL"), dataset="SIP")
    record(tmp_path, trades(3, symbol="BTCUSD"), dataset="Crypto", asset_class=AssetClass.CRYPTO)
    other = DatasetInfo("Other", AssetClass.STOCKS, (Channel.TRADES,))
    for offer, dataset, name in (
        ([SIP, CRYPTO], None, "SIP"),
        ([other, CRYPTO, SIP], "SIP", "SIP"),
        ([other], None, "Other"),
    ):
        played, found = timed(tmp_path / "dataset=SIP", offer, dataset)
        assert (played, len(list(found))) == (name, 2)
    played, found = timed(tmp_path, [SIP, CRYPTO], "Crypto")
    assert (played, len(list(found))) == ("Crypto", 3)
    with pytest.raises(ConfigurationError, match=r"holds the datasets (Crypto, SIP|SIP, Crypto): name one of them"):
        timed(tmp_path, [SIP, CRYPTO], None)
    with pytest.raises(ConfigurationError, match="name one of them"):
        timed(tmp_path, [other], "Other")
