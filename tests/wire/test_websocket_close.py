"""How a socket ends: politely within the seconds given, else by a reset; never held up by its peer."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trustme
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.wire import Opcode, SocketClosed, accept_socket, frame, memory_transport

BYE = Ending(CloseCode.GOING_AWAY, "the server shuts down")
FULL = bytes(64 * 1024)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
async def test_a_silent_peer_is_waited_for_as_long_as_given(
    autojump_clock: MockClock, tools: Any, seconds: float
) -> None:
    async with tools.open_raw() as (socket, peer, _):
        began = trio.current_time()
        await socket.close(BYE, seconds)
        assert trio.current_time() == began + seconds
        assert await peer.read_to_end() == [(Opcode.CLOSE, tools.close_payload(1001, BYE.reason))]


async def test_a_silent_peer_after_a_broken_rule_is_waited_for_too(autojump_clock: MockClock, tools: Any) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY)
        await tools.RawPeer(theirs).read_answer()
        await theirs.send_all(tools.frame(3))
    assert served.seconds == 2


async def test_a_peer_that_sends_on_after_a_broken_rule_is_told_all_the_same(
    autojump_clock: MockClock, tools: Any
) -> None:
    served, (ours, theirs) = tools.Served(), memory_transport()
    peer = tools.RawPeer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, ours, tools.KEY)
        await peer.read_answer()
        await theirs.send_all(tools.frame(3))
        await wait_all_tasks_blocked()
        await theirs.send_all(FULL)
        await theirs.send_all(FULL)
        frames = await peer.close_after()
    assert [(opcode, payload[:2]) for opcode, payload in frames] == [(Opcode.CLOSE, tools.close_payload(1002))]
    assert served.seconds == 0


async def test_a_close_reads_what_the_peer_still_sends(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, _), trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(socket.close, BYE, 2.0)
        await wait_all_tasks_blocked()
        await peer.stream.send_all(tools.frame(Opcode.TEXT, b"late") * 50 + tools.ping(b"late"))
        await peer.stream.send_all(tools.frame(Opcode.CLOSE, tools.close_payload(1001)))
        assert await peer.read_to_end() == [(Opcode.CLOSE, tools.close_payload(1001, BYE.reason))]
        assert trio.current_time() == began


async def test_a_peer_that_floods_instead_of_closing_is_not_read_for_long(
    autojump_clock: MockClock, tools: Any
) -> None:
    async with tools.open_raw() as (socket, peer, _), trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(socket.close, Ending(CloseCode.TOO_MANY_REQUESTS, "slow down"), 2.0)
        await wait_all_tasks_blocked()
        sent = 0
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await peer.stream.send_all(tools.frame(Opcode.TEXT, b"x" * 60_000))
                sent += 60_000
        assert 240_000 <= sent <= 480_000  # what is under way comes on top
        assert trio.current_time() == began


async def test_nothing_is_sent_after_the_close_frame(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, _), trio.open_nursery() as nursery:
        nursery.start_soon(socket.close, BYE, 2.0)
        await wait_all_tasks_blocked()
        await socket.send(frame(Opcode.TEXT, b"late"))
        await peer.stream.send_eof()
        assert await peer.read_to_end() == [(Opcode.CLOSE, tools.close_payload(1001, BYE.reason))]


async def test_a_stalled_peer_is_cut_by_the_write_deadline(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, _):
        await socket.send(FULL)
        began = trio.current_time()
        with pytest.raises(SocketClosed) as closed:
            await socket.send(frame(Opcode.TEXT, b"x"))
        assert trio.current_time() == began + tools.LIMITS.write_seconds
        assert closed.value.due is not None
        assert closed.value.due.code == CloseCode.SLOW_CONSUMER
        await socket.close(closed.value.due, 2.0)
        assert trio.current_time() == began + tools.LIMITS.write_seconds  # no close frame can follow half a frame
        with pytest.raises(trio.BrokenResourceError):
            await peer.stream.send_all(b"x")


async def test_hurry_bounds_the_write_under_way(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, _, _):
        await socket.send(FULL)
        began = trio.current_time()
        socket.hurry(began + 1)
        with pytest.raises(SocketClosed):
            await socket.send(b"x")
        assert trio.current_time() == began + 1


async def test_a_stalled_peer_cannot_hold_up_the_close(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, _):
        await socket.send(FULL)
        began = trio.current_time()
        await socket.close(BYE, 2.0)
        assert trio.current_time() == began + 2
        with pytest.raises(trio.BrokenResourceError):
            await peer.stream.send_all(b"x")


async def test_a_cancelled_close_resets_at_once(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, _):
        began = trio.current_time()
        with trio.move_on_after(0.25) as scope:
            await socket.close(BYE, 2.0)
        assert scope.cancelled_caught
        assert trio.current_time() == began + 0.25
        with pytest.raises(trio.BrokenResourceError):
            await peer.stream.send_all(b"x")


async def test_a_peer_that_leaves_during_the_close(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, ours):
        await peer.stream.aclose()
        began = trio.current_time()
        await socket.close(BYE, 2.0)
        assert trio.current_time() == began
        with pytest.raises(trio.ClosedResourceError):
            await ours.send_all(b"x")


async def test_the_time_of_the_last_frame(autojump_clock: MockClock, tools: Any) -> None:
    async with tools.open_raw() as (socket, peer, _):
        began = socket.last_frame
        await trio.sleep(3)
        await peer.stream.send_all(tools.frame(Opcode.PONG))
        await wait_all_tasks_blocked()
        assert socket.last_frame == began + 3


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize("silent", [False, True])
async def test_a_broken_rule_is_told_over_tls_too(autojump_clock: MockClock, tools: Any, silent: bool) -> None:
    contexts, (ours, theirs) = tls_contexts(), memory_transport()
    served = tools.Served()
    inner = trio.SSLStream(ours, contexts[0], server_side=True, https_compatible=True)
    outer = trio.SSLStream(theirs, contexts[1], server_hostname="localhost", https_compatible=True)
    peer = tools.RawPeer(outer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run, inner, tools.KEY)
        await peer.read_answer()
        await outer.send_all(tools.frame(3))
        while len(peer.rest) < 4:
            peer.rest += await outer.receive_some()
        if not silent:
            await outer.aclose()
    ((opcode, payload),) = tools.split(peer.rest)
    assert (opcode, payload[:2]) == (Opcode.CLOSE, tools.close_payload(1002))
    assert served.seconds == (2 if silent else 0)


@pytest.mark.parametrize("secure", [False, True])
async def test_a_broken_tcp_connection_is_reset(tools: Any, secure: bool) -> None:
    """On a real socket: a close would leave the kernel sending what a stalled peer never reads."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        theirs: trio.abc.Stream = await trio.open_tcp_stream(*listener.socket.getsockname())
        ours: trio.abc.Stream = await listener.accept()
        tcp = theirs
        if secure:
            contexts = tls_contexts()
            theirs = trio.SSLStream(theirs, contexts[1], server_hostname="localhost")
            ours = trio.SSLStream(ours, contexts[0], server_side=True)
            nursery.start_soon(theirs.do_handshake)
            await ours.do_handshake()
        socket = await accept_socket(nursery, ours, tools.KEY, None, tools.LIMITS)
        await tools.RawPeer(theirs).read_answer()
        socket.hurry(trio.current_time())
        with pytest.raises(SocketClosed):
            await socket.send(bytes(32 * 1024 * 1024))
        await socket.close(BYE, 2.0)
        with pytest.raises(trio.BrokenResourceError):
            while await tcp.receive_some():
                pass
        await tcp.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("code", "told"), [(CloseCode.GOING_AWAY, True), (CloseCode.NO_PONG, False)])
async def test_a_late_reader_is_told_of_a_shutdown_but_not_waited_for(tools: Any, code: CloseCode, told: bool) -> None:
    """On a real socket: all was written, the peer has not answered in time. A reset would take it away again."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        theirs = await trio.open_tcp_stream(*listener.socket.getsockname())
        ours = await listener.accept()
        socket = await accept_socket(nursery, ours, tools.KEY, None, tools.LIMITS)
        peer = tools.RawPeer(theirs)
        await peer.read_answer()
        await socket.close(Ending(code, "bye"), 0.05)
        if told:
            assert await peer.read_to_end() == [(Opcode.CLOSE, tools.close_payload(code) + b"bye")]
        else:
            with pytest.raises(trio.BrokenResourceError):
                await peer.read_to_end()
        await theirs.aclose()
        nursery.cancel_scope.cancel()
