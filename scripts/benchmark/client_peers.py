"""The contenders of `scripts/bench client`, each in its best reasonable form, and the process that runs one of them.

Every contender receives the same bytes and makes each message a dict with the same decoder, `msgspec.json.decode`, so
that only the WebSocket differs; only `open_feed` makes events instead. With `json` as the decoder, the peers use the
standard library's, as most programs do; ours, which has its own, does not change. Wherever a library can give text as
bytes it does: msgspec reads bytes, and a str would be made for nothing. Compression and pings are off. What was
measured and not taken stands with each.

Run by `client_rounds` with: CONTENDER PORT SYMBOLS MESSAGES DECODER. It writes one JSON object: events,
seconds from just before the subscribe request to the last event (so that nothing read ahead stays uncounted), the
processor's seconds for the same, and the symbol and time of the last event. Without arguments it writes which
contenders lack their modules, and the versions of the others.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter, itemgetter
from typing import Any, Final

import attrs
import msgspec
import trio

__all__ = ["CONTENDERS", "DECODERS"]


DECODERS: Final[dict[str, Callable[[bytes | str], Any]]] = {"msgspec": msgspec.json.decode, "json": json.loads}
decode = DECODERS["msgspec"]


@attrs.frozen
class Target:
    """Where to connect, what to send, and how many messages will come."""

    base: str
    symbols: tuple[str, ...]
    messages: int

    @property
    def url(self) -> str:
        """The channel's own path."""
        return f"{self.base}/datafye-ws/v1/stocks/live/quotes"

    @property
    def request(self) -> str:
        """What a client without a library sends."""
        return json.dumps({"action": "subscribe", "symbols": self.symbols, "snapshot": False})


class Clock:
    """Measures from `start` to `stop`; `stop` is given the last event."""

    def start(self) -> None:
        """Call it just before the request."""
        self._began, self._spent = time.perf_counter(), time.process_time()

    def stop(self, count: int, symbol: str, time_ns: int) -> None:
        """Call it with the count of events, and the last one's symbol and time."""
        self.result = {
            "events": count,
            "seconds": time.perf_counter() - self._began,
            "processor_seconds": time.process_time() - self._spent,
            "symbol": symbol,
            "time_ns": time_ns,
        }


async def plain_trio_websocket(target: Target, clock: Clock) -> None:
    """Its default queue of one message: 64 and 1,000 were no faster, nor were reads of 4 KiB slower than 3 %."""
    from trio_websocket import open_websocket_url

    async with open_websocket_url(target.url, receive_buffer_size=65_536) as websocket:
        await websocket.get_message()
        clock.start()
        await websocket.send_message(target.request)
        await websocket.get_message()
        for _ in range(target.messages):
            last = decode(await websocket.get_message())
        clock.stop(target.messages, last["symbol"], last["exchangeTimestamp"])


async def websockets_trio(target: Target, clock: Clock) -> None:
    """`websockets` on Trio. A longer queue was no faster."""
    from websockets.trio.client import connect

    async with connect(target.url, compression=None, ping_interval=None, proxy=None) as websocket:
        await websocket.recv()
        clock.start()
        await websocket.send(target.request)
        await websocket.recv()
        for _ in range(target.messages):
            last = decode(await websocket.recv(decode=False))
        clock.stop(target.messages, last["symbol"], last["exchangeTimestamp"])


async def websockets_asyncio(target: Target, clock: Clock) -> None:
    """`websockets` on asyncio, its own loop or uvloop. A longer queue was no faster."""
    from websockets.asyncio.client import connect

    async with connect(target.url, compression=None, ping_interval=None, proxy=None) as websocket:
        await websocket.recv()
        clock.start()
        await websocket.send(target.request)
        await websocket.recv()
        for _ in range(target.messages):
            last = decode(await websocket.recv(decode=False))
        clock.stop(target.messages, last["symbol"], last["exchangeTimestamp"])


async def aiohttp_client(target: Target, clock: Clock) -> None:
    """`aiohttp`, with its reader in C, on asyncio's own loop or uvloop. `async for` took 1.35 times as long."""
    from aiohttp import ClientSession  # type: ignore[import-not-found, unused-ignore]

    async with ClientSession() as session, session.ws_connect(target.url, compress=0, decode_text=False) as websocket:
        await websocket.receive()
        clock.start()
        await websocket.send_str(target.request)
        await websocket.receive()
        for _ in range(target.messages):
            last = decode((await websocket.receive()).data)
        clock.stop(target.messages, last["symbol"], last["exchangeTimestamp"])


async def picows_client(target: Target, clock: Clock) -> None:
    """`picows`: a callback a frame. Its memory views, decoded in place, and larger reads were no faster."""
    from picows import WSListener, WSMsgType, ws_connect  # type: ignore[import-not-found, unused-ignore]

    class Listener(WSListener):  # type: ignore[misc, unused-ignore]  # its base is unknown where it is not installed
        left = target.messages + 2

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            last = decode(frame.get_payload_as_bytes())
            self.left -= 1
            if self.left == 0:
                clock.stop(target.messages, last["symbol"], last["exchangeTimestamp"])
                transport.send_close()
                transport.disconnect()
            elif self.left == target.messages + 1:
                clock.start()
                transport.send(WSMsgType.TEXT, target.request.encode())

    transport, _ = await ws_connect(Listener, target.url)
    await transport.wait_disconnected()


async def ours_fast_lane(target: Target, clock: Clock) -> None:
    """The WebSocket that `open_feed` stands on, alone: no sessions, no `seq` checked, no buffers."""
    from datafye_trio.wire import ClientOptions, open_client

    async with open_client(target.url, ClientOptions(proxy=None)) as websocket:
        await websocket.receive_many()
        clock.start()
        await websocket.send(target.request)
        left = target.messages + 1
        while left > 0:
            messages = await websocket.receive_many()
            left -= len(messages)
            for message in messages:
                last = msgspec.json.decode(message)
        clock.stop(target.messages - left, last["symbol"], last["exchangeTimestamp"])


async def ours(target: Target, clock: Clock, *, raw: bool, batches: bool = False) -> None:
    """`open_feed`, with all that it does: every `seq` checked, the ledger kept, the buffer and its policy."""
    from datafye_trio import FeedConfig, open_feed, open_raw_feed

    place = itemgetter("symbol", "exchangeTimestamp") if raw else attrgetter("symbol", "exchange_timestamp")
    opening: Any = open_raw_feed if raw else open_feed
    async with opening(target.base, FeedConfig(proxy=None)) as feed:
        await feed.wait_connected()
        clock.start()
        async with feed.quotes(target.symbols, snapshot=False) as quotes:
            left = target.messages
            if batches:
                while left > 0:
                    events = await quotes.receive_many()
                    left -= len(events)
                clock.stop(target.messages - left, *place(events[-1]))
            else:
                async for event in quotes:
                    left -= 1
                    if not left:
                        clock.stop(target.messages, *place(event))
                        break


def on_uvloop(client: Callable[[], Awaitable[None]]) -> None:
    """Run on uvloop, asyncio's loop in C."""
    import uvloop  # type: ignore[import-not-found, unused-ignore]

    uvloop.run(client())


def on_asyncio(client: Callable[[], Awaitable[None]]) -> None:
    """Run on asyncio's own loop."""
    asyncio.run(client())  # type: ignore[arg-type]  # every client is a coroutine function


@attrs.frozen
class Contender:
    """A client, the loop that it runs on, the modules that it needs beyond the project's own, and the part of the
    messages that it gets: a slow one need not get all.
    """

    client: Callable[[Target, Clock], Awaitable[None]]
    run: Callable[[Callable[[], Awaitable[None]]], None]
    needs: tuple[str, ...] = ()
    part: float = 1.0

    def missing(self) -> str | None:
        """Why it cannot run here; None where it can."""
        try:
            for name in self.needs:
                import_module(name)
        except ImportError as error:
            return str(error)
        return None


CONTENDERS: Final = {
    "trio-websocket": Contender(plain_trio_websocket, trio.run, part=0.1),
    "websockets.trio": Contender(websockets_trio, trio.run, ("websockets.trio.client",), 0.1),
    "websockets": Contender(websockets_asyncio, on_asyncio, ("websockets.asyncio.client",), 0.1),
    "websockets, uvloop": Contender(websockets_asyncio, on_uvloop, ("websockets.asyncio.client", "uvloop"), 0.1),
    "aiohttp": Contender(aiohttp_client, on_asyncio, ("aiohttp",), 0.5),
    "aiohttp, uvloop": Contender(aiohttp_client, on_uvloop, ("aiohttp", "uvloop"), 0.5),
    "picows, uvloop": Contender(picows_client, on_uvloop, ("picows", "uvloop")),
    "open_feed": Contender(partial(ours, raw=False), trio.run),
    "open_feed, batches": Contender(partial(ours, raw=False, batches=True), trio.run),
    "open_raw_feed": Contender(partial(ours, raw=True), trio.run),
    "open_raw_feed, batches": Contender(partial(ours, raw=True, batches=True), trio.run),
    "the fast lane alone": Contender(ours_fast_lane, trio.run),
}


def surroundings() -> dict[str, dict[str, str]]:
    """Who cannot run here and why, and the versions of those that can."""
    missing = {name: why for name, one in CONTENDERS.items() if (why := one.missing())}
    packages = {module.split(".")[0] for name, one in CONTENDERS.items() if name not in missing for module in one.needs}
    packages |= {"trio", "trio-websocket", "msgspec"}
    return {"missing": missing, "versions": {name: version(name) for name in sorted(packages)}}


def main() -> None:
    """Run one contender and report, or without arguments report what is here."""
    if len(sys.argv) == 1:
        print(json.dumps(surroundings()))
        return
    global decode  # noqa: PLW0603 -- a process runs one contender with one decoder
    name, port, symbols, messages = sys.argv[1], *map(int, sys.argv[2:5])
    decode = DECODERS[sys.argv[5]]
    contender, clock = CONTENDERS[name], Clock()
    target = Target(f"ws://127.0.0.1:{port}", tuple(f"S{number:03}" for number in range(symbols)), messages)
    contender.run(partial(contender.client, target, clock))
    print(json.dumps(clock.result))


if __name__ == "__main__":
    main()
