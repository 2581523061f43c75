"""The server of `serve --testing`, on real sockets: where it listens, what its faults do, and how it ends."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from support import RawClient, upgrade_head

from datafye_trio import Program, ServerConfig, Source
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import DatasetInfo
from datafye_trio.sources import Publisher
from datafye_trio.testing.standing import StandingServer, open_standing_server

WAIT = 30


class Failing:
    """A source that crashes when it is told to."""

    def __init__(self) -> None:
        self.now = trio.Event()

    @property
    def dataset(self) -> DatasetInfo:
        return Program("SIP").dataset

    async def run(self, publisher: Publisher) -> None:
        await self.now.wait()
        raise SourceError("as it was told")


@asynccontextmanager
async def standing(
    sources: Callable[[], Sequence[Source]] = lambda: [Program()], **settings: Any
) -> AsyncIterator[StandingServer]:
    with trio.fail_after(WAIT):
        async with open_standing_server(ServerConfig(port=0, drain_seconds=1, **settings), sources, seed=1) as server:
            yield server


async def dial(server: StandingServer, host: str = "127.0.0.1") -> RawClient:
    port = urlsplit(server.url).port
    assert port is not None
    return RawClient(await trio.open_tcp_stream(host, port))


async def ask(server: StandingServer, method: str, target: str, host: str = "127.0.0.1") -> dict[str, Any]:
    client = await dial(server, host)
    await client.stream.send_all(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    status, _, body = await client.http_answer()
    await client.stream.aclose()
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


async def connect(server: StandingServer) -> tuple[RawClient, str]:
    """A client, and the epoch that it was told."""
    client = await dial(server)
    await client.stream.send_all(upgrade_head())
    assert (await client.http_answer())[0] == 101
    epoch: str = (await client.message())["datasets"][0]["epoch"]
    return client, epoch


async def ends(client: RawClient, end: tuple[int, str]) -> None:
    assert await client.closed() == end
    await client.stream.aclose()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(("host", "dialled"), [("localhost", "127.0.0.1"), ("localhost", "::1"), ("::1", "::1")])
async def test_it_listens_where_its_settings_say(host: str, dialled: str) -> None:
    if dialled == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with standing(host=host) as server:
        shown = f"[{host}]" if ":" in host else host
        assert server.url == f"ws://{shown}:{urlsplit(server.url).port}/datafye-ws/v1"
        assert await ask(server, "GET", "/faults", dialled) == {"active": [], "connections": []}
        assert (await ask(server, "GET", "/health", dialled))["status"] == "ok"


async def test_a_client_is_dropped_by_its_number() -> None:
    async with standing() as server:
        (first, _), (second, _) = await connect(server), await connect(server)
        listed = (await ask(server, "GET", "/faults"))["connections"]
        assert [(one["connection"], one["path"], one["address"]) for one in listed] == [
            (number, "/datafye-ws/v1", "127.0.0.1") for number in (1, 2)
        ]
        assert (await ask(server, "POST", "/faults/drop?connection=1"))["done"] == 1
        await ends(first, (1006, ""))
        assert [one["connection"] for one in (await ask(server, "GET", "/faults"))["connections"]] == [2]
        await second.close()


async def test_each_life_and_each_server_has_epochs_of_its_own() -> None:
    epochs = []
    for _ in range(2):
        async with standing() as server:
            for order, end in (("restart", (1012, "the server restarts")), ("restart?clean=false", (1006, ""))):
                client, epoch = await connect(server)
                epochs.append(epoch)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ends, client, end)
                    assert await ask(server, "POST", f"/faults/{order}") == {"fault": "restart", "active": False}
            client, epoch = await connect(server)
            epochs.append(epoch)
            await client.close()
    assert len({*epochs}) == 6


async def test_at_the_end_clients_are_told_even_who_was_muted() -> None:
    async with trio.open_nursery() as nursery, standing() as server:
        client, _ = await connect(server)
        assert (await ask(server, "POST", "/faults/mute"))["active"]
        nursery.start_soon(ends, client, (1001, "the server shuts down"))


async def test_what_the_body_raises_leaves_it_bare() -> None:
    with pytest.raises(ZeroDivisionError):
        async with standing():
            raise ZeroDivisionError


async def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 is in use"):
            async with open_standing_server(ServerConfig("127.0.0.1", port), lambda: [Program()]):
                pass


async def test_a_crash_of_a_source_is_seen_in_every_life() -> None:
    lives: list[Failing] = []

    def sources() -> list[Source]:
        lives.append(Failing())
        return [lives[-1]]

    async with standing(sources) as server:
        for _ in range(2):
            await ask(server, "POST", "/faults/restart")
        lives[0].now.set()  # it has ended long since
        await trio.testing.wait_all_tasks_blocked()
        assert not server.source_crashed.is_set()
        lives[-1].now.set()
        await server.source_crashed.wait()
        assert len(lives) == 3
