"""A socket over the memory transport: against trio-websocket's client, and against a raw peer that sees every byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio_websocket
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.wire import (
    HeadParser,
    InboundLimits,
    Opcode,
    ServerSocket,
    SocketClosed,
    accept_socket,
    check_upgrade,
    data_frame,
    memory_transport,
)

BYE = Ending(CloseCode.GOING_AWAY, "the server shuts down")
FULL = bytes(64 * 1024)
LIMITS = InboundLimits(message_bytes=1_000)


@asynccontextmanager
async def open_client(
    serve: Callable[[ServerSocket], Any], subprotocols: list[str] | None = None, chosen: str | None = None
) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A trio-websocket client on a server that reads the head as ours does."""
    ours, theirs = memory_transport()

    async def run_server() -> None:
        parser = HeadParser()
        while (head := parser.feed(await ours.receive_some())) is None:
            pass
        offer = check_upgrade(head)
        assert list(offer.subprotocols) == (subprotocols or [])
        async with trio.open_nursery() as inner:
            await serve(await accept_socket(inner, ours, offer.key, chosen, LIMITS))
            inner.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_server)
        yield await trio_websocket.wrap_client_stream(
            nursery, theirs, "localhost", "/datafye-ws/v1", subprotocols=subprotocols
        )


async def test_messages_in_and_ready_made_frames_out(autojump_clock: MockClock) -> None:
    got: list[str | bytes] = []

    async def serve(socket: ServerSocket) -> None:
        await socket.send(data_frame(b'{"n":1}', "json") + data_frame(b"\x81", "msgpack") + data_frame(FULL, "msgpack"))
        got.extend([await socket.receive() for _ in range(3)])
        await socket.close(BYE, 2.0)

    async with open_client(serve, ["datafye.v1.msgpack", "datafye.v1.json"], "datafye.v1.json") as client:
        assert client.subprotocol == "datafye.v1.json"
        assert [await client.get_message() for _ in range(3)] == ['{"n":1}', b"\x81", FULL]
        await client.send_message("text \u20ac")
        await client.send_message(b"binary")
        await client.send_message("")
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await client.get_message()
        assert (closed.value.reason.code, closed.value.reason.reason) == (1001, "the server shuts down")
    assert got == ["text \u20ac", b"binary", ""]


async def test_a_client_that_closes_is_answered(autojump_clock: MockClock) -> None:
    ended: list[SocketClosed] = []

    async def serve(socket: ServerSocket) -> None:
        with pytest.raises(SocketClosed, match="closed by the peer") as closed:
            await socket.receive()
        ended.append(closed.value)
        await socket.close(None, 2.0)

    async with open_client(serve) as client:
        began = trio.current_time()
        await client.aclose(code=1000)
        assert trio.current_time() == began
        assert client.closed.code == 1000
        assert client.subprotocol is None
    assert [closed.due for closed in ended] == [None]


async def test_pings_are_answered_while_nobody_sends(autojump_clock: MockClock) -> None:
    async def serve(socket: ServerSocket) -> None:
        with pytest.raises(SocketClosed):
            await socket.receive()
        await socket.close(None, 2.0)

    async with open_client(serve) as client:
        with trio.fail_after(1):
            await client.ping(b"x")
        await client.aclose()


BROKEN: list[tuple[str, Callable[[Any], bytes], int]] = [
    ("unmasked frame", lambda tools: tools.frame(Opcode.TEXT, b"x", masked=False), 1002),
    ("unknown opcode", lambda tools: tools.frame(3, b"x"), 1002),
    ("unknown control opcode", lambda tools: tools.frame(11, b"x"), 1002),
    ("reserved bit", lambda tools: b"\xc1" + tools.frame(Opcode.TEXT, b"x")[1:], 1002),
    ("continuation of nothing", lambda tools: tools.frame(Opcode.CONTINUATION, b"x"), 1002),
    ("fragmented ping", lambda tools: tools.frame(Opcode.PING, b"x", fin=False), 1002),
    ("long ping", lambda tools: tools.ping(b"x" * 126), 1002),
    ("a text within a text", lambda tools: tools.frame(Opcode.TEXT, b"x", fin=False) * 2, 1002),
    ("close without a whole code", lambda tools: tools.frame(Opcode.CLOSE, b"\x03"), 1002),
    ("close with a code of nobody", lambda tools: tools.frame(Opcode.CLOSE, tools.close_payload(1005)), 1002),
    ("bad utf-8", lambda tools: tools.frame(Opcode.TEXT, b"\xff\xfe"), 1007),
    ("utf-8 cut off", lambda tools: tools.frame(Opcode.TEXT, "\u20ac".encode()[:2]), 1007),
    ("a surrogate", lambda tools: tools.frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007),
    ("too big", lambda tools: tools.frame(Opcode.TEXT, b"x" * 1_001), 1009),
    ("a claim of 2^40", lambda tools: tools.frame(Opcode.BINARY, b"x", claim=2**40), 1009),
    ("many fragments", lambda tools: tools.frame(Opcode.TEXT, fin=False) + tools.frame(0, fin=False) * 64, 1008),
    ("many pings", lambda tools: tools.ping() * 21, 1008),
    ("many frames", lambda tools: tools.frame(Opcode.TEXT, b"x") * 4_001, 1008),
]


@pytest.mark.parametrize(("build", "code"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
async def test_a_broken_rule_is_told_once(
    autojump_clock: MockClock, tools: Any, build: Callable[[Any], bytes], code: int
) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    peer = tools.RawPeer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY)
        await peer.read_answer()
        await theirs.send_all(build(tools))
        frames = [(opcode, payload) for opcode, payload in await peer.close_after() if opcode != Opcode.PONG]
    assert served.due is not None
    assert served.due.code == code
    assert frames == [(Opcode.CLOSE, tools.close_payload(code, served.due.reason))]
    assert served.seconds == 0


async def test_messages_before_the_broken_rule_are_heard(autojump_clock: MockClock, tools: Any) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    peer = tools.RawPeer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY)
        await peer.read_answer()
        await theirs.send_all(tools.frame(Opcode.TEXT, b"one"))
        await wait_all_tasks_blocked()
        await theirs.send_all(tools.frame(Opcode.TEXT, b"tw", fin=False) + tools.frame(0, b"o") + b"\x83\x80mask")
        await peer.close_after()
    assert served.messages == ["one", "two"]


async def test_the_answer_to_the_handshake(autojump_clock: MockClock, tools: Any) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    peer = tools.RawPeer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY, "datafye.v1.msgpack")
        await peer.read_answer()
        await theirs.aclose()
    status, *lines = peer.answer.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
    assert status.startswith("HTTP/1.1 101")
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3
    assert headers["sec-websocket-protocol"] == "datafye.v1.msgpack"
    assert "sec-websocket-extensions" not in headers
    assert served.due is None


async def test_a_peer_that_closes_first_gets_its_code_back(autojump_clock: MockClock, tools: Any) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    peer = tools.RawPeer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY)
        await peer.read_answer()
        await theirs.send_all(tools.frame(Opcode.CLOSE, tools.close_payload(1002, "bye")))
        frames = await peer.read_to_end()
    assert [(opcode, payload[:2]) for opcode, payload in frames] == [(Opcode.CLOSE, tools.close_payload(1002))]
    assert served.due is None  # 1002 was the peer's own, nothing is due to it
    assert served.seconds == 0


@pytest.mark.parametrize("gone", ["eof", "half frame"])
async def test_a_peer_that_vanishes(autojump_clock: MockClock, tools: Any, gone: str) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    peer = tools.RawPeer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY)
        await peer.read_answer()
        if gone == "half frame":
            await theirs.send_all(tools.frame(Opcode.TEXT, b"never whole")[:5])
        await theirs.aclose()
    assert (served.due, served.messages, served.seconds) == (None, [], 0)


async def test_a_peer_that_is_gone_before_the_answer(tools: Any) -> None:
    ours, theirs = memory_transport()
    await theirs.aclose()
    async with trio.open_nursery() as nursery:
        with pytest.raises(SocketClosed) as closed:
            await accept_socket(nursery, ours, tools.KEY, None, LIMITS)
        nursery.cancel_scope.cancel()
    assert closed.value.due is None


@pytest.mark.unmeasured
@settings(max_examples=75)
@given(data=st.data())
def test_any_bytes_after_the_handshake_end_in_good_order(data: st.DataObject, tools: Any) -> None:
    """The invariant: a peer's bytes give messages and one ending, never another exception, and at most one close."""
    good = st.builds(
        tools.frame, st.sampled_from([*Opcode]), st.binary(max_size=130), fin=st.booleans(), masked=st.just(True)
    )
    sent = b"".join(data.draw(st.lists(good | st.binary(max_size=8), max_size=8)))
    served = tools.Served()

    async def run() -> list[tuple[int, bytes]]:
        ours, theirs = memory_transport()
        peer = tools.RawPeer(theirs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.run, ours, tools.KEY)
            await peer.read_answer()
            await theirs.send_all(sent)
            await theirs.send_eof()
            frames: list[tuple[int, bytes]] = await peer.read_to_end()
        return frames

    opcodes = [opcode for opcode, _ in trio.run(run, clock=MockClock(autojump_threshold=0))]
    assert set(opcodes) <= {Opcode.PONG, Opcode.CLOSE}
    assert Opcode.CLOSE not in opcodes[:-1]
    assert served.due is None or opcodes[-1] == Opcode.CLOSE
    assert served.seconds == 0
