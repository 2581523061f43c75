"""Clients that misbehave, through the front: the server answers as it would alone, and nothing grows without bound."""

from __future__ import annotations

import contextlib
import json
import random
import struct

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from support import RawClient, masked, trade, upgrade_head
from testing.kit import Front, front, rest

from datafye_trio import ServerConfig
from datafye_trio.testing.dialect import Dialect
from datafye_trio.wire import InboundLimits, MemoryStream


async def opened(stream: MemoryStream) -> RawClient:
    client = RawClient(stream)
    await client.stream.send_all(upgrade_head())
    assert (await client.http_answer())[0] == 101
    await client.message()
    return client


WRONG = [
    b"\xff" * 100,
    random.Random(1).randbytes(64),
    struct.pack("!BB", 0x81, 5) + b"plain",  # unmasked
    masked(1, b"\xff\xfe"),
    masked(3, b"reserved"),
    b"\xc1" + masked(1, b"compressed?")[1:],
    struct.pack("!BBQ", 0x82, 0xFF, 2**63) + bytes(4),
    struct.pack("!BBQ", 0x82, 0xFF, 2**40) + bytes(4) + bytes(1_000),
    masked(0, b"continued from nothing"),
    masked(9, b"x" * 126),
    masked(8, b"\x03"),
    masked(1, b"a", fin=False) + masked(1, b"b"),
    b"".join(masked(0 if n else 1, b"a", fin=False) for n in range(100)),
    masked(1, bytes(200_000)),
]


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
async def test_misuse_ends_as_it_does_alone(autojump_clock: trio.testing.MockClock, data: bytes) -> None:
    async with front() as kit:
        ends = []
        for stream in (kit.server.connect(), kit.connect()):
            client = await opened(stream)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, stream, data)
                ends.append(await client.closed())
                nursery.cancel_scope.cancel()
        assert ends[0] == ends[1]
        assert (await kit.client()).stream is not None  # it serves others


async def send(stream: MemoryStream, data: bytes) -> None:
    with trio.move_on_after(10), contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(data)


async def test_a_frame_without_end_is_not_held(autojump_clock: trio.testing.MockClock) -> None:
    config = ServerConfig(inbound=InboundLimits(message_bytes=2**50))
    async with front(config) as kit:
        client = await kit.client()
        await client.stream.send_all(struct.pack("!BBQ", 0x81, 0xFF, 2**45) + bytes(4))
        for _ in range(100):
            await client.stream.send_all(bytes(60_000))
        await trio.testing.wait_all_tasks_blocked()
        assert kit.proxy.statistics().from_client > 6_000_000  # it has all passed
        assert {entry.kind for entry in kit.log.entries(direction="in")} == {"open", "raw"}
        kit.faults.drop()


@pytest.mark.unmeasured
async def test_a_reader_that_stops_under_a_delay_costs_a_bounded_queue(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        kit.faults.delay(3_600.0)
        lane = kit.faults.taps[1].link.to_client
        most = 0
        for n in range(75):
            await kit.server.publish([trade(n=n) for _ in range(100)])
            await trio.testing.wait_all_tasks_blocked()
            most = max(most, lane._queued)
        assert 1024 * 1024 <= most <= 1024 * 1024 + 2 * 64 * 1024
        await trio.sleep(20)
        assert lane._queued == most
        kit.faults.clear()
        assert (await client.closed())[0] in (4008, 1006)


@pytest.mark.unmeasured
async def test_duplicates_of_large_messages_are_bounded_too(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.client()
        kit.faults.delay(10.0)
        kit.faults.duplicate(1.0)
        symbols = [f"S{n}" for n in range(9_000)]
        with trio.move_on_after(5):
            for _ in range(10):
                await client.send(action="subscribe", channels=["trades"], symbols=symbols)
                await trio.sleep(0.1)
        assert kit.faults.taps[1].link.to_client._queued < 2_000_000
        kit.faults.drop()


@pytest.mark.unmeasured
async def test_a_client_that_floods_the_dialect_and_reads_nothing_is_dropped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with front(dialect=Dialect) as kit:
        client = RawClient(kit.connect())
        await client.stream.send_all(upgrade_head("/datafye-ws/v1/stocks/live/quotes"))
        await trio.testing.wait_all_tasks_blocked()
        request = masked(1, json.dumps({"action": "nonsense"}).encode()) * 100
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(1_000):
                await client.stream.send_all(request)
        assert "dropped: the client does not read" in [entry.reason for entry in kit.log.entries("fault")]


async def test_a_close_that_is_not_read_ends_all_the_same(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        await kit.subscribed()
        await kit.server.publish([trade(n=n) for n in range(1_000)])
        await trio.testing.wait_all_tasks_blocked()
        kit.faults.close(4000)
        await trio.sleep(2)
        await trio.testing.wait_all_tasks_blocked()
        assert kit.proxy.statistics().open == 0
        assert kit.log.entries("gone")[0].reason == "closed, without an answer"


@pytest.mark.parametrize("fault", ["mute", "delay", "slow_reads", "reorder"])
async def test_the_front_ends_while_a_fault_holds_something_back(
    autojump_clock: trio.testing.MockClock, fault: str
) -> None:
    arguments = {"delay": [100.0], "slow_reads": [1.0], "reorder": [1.0]}.get(fault, [])
    async with front() as kit:
        client = await kit.subscribed()
        getattr(kit.faults, fault)(*arguments)
        await kit.server.publish([trade(n=n) for n in range(51)])
        await trio.sleep(1)
    assert trio.current_time() <= 1.0 + 5.0
    await rest(client.stream)


@pytest.mark.parametrize("fault", ["mute", "delay", "slow_reads", "reorder"])
async def test_a_fault_that_ends_gives_all_back_in_order(autojump_clock: trio.testing.MockClock, fault: str) -> None:
    arguments = {"delay": [100.0, 5.0], "slow_reads": [1.0], "reorder": [0.0]}.get(fault, [])
    async with front() as kit:
        client = await kit.subscribed()
        with getattr(kit.faults, fault)(*arguments):
            for n in range(50):
                await kit.server.publish(trade(n=n))
                await trio.sleep(0.01)
        await kit.server.publish(trade(n=50))
        assert [message["seq"] for message in await client.messages(51)] == list(range(1, 52))
        assert trio.current_time() == pytest.approx(0.5)
        await client.close()


@pytest.mark.unmeasured
@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=6), st.booleans())
@settings(max_examples=40)
def test_garbage_never_hurts_the_front(pieces: list[bytes], upgraded: bool) -> None:
    async def main() -> None:
        async with front() as kit:
            stream = kit.connect()
            if upgraded:
                await stream.send_all(upgrade_head())
                await trio.testing.wait_all_tasks_blocked()
            for piece in pieces:
                await send(stream, piece)
            await stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(60)
            await served(kit)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def served(kit: Front) -> None:
    client = await kit.client()
    assert (await client.ask(action="ping"))["type"] == "pong"
    await client.close()
    await trio.testing.wait_all_tasks_blocked()
    assert kit.proxy.statistics().open == 0
