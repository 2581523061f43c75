"""Recipe: timeouts of 20 and 40 seconds and an hour of market data, tested in no time.

    pytest scripts/examples/test_virtual_time.py

Server, client and clock are in memory; for clients of other kinds, it is the server's clock that is moved.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from datafye_trio import Bar, FeedState, Synthetic, SyntheticConfig
from datafye_trio.testing import START, ThreadedTestServer, open_test_server


@pytest.mark.trio
async def test_a_silent_server_is_left_after_twenty_seconds(autojump_clock: MockClock) -> None:
    async with open_test_server() as server, server.open_feed() as feed:
        await feed.wait_connected()
        server.faults.mute()
        began = trio.current_time()
        async for change in feed.states():
            if change.state is FeedState.DISCONNECTED:
                break
        assert trio.current_time() - began == pytest.approx(20, abs=0.1)  # two heartbeats are missing


@pytest.mark.trio
async def test_ten_attempts_fail_and_the_next_one_does_not(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        server.faults.refuse(10, status=503)
        async with server.open_feed() as feed:
            await feed.wait_connected()
        assert len(server.log.entries("refused")) == 10
        assert trio.current_time() > 10  # the waits between them double


@pytest.mark.trio
async def test_an_hour_has_sixty_bars(autojump_clock: MockClock) -> None:
    market = SyntheticConfig(symbols=("AAPL",), rate=0.5, seed=7)
    async with open_test_server(sources=lambda: [Synthetic(market)]) as server, server.open_feed() as feed:
        bars = []
        async with feed.bars("AAPL") as minutes:
            while feed.now() < START + 3_600 * 10**9:
                bars.append(await anext(minutes))
        assert len([bar for bar in bars if isinstance(bar, Bar)]) == 60


def test_who_does_not_answer_heartbeats_is_cut_after_forty_seconds(datafye: ThreadedTestServer) -> None:
    """The same for any client, over a real socket: here it is the server's clock that is moved."""
    with connect(datafye.url) as websocket:
        datafye.advance(40)
        with pytest.raises(ConnectionClosedError, match="4009"):
            list(websocket)
