"""Real sockets with small buffers: what goes out at once, in part, or by the writer comes as one stream, in order."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from support import RawClient, masked, quote, upgrade_head
from trio.testing import wait_all_tasks_blocked

from datafye_trio import Program, Server, ServerConfig, open_server
from datafye_trio.wire import GuardStream

QUOTES = "/datafye-ws/v1/stocks/live/quotes"


class SlowClient(RawClient):
    """Counts on its own reading only: its kernel holds next to nothing for it."""

    @classmethod
    async def subscribe(cls, server: Server) -> SlowClient:
        ours = trio.socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await ours.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1].split("/")[0])))
        client = cls(trio.SocketStream(ours))
        await client.stream.send_all(upgrade_head(QUOTES))
        assert (await client.http_answer())[0] == 101
        assert (await client.message())["type"] == "connected"
        await client.ask('{"action":"subscribe","symbols":["AAPL"],"snapshot":false}')
        assert (await client.message())["type"] == "subscribed"
        return client

    async def ask(self, text: str) -> None:
        await self.stream.send_all(masked(1, text.encode()))


@asynccontextmanager
async def running() -> AsyncIterator[Server]:
    with trio.fail_after(30):
        async with open_server(ServerConfig(port=0), [Program()]) as server:
            yield server


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a chunk went out at once, in part or not at all."""
    found: Counter[str] = Counter()
    write = GuardStream._write_nowait

    def counting(self: GuardStream, data: bytes) -> int | None:
        left = write(self, data)
        found["not" if left is None else "part" if left else "whole"] += 1
        return left

    monkeypatch.setattr(GuardStream, "_write_nowait", counting)
    return found


async def fill(server: Server, count: int) -> None:
    """Publish so many quotes, as fast as they are taken."""
    publisher = server.publisher()
    for first in range(0, count, 500):
        await publisher.publish([quote("AAPL", n) for n in range(first, min(first + 500, count))])
        await wait_all_tasks_blocked()


async def test_a_slow_reader_gets_everything_in_order_answers_among_it(ways: Counter[str]) -> None:
    chance = random.Random(4)
    async with running() as server:
        client = await SlowClient.subscribe(server)
        seqs: list[int] = []
        pongs = 0

        async def take() -> None:
            nonlocal pongs
            message = await client.message()
            if "seq" in message:
                seqs.append(message["seq"])
            pongs += message["type"] == "pong"

        for first in range(0, 4_000, 200):
            await server.publish([quote("AAPL", n) for n in range(first, first + 200)])
            await client.ask(f'{{"action":"ping","id":{first}}}')
            await wait_all_tasks_blocked()
            for _ in range(chance.randrange(first + 200 - len(seqs))):
                await take()
        while len(seqs) < 4_000 or pongs < 20:
            await take()
        assert seqs == list(range(1, 4_001))
        assert pongs == 20
        assert min(ways[way] for way in ("whole", "part", "not")) >= 1, ways
        await client.stream.aclose()


@pytest.mark.parametrize("waiting", [0, 12_000])
async def test_a_stop_sends_what_is_under_way_and_then_says_goodbye(waiting: int) -> None:
    async with trio.open_nursery() as nursery:
        got: list[tuple[int, bytes]] = []

        async def read_to_the_end(client: SlowClient) -> None:
            while not got or got[-1][0] == 1:
                got.append(await client.frame())
            await client.stream.send_all(masked(8, got[-1][1]))
            assert await client.frame() == (-1, b"")
            await client.stream.aclose()

        async with running() as server:
            client = await SlowClient.subscribe(server)
            await fill(server, waiting)
            nursery.start_soon(read_to_the_end, client)
    quotes = [payload for opcode, payload in got if opcode == 1 and payload.startswith(b'{"type":"quote"')]
    assert len(quotes) == waiting
    assert (got[-1][0], got[-1][1][:2]) == (8, (1001).to_bytes(2))
