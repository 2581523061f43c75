"""Recipe: a program on asyncio is tested offline, with a market in a thread of the test.

    pytest scripts/examples/test_asyncio_client.py

The fixture `datafye` comes with the package. `datafye.aio` has its waiting calls for asyncio.
"""

from __future__ import annotations

import asyncio
import json

from websockets.asyncio.client import connect

from datafye_trio.testing import ThreadedTestServer, trade


async def mean_price(url: str, symbol: str) -> float:
    """The program: the mean of the next three prices of a symbol."""
    async with connect(url) as websocket:
        await websocket.send(json.dumps({"action": "subscribe", "channels": ["trades"], "symbols": [symbol]}))
        prices: list[float] = []
        while len(prices) < 3:
            message = json.loads(await websocket.recv())
            if message["type"] == "trade":
                prices.append(message["tradePrice"])
    return sum(prices) / 3


def test_the_mean_of_three_prices(datafye: ThreadedTestServer) -> None:
    async def scenario() -> float:
        async with asyncio.TaskGroup() as tasks:
            mean = tasks.create_task(mean_price(datafye.url, "AAPL"))
            await datafye.aio.wait_subscribed("trades", "AAPL")
            await datafye.aio.publish([trade("AAPL", 189.0), trade("MSFT", 1.0), trade("AAPL", 190.0)])
            await datafye.aio.publish(trade("AAPL", 191.0))
        return mean.result()

    assert asyncio.run(scenario()) == 190.0
