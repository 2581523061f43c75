"""Whatever answers a handshake, however it is cut: a connection or a ConnectError, in bounded time, nothing else."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock
from wire.peer import accepting, drained, text

from datafye_trio.errors import ConnectError
from datafye_trio.wire import ClientOptions, ClientSocketClosed, memory_transport, open_client

KINDS = {"reset", "protocol", "status", "timeout"}


async def outcome(answer: bytes, size: int, *, eof: bool, signed: bool) -> str:
    """`open`, or the kind of the error. `signed`: the answer goes on behind a sound head."""
    ours, theirs = memory_transport()

    async def transport() -> trio.abc.Stream:
        return ours

    async def serve() -> None:
        sent = accepting(await theirs.receive_some()) + answer if signed else answer
        try:
            for start in range(0, len(sent), size):
                await theirs.send_all(sent[start : start + size])
            if eof:
                await theirs.send_eof()
        except trio.BrokenResourceError:
            pass  # the client has left, as it may

    found: str = "open"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            async with open_client("ws://x/y", ClientOptions(open_stream=transport)) as socket:
                with trio.move_on_after(10):
                    try:
                        while True:
                            await socket.receive_many()
                    except ClientSocketClosed:
                        pass
        except ConnectError as error:
            assert str(error)
            found = error.kind
        nursery.cancel_scope.cancel()
    return found


def run(answer: bytes, size: int, eof: bool, signed: bool) -> str:
    size = max(size, len(answer) // 300)
    bounded = partial(outcome, answer, size, eof=eof, signed=signed)
    return trio.run(bounded, clock=MockClock(autojump_threshold=0))


lines = st.sampled_from(
    [
        b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 404 x\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 301 x\r\nLocation: ws://z\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n",
        b"Sec-WebSocket-Accept: x\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Retry-After: 1\r\n", b"\r\n", b"\n", b"\n\n", b"\xff", b"x" * 20_000,
    ]
)  # fmt: skip


@pytest.mark.unmeasured
@settings(max_examples=80)
@given(st.lists(st.one_of(lines, st.binary(max_size=4)), max_size=8).map(b"".join), st.integers(1, 400), st.booleans())
def test_any_answer(answer: bytes, size: int, eof: bool) -> None:
    assert run(answer, size, eof, signed=False) in KINDS


@settings(max_examples=30)
@given(st.binary(max_size=40), st.integers(1, 400), st.booleans())
def test_any_bytes_behind_a_sound_answer(rest: bytes, size: int, eof: bool) -> None:
    assert run(rest, size, eof, signed=True) == "open"


@pytest.mark.unmeasured
def test_an_answer_that_ends_anywhere() -> None:
    async def ended(at: int) -> None:
        ours, theirs = memory_transport()

        async def transport() -> trio.abc.Stream:
            return ours

        async def serve() -> None:
            answer = accepting(await theirs.receive_some())
            await theirs.send_all((answer + text("1"))[:at])
            await theirs.send_eof()
            whole.append(at >= len(answer))

        whole: list[bool] = []
        opened = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                async with open_client("ws://x/y", ClientOptions(open_stream=transport)):
                    opened = True
            except ConnectError as error:
                assert error.kind == "reset"
        assert [opened] == whole

    for at in range(140):
        trio.run(ended, at, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"0.1"])
async def test_messages_come_behind_a_101_of_any_http_version(version: bytes, autojump_clock: MockClock) -> None:
    """h11 takes them all; where the lane took 1.1 alone, a client connected and never received anything."""
    ours, theirs = memory_transport()

    async def transport() -> trio.abc.Stream:
        return ours

    async def serve() -> None:
        answer = accepting(await theirs.receive_some())
        await theirs.send_all(answer.replace(b"HTTP/1.1", b"HTTP/" + version) + text("1"))
        await theirs.send_eof()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with open_client("ws://x/y", ClientOptions(open_stream=transport)) as socket:
                found, closed = await drained(socket)
    assert (found, closed.code) == ([b"1"], 1006)


@pytest.mark.parametrize(("scheme", "hint"), [("ws", " (does it want wss://?)"), ("wss", "")])
@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n"])
async def test_who_speaks_tls_is_not_asked_whether_the_server_wants_it(
    autojump_clock: MockClock, answer: bytes, scheme: str, hint: str
) -> None:
    ours, theirs = memory_transport()

    async def transport() -> trio.abc.Stream:
        await theirs.send_all(answer)
        await theirs.send_eof()
        return ours

    with pytest.raises(ConnectError) as caught:
        async with open_client(f"{scheme}://x/y", ClientOptions(open_stream=transport)):
            pass
    assert str(caught.value).endswith("server" + hint if answer else "the server ended it in the handshake" + hint)
