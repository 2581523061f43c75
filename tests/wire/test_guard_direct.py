"""Writing at once, past the writer task: only whole turns, in order, and what is left goes out before all else."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from datafye_trio.wire import GuardStream, InboundLimits, Opcode, close_frame, frame, memory_transport

MUCH = bytes(4 * 2**20)
"""More than the kernel takes at once of a pair of sockets."""


@asynccontextmanager
async def open_guard() -> AsyncIterator[tuple[GuardStream, trio.SocketStream]]:
    """A guard on a real socket, and the peer's end."""
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with ours, theirs:
        yield GuardStream(ours, b"", InboundLimits(), trio.Lock()), theirs


def direct(guard: GuardStream, data: bytes) -> int | None:
    """Write at once, where that is possible at all."""
    assert guard.direct is not None
    return guard.direct(data)


async def read(peer: trio.SocketStream, size: int) -> bytes:
    got = b""
    with trio.fail_after(10):
        while len(got) < size:
            got += await peer.receive_some(size - len(got))
    return got


async def test_what_the_socket_takes_is_out_at_once() -> None:
    async with open_guard() as (guard, peer):
        assert direct(guard, b"one") == 0
        assert direct(guard, b"two") == 0
        assert not guard.unsent
        assert await read(peer, 6) == b"onetwo"


async def test_what_is_left_goes_out_before_all_else_and_nothing_is_taken_meanwhile() -> None:
    async with open_guard() as (guard, peer):
        left = direct(guard, MUCH + b"end")
        assert left
        assert guard.unsent
        assert direct(guard, b"overtaking") is None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.send_all, b"next")
            assert await read(peer, len(MUCH) + 7) == MUCH + b"endnext"
        assert not guard.unsent
        assert direct(guard, b"again") == 0


async def test_an_empty_write_finishes_what_is_left() -> None:
    async with open_guard() as (guard, peer):
        assert direct(guard, MUCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.send_all, b"")
            assert await read(peer, len(MUCH)) == MUCH
        assert not guard.unsent


async def test_a_full_socket_takes_nothing() -> None:
    async with open_guard() as (guard, peer):
        assert direct(guard, MUCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.send_all, b"")
            await wait_all_tasks_blocked()
            assert direct(guard, b"x") is None  # another task is writing
            assert await read(peer, len(MUCH)) == MUCH


async def test_a_close_frame_follows_what_is_left_and_nothing_follows_it() -> None:
    async with open_guard() as (guard, peer):
        assert direct(guard, MUCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.send_close, 1001, "bye")
            assert await read(peer, len(MUCH)) == MUCH
        close = close_frame(1001, "bye")
        assert await read(peer, len(close)) == close
        assert direct(guard, b"late") is None


async def test_a_peer_that_is_gone_is_the_next_writes_to_find() -> None:
    async with open_guard() as (guard, peer):
        await peer.aclose()
        assert direct(guard, b"x") is None
        with pytest.raises(trio.BrokenResourceError):
            await guard.send_all(b"x")
        assert guard.broken
        assert direct(guard, b"x") is None


async def test_what_is_left_and_cut_off_breaks_the_stream() -> None:
    async with open_guard() as (guard, _):
        assert direct(guard, MUCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.send_all, b"")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert guard.broken
        with pytest.raises(trio.BrokenResourceError, match="an earlier write was cut off"):
            await guard.send_close(1001, "bye")


async def test_our_own_closed_socket_takes_nothing() -> None:
    async with open_guard() as (guard, _):
        await guard._stream.aclose()
        assert direct(guard, b"x") is None


async def test_there_is_no_such_way_in_memory() -> None:
    ours, _ = memory_transport()
    assert GuardStream(ours, b"", InboundLimits(), trio.Lock()).direct is None


async def test_any_mix_of_ways_keeps_the_order() -> None:
    """The kernel's buffers are small, the reader is slow: most writes are cut somewhere."""
    chance = random.Random(6)
    async with open_guard() as (guard, peer):
        guard._stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        sent: list[bytes] = []
        got = b""
        ways = {"at once": 0, "in part": 0, "not": 0}
        async with trio.open_nursery() as nursery:
            for number in range(400):
                data = frame(Opcode.TEXT, f"{number:06}".encode() * chance.randrange(1, 2_000))
                left = direct(guard, data)
                ways["not" if left is None else "in part" if left else "at once"] += 1
                if left is None or left:
                    nursery.start_soon(guard.send_all, data if left is None else b"")
                    await wait_all_tasks_blocked()
                sent.append(data)
                behind = sum(map(len, sent)) - len(got)
                if chance.random() < 0.6:
                    got += await read(peer, chance.choice([behind // 2, behind]))
            whole = b"".join(sent)
            got += await read(peer, len(whole) - len(got))
        assert got == whole
        assert min(ways.values()) > 10, ways
