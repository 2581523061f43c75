"""What a relay itself has lost, refused or cannot tell yet: said exactly, and never in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from relay.kit import RawClient, Upstream, feed_of, relaying, subscriptions, take
from support import trade

from datafye_trio import Server, Synthetic, SyntheticConfig
from datafye_trio.model import Gap


async def test_a_gap_at_the_server_is_the_same_gap_at_the_relay(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades("AAPL") as sub:
        await server.publish(trade("AAPL", 1))
        await take(sub, 1)
        up.reachable = False
        await up.cut()
        await server.publish([trade("AAPL", n) for n in range(2, 3_000)])
        await trio.sleep(100)  # what is older than a minute is forgotten, but for 1,000 messages
        await server.publish([trade("AAPL", n) for n in range(3_000, 3_002)])
        up.reachable = True
        (gap,) = await take(sub, 1)
        assert gap == Gap(gap.topic, "first", 2, 3_001, "expired")
        await server.publish(trade("AAPL", 3_002))
        (event,) = await take(sub, 1)
        assert event.trade_id == "3002"
    await up.stop()


async def test_what_the_server_refuses_is_refused_in_its_words(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start(source=Synthetic(SyntheticConfig(symbols=("AAPL",))))
    async with relaying(up) as relay:
        client = await RawClient.connect(relay)
        await client.message()
        await client.send(action="subscribe", channels=["trades"], symbols=["aapl", "NONE"], id=1)
        answer = await client.message()
        assert (answer["type"], answer["symbols"]) == ("subscribed", ["AAPL"])
        refusal = next(m for m in await client.until("error") if m["type"] == "error")
        assert (refusal["code"], refusal["symbols"], refusal["id"]) == ("UNKNOWN_SYMBOL", ["NONE"], 1)
        assert "Synthetic" in refusal["message"]
        await client.close()
    await up.stop()


async def test_a_server_that_is_away_delays_and_then_refuses_what_is_new(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start()
    async with relaying(up) as relay:
        client = await RawClient.connect(relay)
        await client.message()
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        up.reachable = False
        await up.cut()
        begun = trio.current_time()
        await client.send(action="subscribe", channels=["trades"], symbols=["AAPL"], id=1)
        await client.send(action="subscribe", channels=["trades"], symbols=["AAPL", "MSFT"], id=2)
        await client.send(action="unsubscribe", channels=["trades"], symbols=["MSFT"], id=3)
        answers: list[dict[str, Any]] = []
        while len(answers) < 5:
            answers += [m for m in [await client.message()] if m["type"] != "heartbeat"]
        assert [(m["type"], m["id"]) for m in answers] == [
            ("subscribed", 1), ("subscribed", 2), ("error", 2), ("unsubscribed", 3), ("error", 3),
        ]  # fmt: skip
        assert (answers[2]["code"], answers[2]["symbols"], answers[2]["retryable"]) == ("INTERNAL", ["MSFT"], True)
        assert trio.current_time() == pytest.approx(begun + 10)
        await client.close()
    await up.stop()


async def health_of(server: Server) -> tuple[int, dict[str, Any]]:
    client = RawClient(server.connect())
    await client.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    status, _, body = await client.http_answer()
    return status, json.loads(body)


async def test_health_tells_of_the_server(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades("AAPL"):
        status, content = await health_of(relay)
        told = content["datasets"][0]["upstream"]
        assert (status, told["state"], told["topics"], told["refused"]) == (200, "live", 1, 0)
        assert told["url"].startswith("ws://up")
        await up.stop()
        await trio.sleep(1)
        status, content = await health_of(relay)
        assert (status, content["status"]) == (503, "degraded")
        assert content["why"].startswith("Program upstream: ")
        assert content["datasets"][0]["upstream"]["state"] in ("disconnected", "connecting")


async def test_a_query_subscribes_at_a_relay_too(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    await server.publish(trade("AAPL", 1))
    async with relaying(up) as relay:
        client = await RawClient.connect(relay, "/datafye-ws/v1/stream?channels=trades&symbols=AAPL")
        connected, answer = await client.messages(2)
        assert (connected["type"], answer["type"], answer["positions"]) == (
            "connected", "subscribed", {"trades": {"AAPL": 1}},
        )  # fmt: skip
        await client.close()
        assert subscriptions(server) == {"trades:AAPL": 1}
    await up.stop()


async def test_a_server_for_good_gone_is_a_crashed_source(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start()
    async with relaying(up, attempts=0) as relay:
        await up.stop()
        with trio.fail_after(60):
            await relay.source_crashed.wait()


async def test_health_tells_nobody_the_token_in_the_servers_url(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start()
    async with relaying(up, url="ws://up/datafye-ws/v1?token=SECRET") as relay:
        _, content = await health_of(relay)
        assert content["datasets"][0]["upstream"]["url"] == "ws://up/datafye-ws/v1"
    await up.stop()
