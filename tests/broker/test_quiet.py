"""When the bars of a silent feed are over, by the wall clock."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.aggregates import Aggregation, Aggregator, every_trade
from datafye_trio.broker.quiet import Quiet
from datafye_trio.model import AssetClass, Frequency, Trade

SECOND = 10**9
START = 1_700_000_040 * SECOND


class Bars:
    """Bars of seconds and minutes, and their watch."""

    def __init__(self, grace: float | None) -> None:
        self.bars = Aggregator(Aggregation(every_trade, (Frequency.SECOND, Frequency.MINUTE)), AssetClass.STOCKS)
        self.quiet = Quiet(self.bars, grace)

    def trade(self, seconds: float) -> None:
        self.bars.add(Trade("A", START + round(seconds * SECOND), 1.0, 1))
        self.quiet.note(trio.current_time())


async def test_a_bar_is_over_a_grace_after_its_end(autojump_clock: MockClock) -> None:
    found = Bars(2.0)
    await trio.sleep(100)  # the feed's times need not be ours
    found.trade(0.4)
    await found.quiet.wait()
    assert trio.current_time() == pytest.approx(102.6, abs=1e-5)
    until = found.quiet.until()
    assert until is not None
    assert START + SECOND <= until < START + SECOND + SECOND // 1_000
    assert [bar.frequency for bar in found.bars.close_until(until)] == ["Second"]
    await found.quiet.wait()
    assert trio.current_time() == pytest.approx(161.6, abs=1e-5)


async def test_one_that_begins_while_it_waits_and_trades_that_move_the_clock(autojump_clock: MockClock) -> None:
    found = Bars(2.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.quiet.wait)
        await wait_all_tasks_blocked()
        found.trade(0.0)
        await trio.sleep(2.5)
        found.trade(0.9)  # the clock of the feed has moved: its second ends later
    assert trio.current_time() == pytest.approx(2.5 + 0.1 + 2.0, abs=1e-5)


async def test_without_a_grace_nothing_is_over(autojump_clock: MockClock) -> None:
    found = Bars(None)
    found.trade(0)
    assert found.quiet.until() is None
    with trio.move_on_after(10**6) as scope:
        await found.quiet.wait()
    assert scope.cancelled_caught
