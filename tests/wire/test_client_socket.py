"""An open connection over memory: batches, the order between the two lanes, bounds, pings, sends, and who is told."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wire.peer import connected, drained, fragment, text

from datafye_trio.wire import ClientSocketClosed
from datafye_trio.wire.frames import Opcode, close_frame, frame


async def test_what_has_come_is_one_batch(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        for n in range(3):
            await peer.stream.send_all(text(f"{n}") + frame(Opcode.BINARY, b"b"))
        await wait_all_tasks_blocked()
        assert await socket.receive_many() == [b"0", b"b", b"1", b"b", b"2", b"b"]
        await peer.stream.send_all(text("3"))
        assert await socket.receive_many() == [b"3"]


async def test_single_messages_and_batches_can_be_mixed(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        await peer.stream.send_all(b"".join(text(f"{n}") for n in range(4)))
        await wait_all_tasks_blocked()
        assert [await socket.receive(), await socket.receive()] == [b"0", b"1"]
        assert await socket.receive_many() == [b"2", b"3"]


async def test_ten_thousand_frames_at_once(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.stream.send_all, b"".join(text(f"{n}") for n in range(10_000)) + close_frame(1001, ""))
        assert (await drained(socket))[0] == [b"%d" % n for n in range(10_000)]


@pytest.mark.parametrize("split", [None, 1, 7])
async def test_frames_may_stand_right_behind_the_handshake(autojump_clock: MockClock, split: int | None) -> None:
    sent = text("1") + fragment(1, "ä".encode()[:1]) + fragment(0, "ä".encode()[1:], fin=True) + text("2")
    async with connected(sent, split=split) as (socket, _):
        await wait_all_tasks_blocked()
        assert [await socket.receive() for _ in range(3)] == [b"1", "ä", b"2"]


async def test_a_message_in_fragments_keeps_its_place(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        await peer.stream.send_all(text("1") + fragment(2, b"ab") + frame(Opcode.PING, b"?"))
        assert await socket.receive_many() == [b"1"]
        assert await peer.frame() == (Opcode.PONG, b"?")
        await peer.stream.send_all(fragment(0, b"cd", fin=True) + text("2") + text("3"))
        await wait_all_tasks_blocked()
        assert [await socket.receive_many(), await socket.receive_many()] == [[b"abcd"], [b"2", b"3"]]


async def test_many_messages_in_fragments_do_not_block_each_other(autojump_clock: MockClock) -> None:
    """More than trio-websocket's queue holds, and nobody takes them until all are sent."""
    one = fragment(1, b"a") + fragment(0, b"b", fin=True)
    async with connected() as (socket, peer):
        await peer.stream.send_all(one * 500 + close_frame(1001, "bye"))
        await wait_all_tasks_blocked()
        found, closed = await drained(socket)
    assert found == [b"ab"] * 500
    assert (closed.code, closed.reason) == (1001, "bye")


async def test_receiving_is_cancel_safe(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        for sent in (b"", text("1"), fragment(1, b"2") + fragment(0, b"", fin=True)):
            with trio.move_on_after(1):
                await socket.receive_many()
                pytest.fail("nothing was sent")
            await peer.stream.send_all(sent)
            await wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await socket.receive_many()
            if sent:
                assert len(await socket.receive_many()) == 1


async def test_cancelled_between_a_mark_and_its_message(autojump_clock: MockClock) -> None:
    """A big last fragment: its message is not there yet when its place comes."""
    async with connected() as (socket, peer):
        await peer.stream.send_all(fragment(1, b"a") + fragment(0, b"b" * 200, fin=True)[:100])
        with trio.move_on_after(1):
            await socket.receive_many()
        await peer.stream.send_all(fragment(0, b"b" * 200, fin=True)[100:])
        assert await socket.receive_many() == ["a" + "b" * 200]


async def test_a_stalled_consumer_still_answers_pings_and_holds_no_more_than_the_bound(
    autojump_clock: MockClock,
) -> None:
    payload = b"x" * 1000
    count = 0
    async with connected() as (socket, peer):
        for _ in range(100):
            await peer.stream.send_all(frame(Opcode.TEXT, payload) * 10 + frame(Opcode.PING, b"%d" % count))
            count += 10
            assert await peer.frame() == (Opcode.PONG, b"%d" % (count - 10))
        with trio.move_on_after(60):
            while True:
                await peer.stream.send_all(frame(Opcode.TEXT, payload) * 10)
                count += 10
        # 1 MiB in the inbox, 128 KiB in a read, 64 KiB in the transport: then the server has to wait.
        assert count < 1300
        found = 0
        with trio.move_on_after(60):
            while True:
                found += len(await socket.receive_many())
        assert found >= count


async def test_big_messages_are_bounded_too(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        sent = 0
        with trio.move_on_after(60):
            while True:
                await peer.stream.send_all(frame(Opcode.TEXT, b"x" * 400_000))
                sent += 1
        assert sent == 3
        assert [len(one) for one in await socket.receive_many()] == [400_000] * 3


async def test_a_ping_that_never_got_its_turn_hurts_nothing(autojump_clock: MockClock) -> None:
    """It waits behind a send that is stalled; cancelled there, not one byte of it is out."""
    async with connected() as (socket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(socket.send, "x" * 100_000)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await socket.ping()
        size = 0
        while size < 100_000:
            size += len(await peer.stream.receive_some())
        await socket.send("y")
        assert await peer.frame() == (Opcode.TEXT, b"y")


async def test_last_heard(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        before = socket.last_heard
        await trio.sleep(5)
        await peer.stream.send_all(frame(Opcode.PONG, b""))
        await wait_all_tasks_blocked()
        assert socket.last_heard == before + 5


async def test_a_ping_waits_for_its_pong(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(socket.ping)
        opcode, payload = await peer.frame()
        assert opcode == Opcode.PING
        await peer.stream.send_all(frame(Opcode.PONG, b"another") + frame(Opcode.PONG, payload))


async def test_a_pong_answers_the_pings_before_it_and_no_later_one(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        done: list[int] = []

        async def ping(number: int) -> None:
            await socket.ping()
            done.append(number)

        async with trio.open_nursery() as nursery:
            payloads = []
            for number in range(3):
                nursery.start_soon(ping, number)
                payloads.append((await peer.frame())[1])
            await peer.stream.send_all(frame(Opcode.PONG, payloads[1]))
            await wait_all_tasks_blocked()
            assert sorted(done) == [0, 1]
            await peer.stream.send_all(frame(Opcode.PONG, payloads[2]))


async def test_a_cancelled_ping_leaves_nothing_and_hurts_nothing(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        with trio.move_on_after(1) as scope:
            await socket.ping()
        assert scope.cancelled_caught
        assert socket._lane.pings == {}
        await socket.send("still here")
        assert [await peer.frame(), await peer.frame()][1] == (Opcode.TEXT, b"still here")


@pytest.mark.parametrize("goodbye", [close_frame(1012, "restart"), b""])
async def test_a_ping_wakes_at_the_end(autojump_clock: MockClock, goodbye: bytes) -> None:
    async with connected() as (socket, peer):
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await peer.frame()
                await peer.stream.send_all(goodbye)
                await peer.stream.aclose()

            nursery.start_soon(end)
            with pytest.raises(ClientSocketClosed) as closed:
                await socket.ping()
        assert closed.value.code == (1012 if goodbye else 1006)


async def test_a_ping_on_a_broken_transport(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        await wait_all_tasks_blocked()
        peer.stream.close()
        with pytest.raises(ClientSocketClosed, match="connection lost: "):
            await socket.ping()
        with pytest.raises(ClientSocketClosed, match="connection lost: "):
            await socket.receive()


async def test_a_cancelled_send_ends_the_connection(autojump_clock: MockClock) -> None:
    """The server reads nothing: half a frame may be out, and nothing can follow."""
    async with connected() as (socket, peer):
        await peer.stream.send_all(text("1"))
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await socket.send("x" * 200_000)
        assert await socket.receive_many() == [b"1"]
        with pytest.raises(ClientSocketClosed, match="connection lost: a send was cut off"):
            await socket.receive_many()
        for use in (socket.send("y"), socket.ping()):
            with pytest.raises(ClientSocketClosed, match="a send was cut off"):
                await use


async def test_a_send_on_a_broken_transport(autojump_clock: MockClock) -> None:
    async with connected() as (socket, peer):
        peer.stream.close()
        with pytest.raises(ClientSocketClosed, match="connection lost: "):
            await socket.send("x")
