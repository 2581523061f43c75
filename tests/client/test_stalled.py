"""A program that does not read for ten times the heartbeat's timeout, beside a real server: no pong is late for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from client.scripted import Peer
from support import memory_server, trade
from trio.testing import MockClock

from datafye_trio import BufferOverflowError, FeedConfig, FeedItem, FeedState, Server, Subscription, open_feed
from datafye_trio.client.buffers import Policy
from datafye_trio.wire import Opcode

HEARTBEAT = b'"type":"heartbeat"'
TIMEOUT = 30
STALLED = 10 * TIMEOUT + 1
BURST = 800
"""Events that come at once: more bytes than the transport holds, and more than the buffer takes."""


class Watched(trio.abc.Stream):
    """A client's stream that notes when heartbeats came in and pongs went out."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.came: list[float] = []
        self.left: list[float] = []
        self._stream = stream
        self._tail = b""
        self._sent = Peer(self)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._stream.receive_some(max_bytes))
        seen = self._tail + data
        self.came += [trio.current_time()] * seen.count(HEARTBEAT)
        self._tail = seen[-len(HEARTBEAT) + 1 :]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        if data[:3] != b"GET":
            self._sent.buffer = bytes(data)
            opcode, payload = await self._sent.frame()
            if opcode == Opcode.TEXT and json.loads(payload)["action"] == "pong":
                self.left.append(trio.current_time())

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def publish_for(server: Server, seconds: float) -> int:
    """A burst each five seconds; how many events that were."""
    until = trio.current_time() + seconds
    count = 0
    while trio.current_time() < until:
        await server.publish([trade("AAPL", count + n) for n in range(BURST)])
        count += BURST
        await trio.sleep(5)
    return count


@pytest.mark.unmeasured
@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "latest", "error"])
async def test_the_servers_watchdog_has_nothing_to_say(autojump_clock: MockClock, policy: Policy) -> None:
    streams: list[Watched] = []
    async with memory_server() as server:

        async def dial() -> trio.abc.Stream:
            streams.append(Watched(server.connect()))
            return streams[-1]

        async with open_feed("ws://test", FeedConfig(open_stream=dial)) as feed:
            watch = feed.states()
            async with feed.trades("AAPL", policy=policy, buffer=100) as sub:
                count = await publish_for(server, STALLED)
                got = await read_to_the_end(server, sub, count)
        states = [change.state async for change in watch]
    assert FeedState.DISCONNECTED not in states
    (stream,) = streams
    assert len(stream.came) == STALLED // 10
    assert len(stream.left) == len(stream.came)
    assert max(left - came for came, left in zip(stream.came, stream.left, strict=True)) < 1
    check(policy, got, count)


async def read_to_the_end(server: Server, sub: Subscription[FeedItem], count: int) -> list[Any]:
    """All that has come, and one event more."""
    got: list[Any] = []
    try:
        with trio.move_on_after(1):
            while True:
                got.append(await anext(sub))
        await server.publish(trade("AAPL", count))
        with trio.fail_after(1):
            got.append(await anext(sub))
    except BufferOverflowError as error:
        got.append(error)
    return got


def check(policy: Policy, got: list[Any], count: int) -> None:
    """What each policy promises: no event twice, none missing without a word. With `wait`, the ring is too short."""
    match policy:
        case "error":
            assert got[:-1] == [trade("AAPL", n) for n in range(100)]
            assert isinstance(got[-1], BufferOverflowError)
        case "latest":
            assert got == [trade("AAPL", count - 1), trade("AAPL", count)]
        case "drop_oldest":
            gap, *rest = got
            assert (gap.first, gap.last, gap.reason) == (1, count - 100, "buffer_full")
            assert rest == [trade("AAPL", n) for n in range(count - 100, count + 1)]
        case "wait":
            (gap,) = got[100:-1]
            assert (gap.first, gap.last, gap.reason) == (101, count, "expired")
            assert got[:100] == [trade("AAPL", n) for n in range(100)]
            assert got[-1] == trade("AAPL", count)
