"""A relay of a server that numbers nothing: numbers of its own, and an unknown gap where something may be missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from client.plain_kit import MINUTE, asked, dialing
from client.plain_server import PlainConfig, PlainServer, open_plain_server
from relay.kit import RawClient, feed_of, take
from support import quote, trade, virtual_wall_clock

from datafye_trio import Server, open_server
from datafye_trio.errors import SubscriptionError
from datafye_trio.model import Channel, Gap, Trade
from datafye_trio.relay import RelayConfig, open_relay


@asynccontextmanager
async def plain_relay(
    dataset: str | None = "SIP", plain: PlainConfig | None = None, relay: RelayConfig | None = None
) -> AsyncIterator[tuple[PlainServer, Server]]:
    """A plain server and a relay of it, served; what the relay asks beyond Datafye's samples fails the test."""
    async with open_plain_server(plain) as up:
        async with (
            open_relay("ws://up", dialing(up), dataset=dataset, config=relay) as sources,
            open_server(None, sources, listen=False, wall_clock=virtual_wall_clock) as server,
        ):
            yield up, server
        assert up.faults == []


def brief(items: list[Any]) -> list[Any]:
    """Trades by their id; gaps by what is known of them."""
    return [(item.first, item.reason) if isinstance(item, Gap) else item.trade_id for item in items]


LOST = (None, "epoch_changed")


async def test_one_connection_upstream_serves_all_with_numbers_of_the_relays_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with plain_relay() as (up, relay):
        client = await RawClient.connect(relay)
        (offer,) = (await client.message())["datasets"]
        assert (offer["dataset"], offer["assetClass"]) == ("SIP", "stocks")
        assert offer["channels"] == [str(channel) for channel in Channel]
        assert offer["frequencies"] == ["Second", "Minute", "Hour", "Day"]
        answer = await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        assert (answer["epoch"], answer["positions"]) == (offer["epoch"], {"trades": {"AAPL": 0}})
        async with feed_of(relay) as feed, feed.trades("AAPL") as sub:
            await up.publish(trade("AAPL", 1), trade("AAPL", 2))
            assert brief(await take(sub, 2)) == ["1", "2"]
            assert feed.provable
        assert [message["seq"] for message in await client.messages(2)] == [1, 2]
        assert asked(up, "ticks") == [["AAPL"]]
        await client.close()


async def test_each_channel_is_relayed(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        plain_relay() as (up, relay),
        feed_of(relay) as feed,
        feed.quotes("AAPL") as quotes,
        feed.bars("AAPL") as bars,
    ):
        await up.publish(quote("AAPL", 1), MINUTE)
        assert (await take(quotes, 1))[0].symbol == "AAPL"
        assert await take(bars, 1) == [MINUTE]


async def test_a_new_connection_upstream_is_an_unknown_gap_for_everybody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with plain_relay() as (up, relay), feed_of(relay) as feed, feed.trades(["AAPL", "MSFT"]) as sub:
        await up.publish(trade("AAPL", 1), trade("MSFT", 1))
        assert brief(await take(sub, 2)) == ["1", "1"]
        await up.close_all()
        await trio.sleep(10)
        await up.publish(trade("AAPL", 2), trade("MSFT", 2))
        items = await take(sub, 4)
        assert sorted(brief(items), key=str) == sorted([LOST, LOST, "2", "2"], key=str)
        for symbol in ("AAPL", "MSFT"):
            of = [item for item in items if (item.symbol if isinstance(item, Trade) else item.topic.symbol) == symbol]
            assert brief(of) == [LOST, "2"]
        (epoch,) = {item.epoch for item in items if isinstance(item, Gap)}
        assert relay._broker.datasets["SIP"].epoch == epoch
        await up.close_all()
        await trio.sleep(10)
        assert brief(await take(sub, 2)) == [LOST, LOST]
        assert relay._broker.datasets["SIP"].epoch != epoch


async def test_a_symbol_that_is_added_costs_the_others_a_gap_and_itself_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with plain_relay() as (up, relay), feed_of(relay) as feed, feed.trades("AAPL") as first:
        await up.publish(trade("AAPL", 1))
        async with feed.trades("MSFT") as second:
            await up.publish(trade("AAPL", 2), trade("MSFT", 1))
            assert brief(await take(first, 3)) == ["1", LOST, "2"]
            assert brief(await take(second, 1)) == ["1"]


async def test_a_client_that_comes_back_gets_what_it_missed_or_an_unknown_gap(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def resume(epoch: str, seq: int, count: int) -> list[dict[str, Any]]:
        client = await RawClient.connect(relay)
        await client.message()
        place = {"epoch": epoch, "positions": {"AAPL": seq}}
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"], resume=place)
        found = await client.messages(count)
        await client.close()
        return found

    async with plain_relay(relay=RelayConfig(linger=5, check=1)) as (up, relay):
        epoch = relay._broker.datasets["SIP"].epoch
        async with feed_of(relay) as feed, feed.trades("AAPL") as sub:
            await up.publish(*(trade("AAPL", n) for n in range(1, 6)))
            await take(sub, 5)
        assert [message["seq"] for message in await resume(epoch, 2, 3)] == [3, 4, 5]
        await trio.sleep(20)  # nobody wants it: it is left, and what comes is seen by nobody
        (gap,) = await resume(epoch, 5, 1)
        assert (gap["type"], gap["reason"], gap.get("from")) == ("gap", "epoch_changed", None)
        assert gap["epoch"] != epoch


async def test_a_full_relay_tells_what_it_may_have_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with plain_relay() as (_, relay), feed_of(relay) as feed, feed.trades("AAPL") as sub:
        source = relay._broker.datasets["SIP"].source
        source._tap._buffer.capacity = 2
        topic = next(iter(source._tap._sink.topics))
        for n in range(4):
            topic.came(trade("AAPL", n))
        await trio.testing.wait_all_tasks_blocked()
        topic.came(trade("AAPL", 9))
        assert brief(await take(sub, 4)) == ["0", "1", LOST, "9"]


async def test_every_symbol_and_running_bars_are_refused_with_why(autojump_clock: trio.testing.MockClock) -> None:
    async with plain_relay() as (up, relay), feed_of(relay) as feed:
        with pytest.raises(SubscriptionError, match="name the symbols"):
            async with feed.trades("*"):
                pass
        with pytest.raises(SubscriptionError, match="finished bars only"):
            async with feed.bars("AAPL", running=True):
                pass
        with pytest.raises(SubscriptionError, match="finished bars only"):
            async with feed.bars("*", running=True):
                pass
        assert up.requests == []


async def test_what_the_server_refuses_is_refused_in_its_words(autojump_clock: trio.testing.MockClock) -> None:
    plain = PlainConfig(refusals={"NONE": "no such ticker"})
    async with plain_relay(plain=plain) as (_, relay), feed_of(relay) as feed:
        with pytest.raises(SubscriptionError, match="no such ticker"):
            async with feed.trades("NONE"):
                pass


@pytest.mark.parametrize(("dataset", "name", "asset_class"), [(None, "SIP", "stocks"), ("Crypto", "Crypto", "crypto")])
async def test_the_dataset_is_the_one_that_is_named_or_the_usual(
    dataset: str | None,
    name: str,
    asset_class: str,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with plain_relay(dataset) as (_, relay):
        info = relay._broker.datasets[name].info
        assert (info.asset_class, info.symbols) == (asset_class, None)
    assert ("--dataset" in caplog.text) == (dataset is None)
