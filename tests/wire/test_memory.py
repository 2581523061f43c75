"""The transport in memory behaves like a socket: trio's own contract for streams, and 64 KiB of backpressure."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from datafye_trio.wire import MemoryStream, memory_transport

CAPACITY = 64 * 1024


async def make() -> tuple[MemoryStream, MemoryStream]:
    return memory_transport()


async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
    left, right = memory_transport()
    for stream in (left, right):
        await stream.send_all(bytes(CAPACITY))
    return left, right


async def test_trios_contract_for_streams() -> None:
    await trio.testing.check_half_closeable_stream(make, make_clogged)


async def test_a_writer_waits_while_64_kib_are_unread() -> None:
    left, right = memory_transport()
    await left.send_all(bytes(CAPACITY))
    done = trio.Event()

    async def write() -> None:
        await left.send_all(b"x" * 10)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        assert len(await right.receive_some(4)) == 4
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()  # room for 4 of the 10
        assert len(await right.receive_some(6)) == 6
        await done.wait()
    rest = b""
    while len(rest) < CAPACITY:
        rest += await right.receive_some()
    assert rest == bytes(CAPACITY - 10) + b"x" * 10


async def test_directions_do_not_share_their_room() -> None:
    left, right = memory_transport()
    await left.send_all(bytes(CAPACITY))
    await right.send_all(b"back")
    assert await left.receive_some() == b"back"


async def test_a_cancelled_write_may_have_gone_in_part(autojump_clock: trio.testing.MockClock) -> None:
    left, right = memory_transport()
    with trio.move_on_after(1) as scope:
        await left.send_all(b"y" * (CAPACITY + 1))
    assert scope.cancelled_caught
    assert await right.receive_some() == b"y" * CAPACITY
    await left.send_all(b"z")
    assert await right.receive_some() == b"z"


async def test_what_was_written_before_a_close_is_read() -> None:
    left, right = memory_transport()
    await left.send_all(b"last words")
    left.close()
    left.close()
    assert await right.receive_some(4) == b"last"
    assert await right.receive_some() == b" words"
    assert await right.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await right.send_all(b"x")


async def test_end_of_file_on_a_closed_stream() -> None:
    left, _ = memory_transport()
    await left.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await left.send_eof()
