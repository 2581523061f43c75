"""The proxy over sockets: a cut is a reset after the bytes before it, and so is an outage."""

from __future__ import annotations

import pytest
import trio
from testing.kit import FarEnd

from datafye_trio.testing import CutAfter, ProxyStatistics, open_proxy, scripted


@pytest.mark.parametrize("size", [0, 1, 5_000])
async def test_by_tcp_the_same_bytes_and_then_a_reset(size: int) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    sent = bytes(range(256)) * 100
    broken = trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(sent)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        broken.set()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, answer, listeners)
            far = listeners[0].socket.getsockname()[1]

            async def upstream() -> trio.abc.Stream:
                return await trio.open_tcp_stream("127.0.0.1", far)

            async with open_proxy(upstream, scripted([CutAfter(size)])) as proxy:
                stream = await trio.open_tcp_stream("127.0.0.1", await proxy.listen())
                found = b""
                with pytest.raises(trio.BrokenResourceError) as caught:
                    while True:
                        found += await stream.receive_some(1_000)
                assert isinstance(caught.value.__cause__, ConnectionResetError)
                assert found == sent[:size]
                await stream.aclose()
                await broken.wait()
                assert [cut.from_server for cut in proxy.cuts] == [size]
            nursery.cancel_scope.cancel()


async def test_by_tcp_an_outage_is_a_reset() -> None:
    server = FarEnd()
    with trio.fail_after(10):
        async with open_proxy(server) as proxy:
            port = await proxy.listen()
            proxy.refuse_next(1)
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some()
            assert proxy.statistics() == ProxyStatistics(0, 1, 0, 0, 0, 0, 0)
            async with await trio.open_tcp_stream("127.0.0.1", port):
                await server.reached.wait()
                assert proxy.statistics() == ProxyStatistics(1, 1, 0, 1, 0, 0, 0)
