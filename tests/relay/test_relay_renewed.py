"""Another relay over the same feed, for a server that is started anew (`serve --testing` restarts its own)."""

from __future__ import annotations

import trio
from client.plain_kit import dialing
from client.plain_server import open_plain_server
from relay.kit import RawClient, Upstream, feed_of, take
from support import trade, virtual_wall_clock
from trio.testing import MockClock

from datafye_trio import FeedConfig, Server, open_server
from datafye_trio.relay import Relay, open_relay


def serve(relays: list[Relay]) -> open_server:
    return open_server(sources=relays, listen=False, wall_clock=virtual_wall_clock)


async def epoch_of(server: Server) -> str:
    client = await RawClient.connect(server)
    epoch: str = (await client.message())["datasets"][0]["epoch"]
    await client.close()
    return epoch


async def test_it_goes_on_with_the_numbers_of_its_server(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with open_relay("ws://up", FeedConfig(open_stream=up.dial)) as relays:
        for life in range(3):
            async with serve(relays) as relay, feed_of(relay) as feed, feed.trades("AAPL") as sub:
                assert await epoch_of(relay) == "first"
                await server.publish(trade("AAPL", life))
                assert await take(sub, 1) == [trade("AAPL", life)]
                (entry,) = feed.ledger().values()
                assert entry.last == life + 1
            relays = [one.renewed() for one in relays]
        await up.stop()
        await up.start("second")
        await trio.sleep(60)
        async with serve(relays) as relay, feed_of(relay) as feed, feed.trades("AAPL"):
            assert await epoch_of(relay) == "second"
            relays = [one.renewed() for one in relays]
        async with serve(relays) as relay:
            assert await epoch_of(relay) == "second"
    await up.stop()


async def test_what_it_numbers_by_itself_has_another_epoch(autojump_clock: MockClock) -> None:
    epochs = []
    async with open_plain_server() as server, open_relay("ws://up", dialing(server), dataset="SIP") as relays:
        for life in range(3):
            async with serve(relays) as relay, feed_of(relay) as feed, feed.trades("AAPL") as sub:
                epochs.append(await epoch_of(relay))
                await server.publish(trade("AAPL", life))
                assert await take(sub, 1) == [trade("AAPL", life)]
            relays = [one.renewed() for one in relays]
    assert len({*epochs}) == 3
