"""How a connection ends, by either side, under virtual time: close codes, echoes, shutdown."""

from __future__ import annotations

import json

import pytest
import trio
from connection.kit import subscribed
from support import RawClient, masked, memory_server, quote
from trio.testing import MockClock, wait_all_tasks_blocked

CLOSES = {
    "1002 unmasked": (b"\x81\x02hi", 1002),
    "1002 reserved bit": (masked(1, b"{}").replace(b"\x81", b"\xc1", 1), 1002),
    "1003 binary": (masked(2, b"\x80"), 1003),
    "1007 no UTF-8": (masked(1, b"\xff\xfe"), 1007),
    "1008 fragments": (masked(1, b"{", fin=False) + masked(0, b"", fin=False) * 64, 1008),
    "1008 pings": (masked(9, b"") * 21, 1008),
    "1009 too big": (masked(1, b" " * 131_073)[:60_000], 1009),
    "4013 requests": (masked(1, b'{"action":"ping"}') * 2_012, 4013),
    "4501 errors": (masked(1, b"nonsense") * 20, 4501),
}


@pytest.mark.parametrize(("data", "code"), CLOSES.values(), ids=CLOSES)
async def test_each_close_code(autojump_clock: MockClock, data: bytes, code: int) -> None:
    async with memory_server() as server:
        other = await subscribed(server, "AAPL")
        client = await RawClient.connect(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stream.send_all, data)
            closed = await client.closed()
        assert closed[0] == code
        assert (code == 1000) or closed[1]
        assert await client.frame() == (-1, b"")  # nothing follows a close frame
        await server.publish(quote())
        assert (await other.message())["seq"] == 1


async def test_a_flooder_that_goes_on_after_the_close_frame_is_cut_off_at_once(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        sent = 0
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await client.stream.send_all(masked(9, b"") * 1_000)
                sent += 6_000
        assert trio.current_time() == 0  # without waiting for the 2 s that a close may take
        assert sent < 500_000
        assert (await client.closed())[0] == 1008


async def test_a_peer_that_closes_gets_its_close_echoed(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.stream.send_all(masked(8, b"\x03\xe8done"))
        assert await client.closed() == (1000, "done")
        assert await client.frame() == (-1, b"")


async def test_a_peer_that_vanishes_harms_nobody(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        gone = await subscribed(server, "AAPL")
        other = await subscribed(server, "AAPL")
        gone.stream.close()
        await server.publish(quote())
        assert (await other.message())["seq"] == 1


async def test_shutdown_drains_then_says_1001(autojump_clock: MockClock) -> None:
    found: list[int] = []

    async def read(client: RawClient) -> None:
        while True:
            opcode, payload = await client.frame()
            if opcode == 8:
                found.append(-int.from_bytes(payload[:2], "big"))
                await client.stream.send_all(masked(8, payload))
                return
            found.append(json.loads(payload)["seq"])

    async with trio.open_nursery() as nursery:
        async with memory_server() as server:
            client = await subscribed(server, "AAPL")
            await server.publish([quote(n=n) for n in range(3_000)])
            nursery.start_soon(read, client)
        ended = trio.current_time()
    assert found == [*range(1, 3_001), -1001]
    assert ended < 1  # as soon as the outbox was empty and the peer had closed


async def test_shutdown_does_not_wait_for_a_peer_that_does_not_read(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        await subscribed(server, "AAPL")
        await server.publish([quote(n=n) for n in range(3_000)])
        await wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(5, abs=0.01)
