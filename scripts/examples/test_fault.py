"""Recipe: a line that is cut in the middle of a message, and a server that refuses for a while.

    pytest scripts/examples/test_fault.py

No trade is lost, and none is counted twice. The clock is virtual: the waits between attempts cost nothing.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Feed, Trade
from datafye_trio.testing import TestServer, trade


async def volume(feed: Feed, symbol: str, trades_wanted: int) -> float:
    """The program: the volume of so many trades."""
    total = 0.0
    async with feed.trades(symbol) as trades:
        while trades_wanted:
            event = await anext(trades)
            if isinstance(event, Trade):
                total += event.size
                trades_wanted -= 1
    return total


@pytest.mark.trio
async def test_no_trade_is_lost_or_counted_twice(datafye_server: TestServer, autojump_clock: MockClock) -> None:
    found: list[float] = []

    async def program() -> None:
        async with datafye_server.open_feed() as feed:
            found.append(await volume(feed, "AAPL", trades_wanted=4))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(program)
        await datafye_server.wait_subscribed("trades", "AAPL")
        await wait_all_tasks_blocked()  # the program has the server's answer, too
        datafye_server.faults.drop(mid_frame=True)
        datafye_server.faults.refuse(2, status=503)
        for size in (100, 20, 3):
            await datafye_server.publish(trade("AAPL", size=size))
        await datafye_server.wait_subscribed("trades", "AAPL", timeout=60)
        await datafye_server.publish(trade("AAPL", size=4_000))
    assert found == [4_123]
    assert len(datafye_server.log.entries("refused")) == 2
