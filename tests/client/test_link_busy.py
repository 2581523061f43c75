"""A link with much to ask: the time for an answer, and the time for a write, are those of one request."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from client.scripted import Peer, ScriptedServer
from trio.testing import MockClock

from datafye_trio import FeedConfig, open_feed

CALM = 300.0
"""Seconds between heartbeats: none comes in these tests."""


@pytest.mark.unmeasured
async def test_a_program_that_never_stops_asking_is_not_cut_off(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def answer_late(peer: Peer) -> None:
        await peer.greet(heartbeat=CALM)
        async with trio.open_nursery() as answers:
            while True:
                answers.start_soon(_answer, peer, await peer.request())

    server = ScriptedServer(nursery, answer_late)
    async with open_feed("ws://test", FeedConfig(open_stream=server.dial)) as feed:

        async def add_all(name: str, delay: float) -> None:
            await trio.sleep(delay)  # there is always a request of somebody's under way
            async with feed.trades(name) as sub:
                for n in range(100):
                    await sub.add(f"{name}{n}")

        async with trio.open_nursery() as users:
            for name, delay in (("A", 0.0), ("B", 0.1), ("C", 0.2), ("D", 0.3)):
                users.start_soon(add_all, name, delay)
        assert trio.current_time() > 35
        assert len(server.times) == 1
        nursery.cancel_scope.cancel()


async def _answer(peer: Peer, request: dict[str, Any]) -> None:
    await trio.sleep(0.4)
    kind = {"subscribe": "subscribed", "unsubscribe": "unsubscribed"}[request["action"]]
    places = {"positions": {"trades": dict.fromkeys(request["symbols"], 0)}} if kind == "subscribed" else {}
    await peer.send(
        type=kind, dataset="Program", assetClass="stocks", channels=["trades"], symbols=request["symbols"], epoch="e1",
        total=1, id=request["id"], **places,
    )  # fmt: skip


@pytest.mark.unmeasured
async def test_a_slow_line_has_its_time_for_each_request(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    requests: list[dict[str, Any]] = []

    async def sip(peer: Peer) -> None:
        await peer.greet(heartbeat=CALM, limits={"requestBytes": 60_000})
        while True:
            requests.append(await peer.request())
            await trio.sleep(3)

    server = ScriptedServer(nursery, sip)
    symbols = [f"A-LONG-SYMBOL-{n:018}" for n in range(20_000)]
    async with open_feed("ws://test", FeedConfig(open_stream=server.dial)) as feed, trio.open_nursery() as users:
        users.start_soon(feed.trades(symbols).__aenter__)
        await trio.sleep(25)
        assert len(server.times) == 1
        assert len(requests) > 5
        nursery.cancel_scope.cancel()
        users.cancel_scope.cancel()
