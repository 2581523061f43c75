"""The stream under trio-websocket by itself: what only a transport in trouble shows."""

from __future__ import annotations

import ssl

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.wire import MemoryStream, memory_transport
from datafye_trio.wire.lane import ClientLane


class Failing(MemoryStream):
    """A stream whose reads fail as one says."""

    cause: Exception | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError("told so") from self.cause


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (ssl.SSLError(1, "[SSL: DECRYPTION_FAILED] ..."), "TLS was lost"),
        (ConnectionResetError(104, "x"), "connection reset by peer"),
        (TimeoutError(), "told so"),
        (None, "told so"),
    ],
)
async def test_why_a_transport_was_lost(cause: Exception | None, why: str) -> None:
    ours, _ = memory_transport()
    failing = Failing(ours._in, ours._out)
    failing.cause = cause
    lane = ClientLane(failing, 1000)
    with pytest.raises(trio.BrokenResourceError):
        await lane.receive_some()
    assert lane.lost == why
    assert lane.inbox.ended


async def test_why_tls_was_lost() -> None:
    ours, _ = memory_transport()
    failing = Failing(ours._in, ours._out)
    failing.cause = error = ssl.SSLError(1, "x")
    error.reason = "BAD_RECORD_MAC"
    lane = ClientLane(failing, 1000)
    with pytest.raises(trio.BrokenResourceError):
        await lane.receive_some()
    assert lane.lost == "bad record mac"


async def test_reading_after_closing() -> None:
    ours, _ = memory_transport()
    lane = ClientLane(ours, 1000)
    await lane.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await lane.receive_some()
    assert lane.lost == "closed by this end"


async def test_waiting_for_room_is_the_transports(autojump_clock: MockClock) -> None:
    ours, theirs = memory_transport()
    lane = ClientLane(ours, 1000)
    await lane.wait_send_all_might_not_block()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.send_all, b"x" * 100_000)
        await wait_all_tasks_blocked()
        await theirs.receive_some(100_000)
        await theirs.receive_some(100_000)
