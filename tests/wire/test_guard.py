"""The guarded stream: what it lets in, what it counts, how it writes, and that half a frame is the end of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.wire import GuardStream, InboundLimits, MemoryStream, Opcode, close_frame, frame, memory_transport

HEAD = b"GET / HTTP/1.1\r\n\r\n"
FULL = bytes(64 * 1024)


def make_guard(limits: InboundLimits | None = None) -> tuple[GuardStream, MemoryStream]:
    """A guard, and the peer's end of its transport."""
    ours, theirs = memory_transport()
    return GuardStream(ours, HEAD, limits or InboundLimits(), trio.Lock()), theirs


async def make_open(limits: InboundLimits | None = None) -> tuple[GuardStream, MemoryStream]:
    """As `make_guard`, after the handshake."""
    guard, peer = make_guard(limits)
    assert await guard.receive_some() == HEAD
    await guard.send_all(b"HTTP/1.1 101")
    assert await peer.receive_some() == b"HTTP/1.1 101"
    return guard, peer


async def verdict_on(guard: GuardStream, peer: MemoryStream, data: bytes) -> Ending | None:
    """Let the peer send and shut; read it all, or until the guard refuses."""

    async def send() -> None:
        await peer.send_all(data)
        await peer.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        try:
            while await guard.receive_some(4_096):
                pass
        except trio.BrokenResourceError:
            nursery.cancel_scope.cancel()
    return guard.verdict


async def test_nothing_is_read_before_the_answer_is_written() -> None:
    guard, peer = make_guard()
    await peer.send_all(b"\x81\x81mask?")
    assert await guard.receive_some() == HEAD
    got: list[bytes] = []

    async def read() -> None:
        got.append(bytes(await guard.receive_some()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert got == []
        await guard.send_all(b"HTTP/1.1 101")
    assert got == [b"\x81\x81mask?"]


async def test_bytes_go_through_as_they_come(tools: Any) -> None:
    guard, peer = await make_open()
    data = tools.frame(Opcode.TEXT, b"hello") + tools.ping(b"x")
    await peer.send_all(data)
    assert await guard.receive_some(3) == data[:3]
    assert await guard.receive_some() == data[3:]
    await peer.aclose()
    assert await guard.receive_some() == b""
    assert guard.verdict is None


async def test_the_time_of_the_last_frame(autojump_clock: MockClock, tools: Any) -> None:
    guard, peer = await make_open()
    began = trio.current_time()
    assert guard.last_frame == began
    await trio.sleep(7)
    await peer.send_all(tools.ping())
    await guard.receive_some()
    assert guard.last_frame == began + 7
    await trio.sleep(1)
    await peer.send_all(tools.frame(Opcode.TEXT, b"xy")[:1])
    await guard.receive_some()
    assert guard.last_frame == began + 7  # no frame yet


async def test_a_close_of_the_peer_is_seen(tools: Any) -> None:
    guard, peer = await make_open()
    assert not guard.peer_closed
    await peer.send_all(tools.frame(Opcode.CLOSE, tools.close_payload(1000)))
    await guard.receive_some()
    assert guard.peer_closed


LIMITS = InboundLimits(message_bytes=100, fragments=4, control_rate=1, control_burst=3, frame_rate=10, frame_burst=12)


def message(tools: Any, *sizes: int) -> bytes:
    """One message of fragments with these sizes."""
    return b"".join(
        tools.frame(Opcode.CONTINUATION if index else Opcode.TEXT, b"x" * size, fin=index == len(sizes) - 1)
        for index, size in enumerate(sizes)
    )


async def test_what_is_within_the_budgets(autojump_clock: MockClock, tools: Any) -> None:
    for build in (
        lambda: message(tools, 100),
        lambda: message(tools, 25, 25, 25, 25),
        lambda: message(tools, 0, 0, 0, 0) * 2,
        lambda: message(tools, 100) * 12,
        lambda: tools.ping() * 3,
        lambda: message(tools, 50, 50) + message(tools, 60),
        lambda: tools.frame(Opcode.TEXT, b"x" * 50, fin=False) + tools.ping(b"y" * 60),
    ):
        guard, peer = await make_open(LIMITS)
        assert await verdict_on(guard, peer, build()) is None


@pytest.mark.parametrize(
    ("build", "code", "why"),
    [
        (lambda tools: message(tools, 101), CloseCode.TOO_BIG, "may have 100 bytes"),
        (lambda tools: message(tools, 60, 41), CloseCode.TOO_BIG, "may have 100 bytes"),
        (lambda tools: tools.frame(Opcode.BINARY, claim=2**40), CloseCode.TOO_BIG, "may have 100 bytes"),
        (lambda tools: message(tools, 0, 0, 0, 0, 0), CloseCode.POLICY_VIOLATION, "may have 4 fragments"),
        (lambda tools: tools.ping() * 4, CloseCode.POLICY_VIOLATION, "too many control frames"),
        (lambda tools: tools.frame(Opcode.PONG) * 4, CloseCode.POLICY_VIOLATION, "too many control frames"),
        (lambda tools: message(tools, 1) * 13, CloseCode.POLICY_VIOLATION, "too many frames"),
    ],
)
async def test_verdicts(autojump_clock: MockClock, tools: Any, build: Any, code: CloseCode, why: str) -> None:
    guard, peer = await make_open(LIMITS)
    verdict = await verdict_on(guard, peer, build(tools))
    assert verdict is not None
    assert verdict.code == code
    assert why in verdict.reason
    assert guard.writable  # so that the close can be said


async def test_budgets_refill(autojump_clock: MockClock, tools: Any) -> None:
    guard, peer = await make_open(LIMITS)
    for _ in range(20):
        await peer.send_all(tools.ping())
        await guard.receive_some()
        await trio.sleep(1)
    assert guard.verdict is None


async def test_writes_of_two_tasks_do_not_mix(autojump_clock: MockClock) -> None:
    guard, peer = await make_open()
    first, second = frame(Opcode.TEXT, b"a" * 65_000), frame(Opcode.TEXT, b"b" * 65_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard.send_all, first)
        await wait_all_tasks_blocked()
        nursery.start_soon(guard.send_all, second)
        await wait_all_tasks_blocked()
        got = b""
        while len(got) < len(first + second):
            got += await peer.receive_some()
    assert got == first + second
    await guard.wait_send_all_might_not_block()


async def test_a_cancelled_write_breaks_the_stream(autojump_clock: MockClock) -> None:
    guard, _ = await make_open()
    await guard.send_all(FULL)
    with trio.move_on_after(1) as scope:
        await guard.send_all(b"half a frame")
    assert scope.cancelled_caught
    assert guard.broken
    assert not guard.writable
    assert guard.verdict is None  # it was our doing
    with pytest.raises(trio.BrokenResourceError, match="an earlier write was cut off"):
        await guard.send_all(b"x")


async def test_a_write_to_a_peer_that_is_gone(autojump_clock: MockClock) -> None:
    guard, peer = await make_open()
    await peer.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await guard.send_all(b"x")
    assert guard.broken
    assert guard.verdict is None


async def test_a_write_has_a_deadline(autojump_clock: MockClock) -> None:
    guard, _ = await make_open(InboundLimits(write_seconds=5))
    await guard.send_all(FULL)
    began = trio.current_time()
    with pytest.raises(trio.BrokenResourceError, match="took too long"):
        await guard.send_all(b"x")
    assert trio.current_time() == began + 5
    assert guard.verdict is not None
    assert guard.verdict.code == CloseCode.SLOW_CONSUMER
    assert not guard.writable


async def test_a_reader_that_is_slow_but_reads_within_the_deadline_is_kept(autojump_clock: MockClock) -> None:
    guard, peer = await make_open(InboundLimits(write_seconds=5))
    await guard.send_all(FULL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard.send_all, b"late")
        await trio.sleep(4.9)
        await peer.receive_some()
    assert guard.writable


async def test_hurry_shortens_the_write_under_way_and_later_ones(autojump_clock: MockClock) -> None:
    guard, peer = await make_open(InboundLimits(write_seconds=60))
    began = trio.current_time()
    await guard.send_all(FULL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard.send_all, b"under way")
        await wait_all_tasks_blocked()
        guard.hurry(began + 10)
        guard.hurry(began + 20)  # a later deadline changes nothing
        await peer.receive_some()
    await guard.send_all(FULL[9:])
    with pytest.raises(trio.BrokenResourceError, match="took too long"):
        await guard.send_all(b"x")
    assert trio.current_time() == began + 10


async def test_hurry_cuts_the_write_under_way(autojump_clock: MockClock) -> None:
    guard, _ = await make_open(InboundLimits(write_seconds=60))
    await guard.send_all(FULL)
    began = trio.current_time()

    async def write() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await guard.send_all(b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        guard.hurry(began + 2)
    assert trio.current_time() == began + 2


async def test_nothing_follows_a_close_frame(tools: Any) -> None:
    guard, peer = await make_open()
    await guard.send_close(4008, "slow")
    assert guard.close_sent
    assert not guard.writable
    await guard.send_all(frame(Opcode.TEXT, b"late"))
    await guard.send_close(1000, "second")
    await guard.send_all(frame(Opcode.PONG, b""))
    assert await peer.receive_some() == close_frame(4008, "slow")
    await peer.send_eof()
    assert await guard.receive_some() == b""  # it still reads


async def test_a_close_waits_for_the_frame_under_way(autojump_clock: MockClock) -> None:
    guard, peer = await make_open()
    data = frame(Opcode.TEXT, b"a" * 65_536)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard.send_all, data)
        await wait_all_tasks_blocked()
        nursery.start_soon(guard.send_close, 1001, "")
        await wait_all_tasks_blocked()
        assert not guard.close_sent
        got = b""
        while len(got) < len(data) + 4:
            got += await peer.receive_some()
    assert got == data + close_frame(1001, "")


async def test_closing_it_leaves_the_transport_open() -> None:
    guard, peer = await make_open()
    await guard.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await guard.receive_some()
    await guard.send_close(1002, "")
    assert await peer.receive_some() == close_frame(1002, "")


async def test_an_empty_write_is_allowed() -> None:
    guard, peer = await make_open()
    await guard.send_all(b"")
    assert guard.writable
    await guard.send_all(bytearray(b"a"))
    await guard.send_all(memoryview(b"b"))
    assert await peer.receive_some() == b"ab"
