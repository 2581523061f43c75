"""Heartbeats of a link, against a server that follows a script: no pong is late, and a mute server is left."""

from __future__ import annotations

import pytest
import trio
from client.scripted import URL, Peer, ScriptedServer, config
from trio.testing import MockClock

from datafye_trio import (
    DisconnectedError,
    FeedError,
    Reconnect,
    open_feed,
)  # fmt: skip
from datafye_trio.client.buffers import Policy


@pytest.mark.unmeasured
@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "latest", "error"])
async def test_a_stalled_consumer_delays_no_pong(
    autojump_clock: MockClock, nursery: trio.Nursery, policy: Policy
) -> None:
    delays: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        async with trio.open_nursery() as inner:
            inner.start_soon(flood, peer)
            for n in range(40):  # 400 s: over ten times the 30 s of the rule
                sent = trio.current_time()
                await peer.heartbeat(n + 1)
                while (request := await peer.request())["action"] != "pong":
                    if request["action"] == "unsubscribe":
                        await peer.send(
                            type="unsubscribed", dataset="Program", assetClass="stocks", channels=["trades"],
                            symbols=["AAPL"], epoch="e1", total=0, id=request["id"],
                        )  # fmt: skip
                assert request["timestamp"] == n + 1
                delays.append(trio.current_time() - sent)
                await trio.sleep(10)
            inner.cancel_scope.cancel()
        done.set()

    async def flood(peer: Peer) -> None:
        for seq in range(1, 100_000):
            await peer.trade(seq)
            await trio.sleep(0.25)

    done = trio.Event()
    server = ScriptedServer(nursery, script)
    async with open_feed(URL, config(server)) as feed:
        async with feed.trades("AAPL", policy=policy, buffer=100):
            await done.wait()  # nothing is read
        assert feed.lag == 7
    assert len(delays) == 40
    assert max(delays) < 1
    nursery.cancel_scope.cancel()


async def test_a_mute_server_is_left_after_two_heartbeats_that_do_not_come(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def mute(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await trio.sleep(10)
        await peer.heartbeat()
        await peer.trade(1)
        await trio.sleep_forever()

    async def back(peer: Peer) -> None:
        await peer.greet()
        request = await peer.accept_subscribe()
        assert request["resume"] == {"epoch": "e1", "positions": {"AAPL": 1}}
        await peer.trade(2)
        await trio.sleep_forever()

    server = ScriptedServer(nursery, mute, back)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL") as sub:
        assert [(await anext(sub)).trade_id for _ in range(2)] == ["1", "2"]  # type: ignore[union-attr]
    assert server.times[1] == pytest.approx(30, abs=0.1)
    nursery.cancel_scope.cancel()


async def test_a_promised_heartbeat_counts_before_the_first_one(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def mute(peer: Peer) -> None:
        await peer.greet(heartbeat=3)
        await trio.sleep_forever()

    server = ScriptedServer(nursery, mute)
    async with open_feed(URL, config(server, reconnect=Reconnect(attempts=0))) as feed:
        with pytest.raises(DisconnectedError, match="no heartbeat for 6 s") as caught:
            async with feed.trades("AAPL"):
                pass
    assert caught.value.code == 1006
    assert trio.current_time() == pytest.approx(6)
    nursery.cancel_scope.cancel()


async def test_a_server_that_says_nothing_is_left_after_30_s(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    async def mute(peer: Peer) -> None:
        await trio.sleep_forever()

    server = ScriptedServer(nursery, mute)
    async with open_feed(URL, config(server, layout="single", reconnect=Reconnect(attempts=0))) as feed:
        with pytest.raises(DisconnectedError):
            await feed.wait_connected()
    assert trio.current_time() == pytest.approx(30)
    nursery.cancel_scope.cancel()


async def test_a_server_that_sends_no_heartbeats_is_pinged(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    async def silent(peer: Peer) -> None:
        await peer.greet(heartbeat=0)
        await peer.accept_subscribe()
        await peer.ended()

    server = ScriptedServer(nursery, silent)
    with pytest.raises(FeedError, match="no answer to a ping within 20 s"):
        async with open_feed(URL, config(server, reconnect=Reconnect(attempts=0))) as feed, feed.trades("AAPL") as sub:
            await anext(sub)
    assert trio.current_time() == pytest.approx(40)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("interval", [-1, 0, 1e-9, 1e9])
async def test_a_promise_of_heartbeats_that_makes_no_sense_is_none(
    autojump_clock: MockClock, nursery: trio.Nursery, interval: float
) -> None:
    async def odd(peer: Peer) -> None:
        await peer.greet(heartbeat=interval)
        await peer.accept_subscribe()
        await peer.ended()

    server = ScriptedServer(nursery, odd)
    with pytest.raises(FeedError, match="no answer to a ping within 20 s"):
        async with open_feed(URL, config(server, reconnect=Reconnect(attempts=0))) as feed, feed.trades("AAPL") as sub:
            await anext(sub)
    nursery.cancel_scope.cancel()
