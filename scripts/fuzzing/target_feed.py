"""The target of a whole feed: a server that says anything, to a program that follows it."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Hashable
from typing import Final, TypeAlias

import trio
from trio.testing import MockClock

from datafye_trio import FeedConfig, FeedItem, Reconnect, open_feed
from datafye_trio.client.feed import WireFeed
from datafye_trio.errors import DatafyeError
from datafye_trio.wire import MemoryStream, Opcode, frame, memory_transport
from fuzzing.checking import Target, check, gist
from fuzzing.target_server import watched_log
from fuzzing.target_text import DATA_WORDS, PLAIN_WORDS

__all__ = ["TARGETS"]

_URL: Final = "ws://x/datafye-ws/v1"
_SECONDS: Final = 300.0
"""Of virtual time: a server that says nothing more is given up on long before."""
_FEED_SECONDS: Final = 120.0
_CONNECTIONS: Final = 4
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WORDS: Final = (
    *DATA_WORDS, *PLAIN_WORDS, b"\n", b'{"type":"connected"}', b'{"type":"heartbeat","timestamp":1}',
    b'{"type":"subscribed","id":1}', b'{"type":"error","code":"UNKNOWN_SYMBOL","message":"x","id":1}', b'"epoch":"e"',
    b'{"type":"stream_start","stream":1}', b'{"type":"stream_end","stream":1,"count":0,"reason":"complete"}', b'"id":2',
    b'{"type":"gap"}', b'"from":1,"to":2', b'"positions":{"trades":{"AAPL":0}}', b'"timestampUnit":"ms"',
    b'"limits":{}',
    b'"heartbeatInterval":0', b'"heartbeatTimeout":-1', b'"requestBytes":1', b'"datasets":[]', b'"snapshot":true',
)  # fmt: skip
_Follow: TypeAlias = Callable[[WireFeed[FeedItem], Counter[Hashable]], Awaitable[None]]


async def _live(feed: WireFeed[FeedItem], found: Counter[Hashable]) -> None:
    async with feed.subscribe(["trades", "quotes"], ["AAPL", "MSFT"]) as subscription:
        await _count(subscription, found)


async def _stored(feed: WireFeed[FeedItem], found: Counter[Hashable]) -> None:
    async with feed.history("AAPL", start="2025-01-02", end="2025-01-03", frequency="Minute") as stream:
        await _count(stream, found)


async def _since(feed: WireFeed[FeedItem], found: Counter[Hashable]) -> None:
    async with feed.trades("AAPL", since="2025-01-02") as subscription:
        await _count(subscription, found)


async def _count(items: AsyncIterable[object], found: Counter[Hashable]) -> None:
    async for item in items:
        found[type(item).__name__] += 1


_WAYS: Final[tuple[_Follow, ...]] = (_live, _stored, _since)
"""The first byte of an input says which; each line behind it is a message of the server."""


async def _serve(stream: MemoryStream, lines: list[bytes]) -> None:
    """Accept, say it all, a message after each turn of the client's, and listen to the end."""
    request = b""
    try:
        while b"\r\n\r\n" not in request:
            if not (data := await stream.receive_some()):
                return
            request += data
        key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key.split(b":")[1].strip() + _GUID).digest())
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        for line in lines:
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(frame(Opcode.TEXT, line))
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client has left


async def _talk(follow: _Follow, lines: list[bytes]) -> Hashable:
    found: Counter[Hashable] = Counter()
    end: Hashable = "open"
    with trio.fail_after(_SECONDS):
        async with trio.open_nursery() as nursery:

            async def connect() -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                ours, theirs = memory_transport()
                nursery.start_soon(_serve, theirs, lines)
                return ours

            config = FeedConfig(Reconnect(attempts=_CONNECTIONS - 1, jitter=lambda: 0.5), open_stream=connect)
            try:
                with trio.move_on_after(_FEED_SECONDS):
                    async with open_feed(_URL, config) as feed:
                        await follow(feed, found)
                        end = "ended"
            except DatafyeError as error:
                check(str(error).isprintable(), "what ends a feed is told in one line")
                end = type(error).__name__, gist(error)
            nursery.cancel_scope.cancel()
    return end, tuple(sorted((kind, min(count, 3)) for kind, count in found.items()))


def run_feed(data: bytes) -> Hashable:
    """Whatever a server says: items, or an error of ours of one line; nothing hangs, and nothing fails in silence."""
    follow = _WAYS[data[0] % len(_WAYS)] if data else _live
    with watched_log() as log:
        try:
            return trio.run(_talk, follow, data[1:].split(b"\n"), clock=MockClock(autojump_threshold=0))
        finally:
            log.raise_what_came()


TARGETS: Final = (
    Target("feed", "a server's messages to a whole feed: items, or an error of one line", run_feed, _WORDS, 6_000),
)
