"""A connection that has ended is gone at once: nothing of it is left to the garbage collector."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
import trio.testing
from support import RawClient, upgrade_head
from wsproto.frame_protocol import FrameProtocol

from datafye_trio import Program, ServerConfig, open_server

WS = "/datafye-ws/v1/stocks/live/quotes"


def _parsers() -> int:
    return sum(type(one) is FrameProtocol for one in gc.get_objects())


@pytest.mark.parametrize("cut", [True, False])
async def test_an_ended_connection_is_freed_without_the_collector(autojump_clock: object, cut: bool) -> None:
    async with open_server(ServerConfig(), [Program()], listen=False) as server:
        stream = server.connect()
        client = RawClient(stream)
        await stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101
        await client.message()
        await client.ask(action="subscribe", symbols=["AAPL"])
        connections = server._reception._connections
        (left,) = (weakref.ref(one.connection) for one in connections.values())
        gc.collect()
        gc.disable()
        before = _parsers()
        try:
            if cut:
                await trio.aclose_forcefully(stream)
            else:
                await client.close()
            await server._reception.wait_empty()
            await trio.testing.wait_all_tasks_blocked()
            assert left() is None
            assert _parsers() < before, "wsproto's parser is left"
        finally:
            gc.enable()
