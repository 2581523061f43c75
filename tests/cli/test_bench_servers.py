"""`bench` on servers that cut, say nothing, or say something else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from cli.benching import Bench, load
from client.scripted import Peer, ScriptedServer
from trio.testing import MockClock

from datafye_trio.cli import bench_client


async def test_a_client_that_is_cut_is_told_and_the_others_go_on(autojump_clock: MockClock, bench: Bench) -> None:
    async def slow(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.trade(1)
        await trio.sleep(5)
        await peer.close(4008, "too\nslow")

    async def sound(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.trade(1)
        await peer.trade(4)
        await peer.ended()

    async with trio.open_nursery() as nursery:
        await bench.run(load(ScriptedServer(nursery, slow, sound).dial))
    assert bench.code == 3
    assert "cut: 1 client: 4008 too\\nslow\n" in bench.out
    assert "lost: 4 messages in 2 gaps (0 told by the server)\n" in bench.out
    assert "10.0 s measured" in bench.out


async def test_it_ends_at_once_when_the_last_client_is_cut(autojump_clock: MockClock, bench: Bench) -> None:
    async def cut(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await trio.sleep(3)
        await peer.close(1001)

    async with trio.open_nursery() as nursery:
        await bench.run(load(ScriptedServer(nursery, cut).dial, seconds=1_000.0))
        assert (bench.code, trio.current_time() < 10) == (3, True)
        assert "cut: 3 clients: 1001\n" in bench.out
        await bench.run(load(ScriptedServer(nursery, cut).dial, warmup=60.0))
    assert (bench.code, bench.out) == (1, "")
    assert bench.err == "datafye-trio: every client was cut before anything could be measured: 1001\n"


async def silent(peer: Peer) -> None:
    await peer.ended()


async def deaf(peer: Peer) -> None:
    await peer.greet()
    await peer.ended()


async def strange(peer: Peer) -> None:
    await peer.heartbeat()
    await peer.ended()


async def garbage(peer: Peer) -> None:
    await peer.send_bytes(b"\x81\x07garbage")
    await peer.ended()


async def goodbye(peer: Peer) -> None:
    await peer.greet()
    await peer.request()
    await peer.close(4501, "go away")


async def nothing(peer: Peer) -> None:
    await peer.greet()
    number = (await peer.request())["id"]
    await peer.send(type="subscribed", dataset="P", assetClass="stocks", channels=[], symbols=[], epoch="e", total=0, id=number)  # fmt: skip  # noqa: E501
    await peer.ended()


async def flood(peer: Peer) -> None:
    await peer.greet()
    await peer.request()
    while True:
        await peer.send(type="spam")
        await trio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (silent, "connected, but no greeting within 10 s: is it a server of this protocol?"),
        (deaf, "no answer to a subscribe request within 10 s"),
        (strange, "no greeting of this protocol, but Heartbeat first"),
        (garbage, "no greeting of this protocol: "),
        (goodbye, "closed with 4501: go away"),
        (nothing, "the server has accepted nothing of what was asked"),
        (flood, "no answer to a subscribe request within 10 s"),
    ],
)
async def test_a_server_of_another_kind_is_one_line(
    autojump_clock: MockClock, bench: Bench, script: Callable[[Peer], Awaitable[None]], why: str
) -> None:
    async with trio.open_nursery() as nursery:
        await bench.run(load(ScriptedServer(nursery, script).dial))
    assert (bench.code, bench.out) == (1, "")
    assert bench.err.splitlines()[-1].startswith(f"datafye-trio: {why}")


async def test_no_json_and_a_server_that_reads_nothing_are_cuts(
    autojump_clock: MockClock, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_client, "_PONG", "x" * 40_000)  # else it takes thousands until no more has room

    async def broken(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await trio.sleep(2)
        await peer.send_bytes(b"\x81\x01{")
        await peer.ended()

    async def stuck(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        for _ in range(30):
            await peer.heartbeat()
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, broken, stuck)
        await bench.run(load(server.dial, clients=2, seconds=60.0))
    assert bench.code == 3
    assert "cut: 1 client: the server sends no sound JSON: " in bench.out
    assert "cut: 1 client: the server took nothing for 5 s" in bench.out
    assert "lag: up to 7 messages waited for a client at the server" in bench.out
