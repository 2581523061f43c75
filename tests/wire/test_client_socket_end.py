"""How a connection ends, and that each end has one code and one reason: goodbyes, bad frames, limits, losses."""

from __future__ import annotations

import struct

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wire.peer import connected, drained, ended_by, fragment, text

from datafye_trio.errors import ConnectError
from datafye_trio.wire import ClientOptions, ClientSocketClosed, open_client
from datafye_trio.wire.frames import Opcode, close_frame, frame


async def test_what_came_before_a_close_is_delivered(autojump_clock: MockClock) -> None:
    sent = text("1") + fragment(1, b"2") + fragment(0, b"", fin=True) + text("3")
    assert await ended_by(sent + close_frame(4501, "enough") + text("4")) == ([b"1", b"2", b"3"], 4501, "enough")


@pytest.mark.parametrize(("goodbye", "code"), [(frame(Opcode.CLOSE, b""), 1005), (close_frame(1000, ""), 1000)])
async def test_a_close_without_a_reason(autojump_clock: MockClock, goodbye: bytes, code: int) -> None:
    assert await ended_by(goodbye) == ([], code, "")


async def test_closing_says_the_code_and_drops_what_was_not_received(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        await peer.stream.send_all(text("1") + text("2"))
        await wait_all_tasks_blocked()
        assert await socket.receive() == b"1"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.close, 4010, "a hole")
            assert await peer.frame() == (Opcode.CLOSE, struct.pack("!H", 4010) + b"a hole")
            # A ping now would kill trio-websocket's reader, and the answer would never be seen.
            await peer.stream.send_all(text("3") + frame(Opcode.PING, b"") + close_frame(4010, ""))
        for use in (socket.receive_many(), socket.receive(), socket.send("x"), socket.ping()):
            with pytest.raises(ClientSocketClosed, match="closed with 4010: a hole"):
                await use


async def test_closing_wakes_who_receives_and_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with connected() as (socket, _):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(ClientSocketClosed, match="closed with 1000"):
                    await socket.receive_many()

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            await socket.close()
        assert trio.current_time() - began == 2


async def test_closing_while_the_inbox_is_full(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        with trio.move_on_after(1):
            while True:
                await peer.stream.send_all(text("x" * 1000) * 10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.close)
            assert (await peer.frame())[0] == Opcode.CLOSE
            peer.stream.close()


NOT_ALLOWED = {
    "Invalid opcode": b"\x83\x01x",
    "Invalid opcode 0xb": b"\x8b\x00",
    "masked": b"\x81\x81\0\0\0\0x",
    "fragment control": b"\x09\x00",
    "Control frame with payload len > 125": b"\x89\x7e\x00\x7e",
    "Payload length used 2 bytes": b"\x81\x7e\x00\x7d",
    "Payload length used 8 bytes": b"\x81\x7f" + struct.pack("!Q", 65_535),
    "unexpected CONTINUATION": b"\x80\x01x",
    "Reserved bit set": b"\xc1\x01x",
}


@pytest.mark.parametrize("reason", NOT_ALLOWED)
async def test_a_frame_that_is_not_allowed(autojump_clock: MockClock, reason: str) -> None:
    found, code, why = await ended_by(text("1") + NOT_ALLOWED[reason] + text("2"))
    assert (found, code) == ([b"1"], 1002)
    assert why.startswith("what the server sent is wrong: ")
    assert reason in why


@pytest.mark.parametrize("opened", [b"", fragment(1, b"a")])
async def test_a_frame_out_of_place_of_which_only_the_head_has_come(autojump_clock: MockClock, opened: bytes) -> None:
    """trio-websocket waits for the first byte behind it, and a server that sends none would only be lost (1006)."""
    found, code, why = await ended_by(text("1") + opened + (b"\x81\x05" if opened else b"\x00\x05"))
    assert (found, code, why) == ([b"1"], 1002, "what the server sent is wrong: a frame that is not allowed there")


@pytest.mark.parametrize(("bad", "code"), [(b"\x83\x01x", 1002), (fragment(1, b"\xff"), 1007)])
async def test_the_server_is_told_what_was_wrong(autojump_clock: MockClock, bad: bytes, code: int) -> None:
    """trio-websocket would only drop the connection."""
    async with connected(bad) as (socket, peer):
        await drained(socket)
    opcode, payload = await peer.frame()
    assert (opcode, struct.unpack("!H", payload[:2])[0]) == (Opcode.CLOSE, code)
    assert payload[2:].startswith(b"what the server sent is wrong: ")
    assert await peer.frame() == (-1, b"")


async def test_text_in_fragments_must_be_utf_8(autojump_clock: MockClock) -> None:
    """Of a first fragment nobody waits for: the end is told all the same."""
    found, code, why = await ended_by(text("1") + fragment(1, b"\xff"))
    assert (found, code) == ([b"1"], 1007)
    assert "decode byte 0xff" in why
    found, code, _ = await ended_by(text("1") + fragment(1, b"a") + fragment(0, b"\xff", fin=True) + text("2"))
    assert (found, code) == ([b"1"], 1007)


async def test_text_in_one_frame_is_for_the_decoder_to_check(autojump_clock: MockClock) -> None:
    async with connected(frame(Opcode.TEXT, b"\xff")) as (socket, _):
        assert await socket.receive_many() == [b"\xff"]


async def test_a_close_frame_with_half_a_code(autojump_clock: MockClock) -> None:
    found, code, why = await ended_by(text("1") + b"\x88\x01\x03")
    assert (found, code) == ([b"1"], 1002)
    assert why


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"\x81\x7f" + struct.pack("!Q", 2**40), 1009),
        (b"\x81\x7f" + struct.pack("!Q", 2**64 - 1), 1009),
        (frame(Opcode.TEXT, b"x" * 1001), 1009),
        (fragment(1, b"x" * 600) + fragment(0, b"x" * 600), 1009),
        (fragment(1, b"") + fragment(0, b"") * 20_000, 1008),
    ],
)
async def test_a_message_above_the_limit(autojump_clock: MockClock, head: bytes, code: int) -> None:
    """At once: not one of the claimed bytes has to come, and the server is told."""
    async with connected(message_bytes=1000) as (socket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.stream.send_all, text("1") + head)
        found, closed = await drained(socket)
        assert (found, closed.code) == ([b"1"], code)
        assert closed.reason.startswith("a message may have ")
        nursery.start_soon(socket.close)
        opcode, payload = await peer.frame()
        assert (opcode, struct.unpack("!H", payload[:2])[0]) == (Opcode.CLOSE, code)


async def test_a_big_message_in_bytes_though_not_in_characters(autojump_clock: MockClock) -> None:
    """trio-websocket counts characters; the limit is in bytes."""
    message = fragment(1, "ä".encode() * 400) + fragment(0, "ä".encode() * 200, fin=True)
    assert (await ended_by(message, message_bytes=1000))[1] == 1009


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (b"", "without a close frame"),
        (text("1"), "without a close frame"),
        (text("1") + text("2")[:2], "in the middle of a message"),
        (text("1") + b"\x81\x7e\x01", "in the middle of a message"),
        (text("1") + fragment(1, b"x"), "in the middle of a message"),
        (text("1") + fragment(0, b"x" * 200)[:9].replace(b"\0", b"\1", 1), "in the middle of a message"),
    ],
)
async def test_an_end_too_early(autojump_clock: MockClock, sent: bytes, where: str) -> None:
    found, code, why = await ended_by(sent, eof=True)
    assert (found, code, why) == ([b"1"] if sent else [], 1006, f"the server ended it {where}")


async def test_an_odd_failure_of_the_library_is_an_end_with_its_text(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected() as (socket, peer):

        async def fail(event: object) -> None:
            raise RuntimeError("odd")

        monkeypatch.setattr(socket._websocket, "_send", fail)
        await peer.stream.send_all(text("1") + frame(Opcode.PING, b""))
        await wait_all_tasks_blocked()
        found, closed = await drained(socket)
        assert (found, str(closed)) == ([b"1"], "connection lost: RuntimeError: odd")
        began = trio.current_time()
        await socket.close()
        assert trio.current_time() == began


async def test_a_transport_that_cannot_be_opened(autojump_clock: MockClock) -> None:
    async def transport() -> trio.abc.Stream:
        raise trio.BrokenResourceError("nobody there")

    with pytest.raises(ConnectError, match="^cannot connect to x: nobody there$") as caught:
        async with open_client("ws://x/y", ClientOptions(open_stream=transport)):
            pytest.fail("connected")
    assert (caught.value.kind, caught.value.retryable) == ("refused", True)
