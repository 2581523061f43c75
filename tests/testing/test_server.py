"""The test server: data, clients over memory, restarts, and what it says at the end."""

from __future__ import annotations

from trio.testing import MockClock

from datafye_trio import Trade
from datafye_trio.testing import open_test_server
from datafye_trio.testing.builders import trade


async def test_a_feed_gets_what_is_published(autojump_clock: MockClock) -> None:
    async with open_test_server() as server, server.open_feed() as feed:
        expected = server.expect_subscribe("trades", "AAPL").then_publish(trade())
        async with feed.trades("AAPL") as trades:
            await server.wait_subscribed("trades", "AAPL")
            async for event in trades:
                assert isinstance(event, Trade)
                break
            await expected.wait()
        assert len(server.connections) == 1
