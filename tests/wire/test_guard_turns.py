"""Connections take turns in being heard."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from datafye_trio.wire import GuardStream, InboundLimits, memory_transport


async def test_many_small_frames_are_handed_on_a_few_at_a_time_and_connections_take_turns() -> None:
    """A read of 4 KiB may hold 680 frames: fifty clients within their budgets held up the others for a second."""
    turn, heard = trio.Lock(), list[tuple[str, bytes]]()
    frames = [b"\x81\x81mask%c" % n for n in range(10)]

    async def hear(name: str, guard: GuardStream) -> None:
        while data := await guard.receive_some(4_096):
            heard.append((name, data))

    async with trio.open_nursery() as nursery:
        peers = []
        for name in "ab":
            ours, theirs = memory_transport()
            peers.append(theirs)
            guard = GuardStream(ours, b"", InboundLimits(), turn)
            await guard.send_all(b"HTTP/1.1 101")
            nursery.start_soon(hear, name, guard)
        async with turn:
            for peer in peers:
                await peer.send_all(b"".join(frames))
                await peer.send_eof()
            await wait_all_tasks_blocked()
            assert heard == []
    pieces = [b"".join(frames[:4]), b"".join(frames[4:8]), b"".join(frames[8:])]
    for name in "ab":
        assert [data for who, data in heard if who == name] == pieces
    assert sorted(who for who, _ in heard[:2]) == ["a", "b"]
