"""Recipe: a program on Trio is tested offline, in the Trio run of the test.

    pytest scripts/examples/test_trio_client.py

The fixture `datafye_server` is there where pytest-trio is.
"""

from __future__ import annotations

import pytest
import trio

from datafye_trio import Feed, Trade
from datafye_trio.testing import TestServer, halt, trade


async def last_before_halt(feed: Feed, symbol: str) -> float:
    """The program: the last price of a symbol before trading stops."""
    price = 0.0
    async with feed.trades(symbol) as trades:
        async for event in trades:
            if not isinstance(event, Trade):
                return price
            price = event.price
    return price


@pytest.mark.trio
async def test_the_last_price_before_a_halt(datafye_server: TestServer) -> None:
    found: list[float] = []

    async def program() -> None:
        async with datafye_server.open_feed() as feed:
            found.append(await last_before_halt(feed, "AAPL"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(program)
        await datafye_server.wait_subscribed("trades", "AAPL")
        await datafye_server.publish([trade("AAPL", 189.12), trade("AAPL", 189.05), halt("AAPL")])
    assert found == [189.05]
