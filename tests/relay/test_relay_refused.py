"""What a relay has passed on, and its server refuses after a new connection: nobody waits for it in vain."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from client.plain_kit import asked
from client.plain_server import PlainConfig
from relay.kit import RawClient, Upstream, feed_of, relaying, take
from relay.test_relay_plain import plain_relay
from support import quote, trade

from datafye_trio import Program
from datafye_trio.errors import SubscriptionError
from datafye_trio.model import AssetClass, Channel, Gap

WAIT = 120


def listed(*symbols: str, channels: tuple[Channel, ...] = (Channel.QUOTES, Channel.TRADES)) -> Program:
    """A source with a closed list of symbols; open where it is empty."""
    return Program("Program", AssetClass.STOCKS, channels, frozenset(symbols) or None)


async def test_a_symbol_that_is_gone_is_told_and_the_others_flow(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start(source=listed("AAPL", "MSFT"))
    async with (
        relaying(up) as relay,
        feed_of(relay) as feed,
        feed_of(relay) as other,
        feed.trades(["AAPL", "MSFT"], partial=True) as lenient,
        feed.quotes("AAPL") as quotes,
        other.trades("AAPL") as strict,
    ):
        await server.publish([trade("AAPL", 1), trade("MSFT", 1)])
        await take(lenient, 2)
        await take(strict, 1)
        await up.stop()
        server = await up.start("second", listed("MSFT"))
        for ended in (strict, quotes):
            with trio.fail_after(WAIT), pytest.raises(SubscriptionError, match="not offered by dataset Program"):
                while True:
                    assert isinstance(await anext(ended), Gap)  # the numbering begins anew, whatever the symbol
        await trio.sleep(1)
        await server.publish(trade("MSFT", 2))
        items = await take(lenient, 3)
        assert [item.trade_id for item in items if not isinstance(item, Gap)] == ["2"]
        assert lenient.rejected[0].symbols == ("AAPL",)
        assert relay._broker.datasets["Program"].source.upstream["topics"] == 1
    await up.stop()


async def test_a_channel_that_is_gone_ends_the_subscriptions_to_every_symbol(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades("*") as sub:
        client = await RawClient.connect(relay)
        await client.message()
        await client.ask(action="subscribe", channels=["trades"], symbols=["*"])
        await server.publish(trade("AAPL", 1))
        await take(sub, 1)
        await up.stop()
        await up.start("second", listed(channels=(Channel.QUOTES,)))
        with trio.fail_after(WAIT), pytest.raises(SubscriptionError, match="has no trades"):
            while True:
                assert isinstance(await anext(sub), Gap)
        error = next(message for message in await client.until("error") if message["type"] == "error")
        assert (error["code"], error["symbols"]) == ("CHANNEL_NOT_AVAILABLE", ["*"])
        assert error["message"].startswith("subscribed no longer: dataset Program has no trades")
        await client.close()
    await up.stop()


async def test_a_server_that_numbers_nothing_refuses_later(autojump_clock: trio.testing.MockClock) -> None:
    refusals: dict[str, str] = {}
    async with plain_relay(plain=PlainConfig(refusals=refusals)) as (up, relay), feed_of(relay) as feed:
        async with feed.trades("AAPL") as sub, feed.quotes("AAPL") as quotes:
            await up.publish(trade("AAPL", 1))
            await take(sub, 1)
            refusals["AAPL"] = "delisted"
            with trio.move_on_after(2):  # as in `close_all`
                await next(peer for peer in up.peers if peer.path.endswith("ticks")).websocket.aclose(1001)
            with trio.fail_after(WAIT), pytest.raises(SubscriptionError, match="delisted"):
                await anext(sub)
            refusals.clear()
            await up.publish(quote("AAPL", 1))
            assert (await take(quotes, 1))[0].symbol == "AAPL"
        begun = relay._broker.datasets["SIP"].epoch
        async with feed.trades("AAPL") as again:  # what came meanwhile, nobody knows
            await up.publish(trade("AAPL", 2))
            assert (await take(again, 1))[0].trade_id == "2"
            assert relay._broker.datasets["SIP"].epoch != begun
        assert asked(up, "ticks")[0] == ["AAPL"]
