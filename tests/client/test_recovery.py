"""What a reconnection may bring, with a real server: refusals, halts, a server that drops, bytes split anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from client.test_subscription import take
from hypothesis import given, settings
from hypothesis import strategies as st
from support import memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    FeedConfig,
    FeedItem,
    Gap,
    Halt,
    OutboxLimits,
    Program,
    Reconnect,
    Resume,
    Server,
    ServerConfig,
    SubscriptionError,
    WireFeed,
    open_feed,
)  # fmt: skip
from datafye_trio.sources import BATCH
from datafye_trio.testing import Upstream, open_proxy

URL = "ws://test"


def settled(feed: WireFeed[FeedItem]) -> None:
    """The proof itself, for each topic."""
    for entry in feed.ledger().values():
        assert entry.last is not None
        assert entry.last - entry.begin == entry.received + entry.missing, entry


async def test_refused_after_a_reconnection_it_is_raised_from_the_iterator(autojump_clock: MockClock) -> None:
    wide, narrow = Program(symbols=frozenset({"A", "B"})), Program(symbols=frozenset({"A"}))
    async with memory_server(sources=[wide]) as first, memory_server(sources=[narrow]) as second:
        servers = [first, second]

        async def dial() -> trio.abc.Stream:
            return (servers.pop(0) if len(servers) > 1 else servers[0]).connect()

        async with open_proxy(dial) as proxy:

            async def connect() -> trio.abc.Stream:
                return proxy.connect()

            config = FeedConfig(Reconnect(first=0.01), open_stream=connect)
            async with open_feed(URL, config) as feed, feed.trades("A", partial=True) as kept:
                async with feed.trades(["A", "B"]) as strict, feed.trades(["A", "B"], partial=True) as partial:
                    await first.publish([trade("A", 1), trade("B", 1)])
                    assert len(await take(strict, 2)) == len(await take(partial, 2)) == 2
                    proxy.cut_all()
                    with pytest.raises(SubscriptionError, match="UNKNOWN_SYMBOL") as caught:
                        await take(strict, 5)
                    assert caught.value.symbols == ("B",)
                    await second.publish(trade("A", 2))
                    assert trade("A", 2) in await take(partial, 2)  # a gap before it: the numbering is another
                    assert [one.symbols for one in partial.rejected] == [("B",)]
                assert trade("A", 2) in await take(kept, 3)


async def test_halts_come_once_on_each_channel_through_a_resume(autojump_clock: MockClock) -> None:
    async with memory_server() as server, open_proxy(_upstream(server)) as proxy:

        async def connect() -> trio.abc.Stream:
            return proxy.connect()

        config = FeedConfig(Reconnect(first=0.01, ceiling=0.01), open_stream=connect)
        async with open_feed(URL, config) as feed, feed.subscribe(["quotes", "trades"], "A") as sub:
            await server.publish([quote("A", 1), trade("A", 1)])
            assert await take(sub, 2) == [quote("A", 1), trade("A", 1)]
            proxy.cut_all()
            missed = [Halt("A", 1, "news"), trade("A", 2), Resume("A", 2, "news"), quote("A", 2)]
            await server.publish(missed)
            got = await take(sub, 6)
            # Topic by topic: the halt and its end are messages of both.
            assert sorted(map(str, got)) == sorted(map(str, [*missed, missed[0], missed[2]]))
            settled(feed)


@pytest.mark.unmeasured
async def test_a_server_that_drops_for_a_slow_line_tells_every_gap(autojump_clock: MockClock) -> None:
    config = ServerConfig(outbox=OutboxLimits(messages=2 * BATCH, policy="drop_oldest"))
    async with memory_server(config) as server, open_proxy(_upstream(server)) as proxy:

        async def connect() -> trio.abc.Stream:
            return proxy.connect()

        async with open_feed(URL, FeedConfig(open_stream=connect)) as feed, feed.trades(["A", "B"]) as sub:
            proxy.stall()
            for n in range(6_000):
                await server.publish([trade("A", n), trade("B", n)])
            proxy.resume()
            await trio.sleep(1)
            await server.publish([trade("A", 6_000), trade("B", 6_000)])
            await wait_all_tasks_blocked()
            got = await take(sub, sub.statistics().waiting)
            for symbol in "AB":
                due = 1
                for one in [one for one in got if (one.topic if isinstance(one, Gap) else one).symbol == symbol]:
                    if isinstance(one, Gap):
                        assert one.first == due
                        due = one.last + 1
                    else:
                        assert one.trade_id == str(due - 1)
                        due += 1
                assert due == 6_002
            assert any(isinstance(one, Gap) for one in got)
            settled(feed)


class _Split(trio.abc.Stream):
    """A transport whose reads come in pieces of the sizes given, again and again."""

    def __init__(self, stream: trio.abc.Stream, sizes: Sequence[int]) -> None:
        self._stream = stream
        self._sizes = list(sizes)
        self._at = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._at += 1
        return bytes(await self._stream.receive_some(self._sizes[self._at % len(self._sizes)]))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.mark.unmeasured
@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8))
def test_however_the_bytes_are_split_the_events_are_the_same(sizes: list[int]) -> None:
    sent = [make("A", n) for n in range(40) for make in (quote, trade)]

    async def follow() -> None:
        async with memory_server() as server:

            async def connect() -> trio.abc.Stream:
                return _Split(server.connect(), sizes)

            config = FeedConfig(open_stream=connect)
            async with open_feed(URL, config) as feed, feed.subscribe(["quotes", "trades"], "A") as sub:
                await server.publish(sent)
                assert await take(sub, len(sent)) == sent

    trio.run(follow, clock=MockClock(autojump_threshold=0))


def _upstream(server: Server) -> Upstream:
    async def dial() -> trio.abc.Stream:
        return server.connect()

    return dial
