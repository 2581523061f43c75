"""A tap: every event with its place, also when it was full, and from an earlier place on."""

from __future__ import annotations

import trio
import trio.testing
from support import memory_server, trade

from datafye_trio.client import FeedConfig, open_feed
from datafye_trio.client.board import BoardKey
from datafye_trio.client.tap import Tap
from datafye_trio.model import AssetClass, Channel, TopicKey

BOARD = BoardKey("Program", Channel.TRADES)
AAPL = TopicKey("Program", AssetClass.STOCKS, Channel.TRADES, "AAPL")


async def test_a_full_tap_leaves_events_at_the_server_and_fetches_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with memory_server() as server:

        async def dial() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return server.connect()

        async with open_feed("ws://test", FeedConfig(open_stream=dial)) as feed:
            await feed.wait_connected()
            news: list[None] = []
            tap, other = Tap(feed, lambda: news.append(None), capacity=4), Tap(feed, lambda: None)
            assert tap.position(AAPL) is None
            assert not other.join_after(AAPL, 0)
            tap.join(BOARD, AssetClass.STOCKS, ["AAPL"])
            await trio.testing.wait_all_tasks_blocked()
            assert tap.position(AAPL) == ("epoch-1", 0)
            await server.publish([trade("AAPL", n) for n in range(1, 21)])
            await trio.testing.wait_all_tasks_blocked()
            assert len(tap) == 4
            assert news
            found = []
            while len(tap):
                found += tap.take(3)
                await trio.testing.wait_all_tasks_blocked()
            assert [(key, epoch, seq, event.trade_id) for key, epoch, seq, event in found] == [
                (AAPL, "epoch-1", n, str(n)) for n in range(1, 21)
            ]
            assert other.join_after(AAPL, 15)
            await trio.testing.wait_all_tasks_blocked()
            assert [seq for _, _, seq, _ in other.take(100)] == [16, 17, 18, 19, 20]
            assert other.is_level(AAPL)
            assert not len(tap)
            other.close()
            tap.leave([AAPL])
            assert not tap.has(AAPL)
