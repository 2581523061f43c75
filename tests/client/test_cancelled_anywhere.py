"""A feed that is cancelled at any step, its own or others': nothing stays open, and nothing else is raised."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from client.scripted import URL, Peer, ScriptedServer, config
from trio.testing import MockClock

from datafye_trio import WireFeed, open_feed


class CancelAt(trio.abc.Instrument):
    """Cancels a scope before the `step`-th step of any task."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.steps = 0
        self._scope = scope
        self._step = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self._step:
            self._scope.cancel()


async def serve(peer: Peer) -> None:
    """Accept all that is asked, and answer a close; until the client is gone."""
    with contextlib.suppress(AssertionError):  # it has closed in place of asking
        await peer.greet()
        await peer.accept_subscribe()
        for seq in (1, 2, 3):
            await peer.trade(seq)
    await peer.ended()


async def read(feed: WireFeed[Any]) -> None:
    async with feed.trades("AAPL") as sub:
        for _ in range(3):
            await anext(sub)
        await sub.remove("AAPL")


async def watch(feed: WireFeed[Any]) -> None:
    async for change in feed.states():
        if change.state == "live":
            break


async def cancelled_at(step: int, use: Callable[[WireFeed[Any]], Awaitable[None]]) -> bool:
    """Whether the body came to its end before that step."""
    transports: list[trio.abc.Stream] = []
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, serve)

        async def dial() -> trio.abc.Stream:
            transports.append(await server.dial())
            return transports[-1]

        done = False
        with trio.CancelScope() as scope:
            instrument = CancelAt(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with open_feed(URL, config(server, open_stream=dial)) as feed:
                    await use(feed)
                done = True
            finally:
                trio.lowlevel.remove_instrument(instrument)
        assert done or scope.cancelled_caught
        assert trio.current_time() <= 2.0 + 1e-6  # the goodbye, if the server does not answer it
        for transport in transports:
            with pytest.raises(trio.ClosedResourceError):
                await transport.send_all(b"x")
        nursery.cancel_scope.cancel()
    return done and instrument.steps < step


@pytest.mark.unmeasured
@pytest.mark.parametrize("use", [read, watch])
def test_a_feed_that_is_cancelled_at_any_step(use: Callable[[WireFeed[Any]], Awaitable[None]]) -> None:
    step = 1
    while not trio.run(cancelled_at, step, use, clock=MockClock(autojump_threshold=0)):
        step += 1
    assert step > 50
