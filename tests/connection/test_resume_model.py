"""Resume against an oracle: whatever the cuts, the positions, the ring and the pace, the log or exact gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
from connection.returning import EPOCH, Account, Reader, TopicName
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support import START_NS, memory_server
from trio.testing import MockClock

from datafye_trio import Halt, Server, ServerConfig
from datafye_trio.broker import OutboxLimits, Policy, RingLimits

SYMBOLS = "ABC"
CHANNELS = ("quotes", "trades")
PADDING = "x" * 4_000
"""So that a few messages fill a chunk, and a few more the connection of a client that does not read."""

steps = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(SYMBOLS), st.integers(1, 150)),
    st.tuples(st.just("publish"), st.sampled_from(SYMBOLS), st.integers(1, 150)),
    st.tuples(st.just("read"), st.integers(1, 8)),
    st.tuples(st.just("sleep"), st.sampled_from([0.01, 0.5, 3.0])),
    st.tuples(st.just("cut")),
    st.tuples(st.just("back"), st.sampled_from(["named", "star", "split"]), st.integers(0, 30)),
)
rings = st.builds(
    RingLimits, seconds=st.just(0.1), messages=st.integers(1, 80), bytes=st.sampled_from([30_000, 500_000, 10**7])
)


@attrs.define
class World:
    """One server, its log, and a client that comes and goes. Halts, since they go out on both channels."""

    server: Server
    log: dict[TopicName, list[int]] = attrs.Factory(dict)
    account: Account = attrs.field(init=False)
    reader: Reader | None = None
    published: int = 0

    def __attrs_post_init__(self) -> None:
        self.log = {(channel, symbol): [] for channel in CHANNELS for symbol in SYMBOLS}
        self.account = Account(self.log)
        self.account.positions = dict.fromkeys(self.log, 0)

    async def publish(self, symbol: str, count: int) -> None:
        events = [Halt(symbol, START_NS + self.published + n, PADDING) for n in range(count)]
        self.published += count
        for channel in CHANNELS:
            self.log[channel, symbol] += [one.timestamp for one in events]
        await self.server.publish(events)

    async def read(self, pieces: int) -> None:
        if self.reader is not None:
            with trio.move_on_after(0.01):
                await self.reader.read(pieces)
            self._judge()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def cut(self) -> None:
        if self.reader is not None:
            await self.reader.client.stream.aclose()
            self.reader = None

    async def back(self, how: str, less: int) -> None:
        """Come back and ask for what was missed, and for the last few messages again."""
        if self.reader is not None:
            return
        for name, position in self.account.positions.items():
            self.account.positions[name] = max(0, position - less)
        self.reader = await Reader.connect(self.server)
        self.account.after_gap.clear()
        for channel in CHANNELS:
            if how != "star":
                await self._resume(channel, "A" if how == "split" else SYMBOLS)
            if how != "named":
                await self._resume(channel, "*")

    async def finish(self) -> None:
        """Read all there is, on as many connections as it takes; then nothing may be missing."""
        while self.reader is None or self.account.positions != {name: len(log) for name, log in self.log.items()}:
            await self.back("split", 0)
            assert self.reader is not None
            await self.reader.until_quiet()
            self._judge()
        event(f"lost any: {bool(self.account.lost)}")

    async def _resume(self, channel: str, symbols: str) -> None:
        assert self.reader is not None
        positions = {symbol: self.account.positions[channel, symbol] for symbol in SYMBOLS}
        request: dict[str, Any] = {"epoch": EPOCH, "positions": positions}
        await self.reader.client.send(action="subscribe", channels=[channel], symbols=list(symbols), resume=request)

    def _judge(self) -> None:
        """Check what came; a connection that the server has closed (4008: we read too slowly) is over."""
        assert self.reader is not None
        found = self.reader.data()
        self.reader.messages.clear()
        self.account.follow(found)
        if self.reader.closed is not None:
            assert self.reader.closed in (4008, 1006)
            self.reader = None


async def play(ring: RingLimits, policy: Policy, orders: Sequence[tuple[Any, ...]]) -> None:
    outbox = OutboxLimits(bytes=1_000_000, policy=policy)
    async with memory_server(ServerConfig(ring=ring, outbox=outbox)) as server:
        world = World(server)
        for symbol in SYMBOLS:
            await world.publish(symbol, 1)
        for action, *arguments in orders:
            await getattr(world, action)(*arguments)
        await world.finish()


@pytest.mark.unmeasured
@settings(max_examples=60)
@given(rings, st.sampled_from(["disconnect", "drop_oldest"]), st.lists(steps, max_size=25))
def test_every_message_or_an_exact_gap(ring: RingLimits, policy: Policy, orders: list[tuple[Any, ...]]) -> None:
    trio.run(play, ring, policy, orders, clock=MockClock(autojump_threshold=0))
