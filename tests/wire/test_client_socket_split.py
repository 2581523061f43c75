"""Any split of the incoming bytes gives the same messages; any bytes give messages and an end, nothing else."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked
from wire.peer import connected, drained, fragment, text

from datafye_trio.wire.frames import Opcode, close_frame, frame


def messages() -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    """(frames, message), the message b"" where it is none; pings stand between fragments too."""
    payload = st.one_of(st.text(max_size=5).map(str.encode), st.sampled_from([b"x" * n for n in (125, 126, 70_000)]))
    ping = st.sampled_from([b"", frame(Opcode.PING, b"!")])

    def plain(made: bytes) -> tuple[bytes, bytes]:
        return frame(Opcode.TEXT, b"=" + made), b"=" + made

    def split(made: tuple[list[bytes], bytes, int]) -> tuple[bytes, bytes]:
        parts, between, opcode = made
        first, *rest = parts
        sent = fragment(opcode, b"=" + first) + b"".join(between + fragment(0, part) for part in rest)
        return sent + between + fragment(0, b"", fin=True), b"=" + b"".join(parts)

    parts = st.lists(payload, min_size=1, max_size=3)
    return st.lists(
        st.one_of(
            payload.map(plain), st.tuples(parts, ping, st.sampled_from([1, 2])).map(split), ping.map(lambda p: (p, b""))
        ),
        max_size=8,
    )


@pytest.mark.unmeasured
@settings(max_examples=40)
@given(messages(), st.integers(1, 400), st.booleans())
def test_any_split_gives_the_same_messages(sent: list[tuple[bytes, bytes]], size: int, lazy: bool) -> None:
    trio.run(_sent_in_pieces, sent, size, lazy, clock=MockClock(autojump_threshold=0))


async def _sent_in_pieces(sent: list[tuple[bytes, bytes]], size: int, lazy: bool) -> None:
    data = b"".join(one for one, _ in sent) + close_frame(1001, "bye")
    size = max(size, math.ceil(len(data) / 300))
    async with connected() as (socket, peer), trio.open_nursery() as nursery:

        async def send() -> None:
            for start in range(0, len(data), size):
                await peer.stream.send_all(data[start : start + size])

        nursery.start_soon(send)
        if lazy:
            await wait_all_tasks_blocked()
        found, closed = await drained(socket)
    assert found == [message for _, message in sent if message]
    assert (closed.code, closed.reason) == (1001, "bye")


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_is_an_end_and_no_other_exception(garbage: bytes, size: int) -> None:
    trio.run(_garbage, garbage, size, clock=MockClock(autojump_threshold=0))


async def _garbage(garbage: bytes, size: int) -> None:
    async with connected(text("1")) as (socket, peer):
        try:
            for start in range(0, len(garbage), size):
                await peer.stream.send_all(garbage[start : start + size])
            await peer.stream.send_eof()
        except trio.BrokenResourceError:
            pass
        found, closed = await drained(socket)
    assert found[0] == b"1"
    assert isinstance(closed.code, int)
