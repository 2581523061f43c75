"""Another implementation on the other end (websockets, its sans-IO server): each understands what the other writes."""

from __future__ import annotations

import trio
from trio.testing import MockClock
from websockets.frames import Frame
from websockets.frames import Opcode as Their
from websockets.http11 import Request
from websockets.server import ServerProtocol

from datafye_trio.wire import ClientOptions, MemoryStream, memory_transport, open_client


class Server:
    """Moves bytes between a transport and websockets' protocol, and keeps the frames that have come."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self.protocol = ServerProtocol()
        self.frames: list[Frame] = []

    async def run(self) -> None:
        while data := await self.stream.receive_some():
            self.protocol.receive_data(data)
            for event in self.protocol.events_received():
                if isinstance(event, Request):
                    self.protocol.send_response(self.protocol.accept(event))
                    self.write()
                else:
                    self.frames.append(event)
            await self.flush()
        self.protocol.receive_eof()

    def write(self) -> None:
        """Right behind the 101: whole, in fragments with a ping between them, whole."""
        self.protocol.send_text(b"one")
        self.protocol.send_text("tw\u00f6".encode()[:3], fin=False)
        self.protocol.send_ping(b"?")
        self.protocol.send_continuation("tw\u00f6".encode()[3:], fin=True)
        self.protocol.send_binary(b"three" * 20_000)

    async def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                await self.stream.send_all(data)
            else:
                await self.stream.send_eof()


async def test_a_whole_conversation(autojump_clock: MockClock) -> None:
    ours, theirs = memory_transport()
    server = Server(theirs)

    async def transport() -> trio.abc.Stream:
        return ours

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            async with open_client("ws://far.example/x", ClientOptions(open_stream=transport)) as socket:
                assert [await socket.receive() for _ in range(3)] == [b"one", "tw\u00f6", b"three" * 20_000]
                await socket.send("v\u00efer" * 1000)
                await socket.ping()
                await socket.close(4000, "enough")
    kinds = [frame.opcode for frame in server.frames]
    assert kinds == [Their.PONG, Their.TEXT, Their.PING, Their.CLOSE]
    assert server.frames[1].data.decode() == "v\u00efer" * 1000
    assert (server.protocol.close_code, server.protocol.close_reason) == (4000, "enough")
    assert server.protocol.parser_exc is None
