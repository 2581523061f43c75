"""What the tests of a connection share: a server of two datasets, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support import RawClient, memory_server

from datafye_trio import AssetClass, Channel, Program, Server, ServerConfig

BASE = "/datafye-ws/v1"
QUOTES = f"{BASE}/stocks/live/quotes"
STOCKS = Program("Stocks", symbols=frozenset({"AAPL", "MSFT"}))
CRYPTO = Program("Crypto", AssetClass.CRYPTO, (Channel.TRADES,))


class Peer(RawClient):
    """A client that knows its server."""

    server: Server


@asynccontextmanager
async def client(path: str = BASE, config: ServerConfig | None = None) -> AsyncIterator[Peer]:
    """A client of a server with a closed list of stocks and open crypto trades; `connected` is read."""
    async with memory_server(config, [STOCKS, CRYPTO]) as server:
        found = await Peer.connect(server, BASE + path.removeprefix(BASE))
        found.server = server
        assert (await found.message())["type"] == "connected"
        yield found


async def subscribed(server: Server, *symbols: str, path: str = QUOTES, **fields: object) -> RawClient:
    """A client that is subscribed to symbols; the answer is read."""
    client = await RawClient.connect(server, path)
    assert (await client.message())["type"] == "connected"
    await client.send(action="subscribe", symbols=list(symbols), **fields)
    assert (await client.message())["type"] == "subscribed"
    return client
