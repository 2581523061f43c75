"""The proof in small: feeds whose connections are cut at random bytes get each message once, in order, or an exact gap.

The judge is the source's own log. `scripts/soak` does the same over real sockets, and more of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from support import memory_server
from trio.testing import MockClock

from datafye_trio import Channel, RingLimits, Server, ServerConfig, open_server
from datafye_trio.client import FeedConfig, Reconnect, SubscribeOptions, open_feed
from datafye_trio.client.buffers import Policy
from datafye_trio.testing import (
    NumberedConfig,
    NumberedSource,
    Oracle,
    Proxy,
    RandomCuts,
    Topic,
    Upstream,
    Verdict,
    open_proxy,
)  # fmt: skip

URL = "ws://server/datafye-ws/v1"
SYMBOLS = tuple(f"S{number}" for number in range(6))
CLIENTS = 5
EACH = 3
"""Symbols of a client: neighbours share them."""
MESSAGES = 6_000
RATE = 250.0
CUTS = 40
RING = RingLimits(seconds=1.5, messages=20)
"""A topic has 21 or 42 messages a second: of what a longer outage misses, a part is gone."""
RECONNECT = Reconnect(first=0.05, ceiling=0.5, healthy_after=0.5)


@attrs.define(eq=False)
class Member:
    """One client, its proxy and its judge."""

    number: int
    upstream: Upstream
    channels: tuple[Channel, ...] = (Channel.TRADES,)
    options: SubscribeOptions = attrs.Factory(lambda: SubscribeOptions(snapshot=False))
    pause: float = 0.0
    """Seconds for which the program does something else after each two hundred items."""
    proxy: Proxy | None = None
    subscribed: trio.Event = attrs.Factory(trio.Event)
    end: Mapping[Topic, int] | None = None
    """Its part of the source's log, once that is complete."""
    done: trio.Event = attrs.Factory(trio.Event)
    oracle: Oracle = attrs.Factory(lambda self: Oracle(f"client {self.number}", {}), takes_self=True)

    @property
    def topics(self) -> tuple[Topic, ...]:
        symbols = [SYMBOLS[(self.number + n) % len(SYMBOLS)] for n in range(EACH)]
        return tuple((channel, symbol) for channel in self.channels for symbol in symbols)

    async def run(self) -> None:
        config = FeedConfig(RECONNECT, open_stream=self.open_stream)
        symbols = list(dict.fromkeys(symbol for _, symbol in self.topics))
        async with (
            open_proxy(self.upstream) as self.proxy,
            open_feed(URL, config) as feed,
            feed.subscribe(self.channels, symbols, **self.options) as subscription,
        ):
            self.subscribed.set()
            count = 0
            async for item in subscription:
                self.oracle.take(item)
                self.check()
                if self.pause and not (count := count + 1) % 200:
                    await trio.sleep(self.pause)

    async def open_stream(self) -> trio.abc.Stream:
        assert self.proxy is not None
        return self.proxy.connect()

    def check(self) -> None:
        if self.end is not None and self.oracle.reached(self.end):
            self.done.set()

    async def verdict(self, published: Mapping[Topic, int], life: int = 0) -> Verdict:
        """The verdict once all has come, or after two minutes."""
        self.end = {topic: published[topic] for topic in self.topics}
        self.check()
        with trio.move_on_after(120):
            await self.done.wait()
        return self.oracle.verdict(self.end, life=life)


@attrs.frozen
class Outcome:
    """What became of a run: `due` are the messages that all clients together should have got."""

    verdict: Verdict
    due: int
    cuts: int


async def cut_and_judge(source: NumberedSource, seed: int, make: Callable[[int, Upstream], Member]) -> Outcome:
    """Cut clients at random bytes while a source publishes, and judge what each got."""
    async with memory_server(ServerConfig(ring=RING), [source]) as server, trio.open_nursery() as nursery:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        members = [make(number, upstream) for number in range(CLIENTS)]
        proxies = []
        for member in members:
            nursery.start_soon(member.run)
        for member in members:
            await member.subscribed.wait()
            assert member.proxy is not None
            # A plan tells of new connections when to cut them: the first one is cut by hand.
            member.proxy.plan = RandomCuts(100 * seed + member.number, most=400_000, longest_outage=2.0)
            member.proxy.cut_all()
            proxies.append(member.proxy)
        source.go.set()
        await source.done.wait()
        for proxy in proxies:
            proxy.plan = None
        verdict = Verdict.sum([await member.verdict(source.published) for member in members])
        nursery.cancel_scope.cancel()
    due = sum(source.published[topic] for member in members for topic in member.topics)
    return Outcome(verdict, due, sum(len(proxy.cuts) for proxy in proxies))


@pytest.mark.unmeasured
@pytest.mark.parametrize(("channels", "seed"), [((Channel.TRADES,), 1), ((Channel.QUOTES, Channel.TRADES), 3)])
async def test_cuts_at_random_bytes_lose_nothing_in_silence(
    autojump_clock: MockClock, channels: tuple[Channel, ...], seed: int
) -> None:
    source = NumberedSource(NumberedConfig(SYMBOLS, channels, MESSAGES, RATE, seed=seed))
    found = await cut_and_judge(source, seed, lambda number, upstream: Member(number, upstream, channels))
    assert found.verdict.sound, str(found.verdict)
    assert found.cuts >= CUTS
    assert found.verdict.gaps > 0, "no outage was longer than the ring: gaps were not tried"
    assert found.verdict.received + found.verdict.covered == found.due
    assert found.verdict.received > found.due / 4, "nearly nothing came: recovery was not tried"


@pytest.mark.unmeasured
@pytest.mark.parametrize(("policy", "seed"), [("wait", 4), ("drop_oldest", 5)])
async def test_nor_where_the_program_is_slow_as_well(autojump_clock: MockClock, policy: Policy, seed: int) -> None:
    """Its buffer is far too small: what it misses by that comes later, or is a gap, cuts or no cuts."""
    source = NumberedSource(NumberedConfig(SYMBOLS, messages=MESSAGES, rate=RATE, seed=seed))
    options = SubscribeOptions(policy=policy, buffer=60)
    found = await cut_and_judge(
        source, seed, lambda number, upstream: Member(number, upstream, options=options, pause=2.5)
    )
    assert found.verdict.sound, str(found.verdict)
    assert found.cuts >= CUTS / 2
    assert found.verdict.received + found.verdict.covered == found.due
    assert found.verdict.received > found.due / 10


LIVES = 5


class Lives:
    """A server that dies in the middle of it all, and starts anew with nothing of the past."""

    def __init__(self) -> None:
        self._server: Server | None = None

    async def connect(self) -> trio.abc.Stream:
        if self._server is None:
            raise ConnectionRefusedError
        return self._server.connect()

    async def run(self, members: list[Member]) -> Verdict:
        """All its lives; what the clients got by the end of the last, which alone comes to the end of its data."""
        for life in range(LIVES - 1):
            async with self._life(life) as source:
                for member in members:
                    await member.subscribed.wait()
                source.go.set()
                await trio.sleep(1.5 + life / 3)
                self._server = None
                for member in members:
                    assert member.proxy is not None
                    member.proxy.cut_all()
            await trio.sleep(life / 3)
        async with self._life(LIVES - 1) as source:
            source.go.set()
            await source.done.wait()
            return Verdict.sum([await member.verdict(source.published, LIVES - 1) for member in members])

    @asynccontextmanager
    async def _life(self, life: int) -> AsyncIterator[NumberedSource]:
        source = NumberedSource(NumberedConfig(SYMBOLS, messages=1_500, rate=RATE, seed=life, life=life))
        async with open_server(sources=[source], listen=False, new_epoch=lambda: f"epoch-{life}") as self._server:
            yield source


@pytest.mark.unmeasured
async def test_a_server_that_begins_anew_leaves_no_silent_hole(autojump_clock: MockClock) -> None:
    """What was lost between two lives nobody can count; that something was is told on every topic, each time."""
    lives = Lives()
    members = [Member(number, lives.connect) for number in range(CLIENTS)]
    async with trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(member.run)
        verdict = await lives.run(members)
        nursery.cancel_scope.cancel()
    assert verdict.sound, str(verdict)
    assert verdict.restarts == (LIVES - 1) * CLIENTS * EACH
    assert verdict.gaps == 0
