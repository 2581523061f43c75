"""The proxy: what passes, what exactly is cut, and what a peer sees of an outage and of a stall."""

from __future__ import annotations

import pytest
import trio
from support import RawClient, memory_server, trade, upgrade_head
from testing.kit import FarEnd, pair, rest

from datafye_trio import ServerClosedError
from datafye_trio.testing import Cut, CutAfter, Proxy, ProxyStatistics, RandomCuts, open_proxy, scripted
from datafye_trio.wire import MemoryStream


async def test_bytes_pass_both_ways_and_are_counted(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server) as proxy, pair(proxy, server) as (client, far):
        assert proxy.statistics() == ProxyStatistics(1, 0, 0, 1, 0, 0, 0)
        await client.send_all(b"question")
        assert await far.receive_some() == b"question"
        await far.send_all(b"answer")
        assert await client.receive_some() == b"answer"
        assert proxy.statistics() == ProxyStatistics(1, 0, 0, 1, 0, from_server=6, from_client=8)


async def test_an_end_in_good_order_passes_and_is_no_cut(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server) as proxy, pair(proxy, server) as (client, far):
        await client.send_all(b"last words")
        await client.send_eof()
        assert await rest(far) == b"last words"
        await far.send_all(b"farewell")
        await far.aclose()
        assert await rest(client) == b"farewell"
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics() == ProxyStatistics(1, 0, 0, 0, 0, 8, 10)
    assert proxy.cuts == []


@pytest.mark.parametrize("size", [0, 1, 7, 65_536, 65_537, 150_000])
async def test_a_cut_delivers_exactly_the_bytes_before_it(autojump_clock: trio.testing.MockClock, size: int) -> None:
    """And the far end sees an abrupt end too, with no byte of its own read that was not to pass."""
    server = FarEnd()
    sent = bytes(range(256)) * 1_200
    async with open_proxy(server, scripted([CutAfter(size)])) as proxy, trio.open_nursery() as nursery:
        client = proxy.connect()
        await trio.testing.wait_all_tasks_blocked()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.ends[0].send_all(sent)

        nursery.start_soon(send)
        assert await rest(client) == sent[:size]
        assert await rest(server.ends[0]) == b""
    assert proxy.cuts == [Cut(1, "from_server", size, 0, 0.0)]


async def test_a_cut_by_the_clients_bytes(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    plan = scripted([CutAfter(from_server=100, from_client=5)])
    async with open_proxy(server, plan) as proxy, pair(proxy, server) as (client, far):
        await far.send_all(b"hello")
        await client.send_all(b"abcdefgh")
        assert await rest(far) == b"abcde"
        assert await rest(client) == b"hello"
    assert proxy.cuts == [Cut(1, "from_client", 5, 5, 0.0)]


async def test_an_outage_begins_with_its_cut_and_ends_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server, scripted([CutAfter(0, outage=2.0)])) as proxy:
        assert await rest(proxy.connect()) == b""
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        await trio.sleep(1.99)
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        await trio.sleep(0.01)
        async with pair(proxy, server) as (client, far):
            await far.send_all(b"again")
            assert await client.receive_some() == b"again"
        assert proxy.statistics() == ProxyStatistics(2, 2, 0, 1, 1, 5, 0)


async def test_refusals_by_number_and_by_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_proxy(FarEnd()) as proxy:
        proxy.refuse_next(2)
        proxy.refuse_for(5)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError, match="refused"):
                proxy.connect()
        proxy.refuse_for(0)
        proxy.connect()
        assert proxy.statistics().refused == 3


async def test_cut_all_ends_each_connection_even_one_that_is_blocked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = FarEnd()
    async with (
        open_proxy(server) as proxy,
        pair(proxy, server) as (one, far),
        pair(proxy, server) as (two, _),
        trio.open_nursery() as nursery,
    ):

        async def flood() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await far.send_all(bytes(10**6))

        nursery.start_soon(flood)
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.cut_all() == 2
        assert proxy.cut_all() == 2  # they are on the way out: not cut twice
        assert len(await rest(one)) == 64 * 1024  # what the transport holds
        assert await rest(two) == b""
    assert [(cut.connection, cut.direction) for cut in proxy.cuts] == [(1, None), (2, None)]


async def test_a_stall_passes_nothing_and_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server) as proxy, pair(proxy, server) as (client, far):
        proxy.stall()
        proxy.stall()
        await far.send_all(b"late")
        with trio.move_on_after(100) as waited:
            await client.receive_some()
        assert waited.cancelled_caught
        assert proxy.statistics().open == 1
        async with pair(proxy, server) as (new, new_far):  # accepted, and as mute
            await new.send_all(b"anybody?")
            with trio.move_on_after(100) as waited:
                await new_far.receive_some()
            assert waited.cancelled_caught
            proxy.resume()
            proxy.resume()
            assert await new_far.receive_some() == b"anybody?"
        assert await client.receive_some() == b"late"


@pytest.mark.parametrize("error", [ConnectionRefusedError(), ServerClosedError("stopped")])
async def test_a_server_that_is_down_ends_the_client_at_once(
    autojump_clock: trio.testing.MockClock, error: Exception
) -> None:
    async def down() -> trio.abc.Stream:
        raise error

    async with open_proxy(down) as proxy:
        assert await rest(proxy.connect()) == b""
        assert proxy.statistics() == ProxyStatistics(1, 0, 1, 0, 0, 0, 0)


async def test_an_end_that_breaks_takes_the_other_with_it(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server) as proxy, pair(proxy, server) as (client, far):
        client.close()
        await far.send_all(b"into the void")
        assert await rest(far) == b""
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics().open == 0
    assert proxy.cuts == []


async def test_the_end_of_a_stream_without_halves_closes_it(autojump_clock: trio.testing.MockClock) -> None:
    """TLS has no half-close: the server's end goes as a whole."""
    near, far = trio.testing.memory_stream_pair()

    async def upstream() -> trio.abc.Stream:
        return _Whole(near)

    async with open_proxy(upstream) as proxy:
        client = proxy.connect()
        await client.send_all(b"bye")
        await client.send_eof()
        assert await rest(far) == b"bye"


class _Whole(trio.abc.Stream):
    """A stream that cannot be half closed."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_the_body_leaves_bare_and_connections_end_with_it(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    with pytest.raises(KeyError):
        async with open_proxy(server) as proxy, pair(proxy, server) as (client, _):
            raise KeyError
    assert await rest(client) == b""
    assert proxy.statistics().open == 0


async def test_cancelled_it_ends(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    with trio.move_on_after(3) as scope:
        async with open_proxy(server) as proxy:
            proxy.connect()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert proxy.statistics().open == 0


async def test_what_no_network_raises_is_shown(autojump_clock: trio.testing.MockClock) -> None:
    async def mistaken() -> trio.abc.Stream:
        raise TypeError("a bug of the program's")

    with pytest.raises(TypeError, match="a bug of the program's"):
        async with open_proxy(mistaken) as proxy:
            proxy.connect()
            await trio.sleep_forever()


async def test_a_cut_inside_a_frame_and_inside_the_handshake(autojump_clock: trio.testing.MockClock) -> None:
    """With our own server behind it: each cut leaves a whole number of frames and a rest, and the server goes on."""
    async with memory_server() as server:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        async with open_proxy(upstream, scripted([CutAfter(20), CutAfter(1_500)])) as proxy:
            assert len(await rest(await _asking(proxy))) == 20
            client = RawClient(await _asking(proxy))
            assert (await client.http_answer())[0] == 101
            await client.send(action="subscribe", channels=["trades"], symbols=["AAPL"])
            await client.until("subscribed")
            await server.publish([trade(n=n) for n in range(100)])
            frames = []
            while (frame := await client.frame())[0] != -1:
                frames.append(frame)
            assert 0 < len(frames) < 100
            assert client.buffer  # the half of a frame
            whole = RawClient(await _asking(proxy))
            assert (await whole.http_answer())[0] == 101
            assert (await whole.message())["type"] == "connected"
    assert [cut.from_server for cut in proxy.cuts] == [20, 1_500]


async def _asking(proxy: Proxy) -> MemoryStream:
    client = proxy.connect()
    await client.send_all(upgrade_head())
    return client


async def test_random_cuts_come_where_the_seed_says(autojump_clock: trio.testing.MockClock) -> None:
    server, same_seed = FarEnd(), RandomCuts(3, most=5_000)
    async with open_proxy(server, RandomCuts(3, most=5_000)) as proxy:
        for number in range(1, 31):
            told = same_seed(number)
            async with pair(proxy, server) as (client, far):
                await client.send_all(bytes(600))
                await trio.testing.wait_all_tasks_blocked()
                if told.from_client is None:
                    await far.send_all(bytes(5_000))
                    assert len(await rest(client)) == told.from_server
                else:
                    assert len(await rest(far)) == told.from_client
    assert len(proxy.cuts) == 30
    assert 3 < sum(cut.direction == "from_client" for cut in proxy.cuts) < 15
