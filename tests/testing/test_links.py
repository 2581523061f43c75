"""A connection through the proxy: its conditions, its tap, its greeting, and how an end passes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from testing.kit import FarEnd, pair, rest

from datafye_trio.testing import Conditions, CutAfter, ProxyStatistics, open_proxy, scripted
from datafye_trio.testing.links import Greeting, Link
from datafye_trio.wire import MemoryStream, memory_transport


class Doubling:
    """A tap that sends everything to the client twice, and remembers what happened."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.seen: list[str] = []

    def attach(self, link: Link) -> None:
        self.link = link

    def from_client(self, data: bytes) -> Sequence[bytes]:
        self.seen.append(f"client {data!r}")
        return [data]

    def from_server(self, data: bytes) -> Sequence[bytes]:
        self.seen.append(f"server {data!r}")
        return [data, data]

    def closed(self, why: str) -> None:
        self.seen.append(why)


async def test_conditions_of_all_and_of_one(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with (
        open_proxy(server) as proxy,
        pair(proxy, server) as (one, far_one),
        pair(proxy, server) as (two, far_two),
    ):
        proxy.shape("from_server", Conditions(latency=1.0))
        proxy.shape("from_server", Conditions(latency=3.0), connection=2)
        await far_one.send_all(b"x")
        await far_two.send_all(b"x")
        await one.send_all(b"y")
        assert await far_one.receive_some() == b"y"
        assert trio.current_time() == 0.0
        await one.receive_some()
        assert trio.current_time() == 1.0
        await two.receive_some()
        assert trio.current_time() == 3.0
        async with pair(proxy, server) as (three, far_three):
            await far_three.send_all(b"x")
            await three.receive_some()
            assert trio.current_time() == 4.0


async def test_latency_and_cuts_go_together(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server, scripted([CutAfter(5)])) as proxy:
        proxy.shape("from_server", Conditions(latency=1.0))
        async with pair(proxy, server) as (client, far):
            await far.send_all(b"abc")
            await trio.sleep(0.5)
            await far.send_all(b"defgh")
            assert await rest(client) == b"abcde"
            assert trio.current_time() == 1.5


async def test_held_a_client_does_not_even_learn_that_the_server_has_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = FarEnd()
    async with open_proxy(server) as proxy, pair(proxy, server) as (client, far):
        proxy.shape("from_server", Conditions(held=True))
        await far.send_all(b"unheard")
        await client.send_all(b"heard")
        assert await far.receive_some() == b"heard"
        await trio.aclose_forcefully(far)
        with trio.move_on_after(1_000) as waited:
            for _ in range(100):
                await client.send_all(b"?")
                await trio.sleep(1)
            await client.receive_some()
        assert waited.cancelled_caught
        assert proxy.statistics().open == 1
        proxy.shape("from_server", Conditions())
        assert await rest(client) == b"unheard"
        assert proxy.statistics().open == 0


async def test_a_client_that_goes_while_it_is_held_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()
    async with open_proxy(server) as proxy, pair(proxy, server) as (client, far):
        proxy.shape("from_server", Conditions(held=True))
        await client.aclose()
        assert await rest(far) == b""
        assert proxy.statistics().open == 1  # it has only stopped to send, for all that is known
        await far.send_all(b"unheard")
        proxy.shape("from_server", Conditions())
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics().open == 0


async def test_a_tap_sees_and_changes_what_passes(autojump_clock: trio.testing.MockClock) -> None:
    server, tap = FarEnd(), Doubling()

    async def greet(stream: trio.abc.HalfCloseableStream, number: int) -> Greeting:
        return Greeting(await stream.receive_some(2) + b"%d" % number, tap)

    async with open_proxy(server, greet=greet) as proxy:
        client = proxy.connect()
        await client.send_all(b"hello")
        await server.reached.wait()
        far = server.ends[0]
        await trio.testing.wait_all_tasks_blocked()
        assert await far.receive_some() == b"he1llo"
        await far.send_all(b"ab")
        await trio.testing.wait_all_tasks_blocked()
        assert await client.receive_some() == b"abab"
        await client.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        await far.aclose()
        assert await rest(client) == b""
    assert tap.seen == ["client b'he1'", "client b'llo'", "server b'ab'", "client b''", "server b''", "ended"]
    assert proxy.statistics() == ProxyStatistics(1, 0, 0, 0, 0, from_server=4, from_client=6)


@pytest.mark.parametrize("why", ["cut", "lost", "the server could not be reached"])
async def test_a_tap_is_told_how_it_ended(autojump_clock: trio.testing.MockClock, why: str) -> None:
    tap = Doubling()
    ends: list[MemoryStream] = []

    async def server() -> trio.abc.Stream:
        if why.startswith("the server"):
            raise ConnectionRefusedError
        near, far = memory_transport()
        ends.append(far)
        return near

    async def greet(_stream: trio.abc.HalfCloseableStream, _number: int) -> Greeting:
        return Greeting(tap=tap)

    async with open_proxy(server, greet=greet) as proxy:
        client = proxy.connect()
        await trio.testing.wait_all_tasks_blocked()
        if why == "cut":
            assert tap.link is not None
            tap.link.drop()
            tap.link.drop()
            assert len(proxy.cuts) == 1
        elif why == "lost":
            await ends[0].aclose()
            await client.send_all(b"to nobody")
        assert await rest(client) == b""
    assert tap.seen[-1] == why


async def test_a_greeting_may_answer_by_itself_or_break(autojump_clock: trio.testing.MockClock) -> None:
    server = FarEnd()

    async def greet(stream: trio.abc.HalfCloseableStream, number: int) -> None:
        await stream.send_all(b"busy")
        if number == 2:
            raise trio.BrokenResourceError

    async with open_proxy(server, greet=greet) as proxy:
        assert await rest(proxy.connect()) == b"busy"
        assert await rest(proxy.connect()) == b"busy"
    assert server.ends == []


async def test_a_greeting_that_never_ends_is_no_connection_yet(autojump_clock: trio.testing.MockClock) -> None:
    """Who asks for a fault by HTTP must not be cut by it. It ends with the proxy."""

    async def greet(_stream: trio.abc.HalfCloseableStream, _number: int) -> None:
        await trio.sleep_forever()

    async with open_proxy(FarEnd(), greet=greet) as proxy:
        client = proxy.connect()
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.cut_all() == 0
        assert proxy.statistics().open == 1
    assert await rest(client) == b""


async def test_the_gate_refuses(autojump_clock: trio.testing.MockClock) -> None:
    asked = iter([True, False])
    async with open_proxy(FarEnd()) as proxy:
        proxy.gate = lambda: next(asked)
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        proxy.connect()
        assert proxy.statistics().refused == 1


async def test_a_client_that_does_not_close_its_end_is_let_go_once_the_server_has_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As websocket-client does: it leaves its socket open, and whoever waited for it would wait for ever."""
    upstream, server = memory_transport()

    async def reach() -> trio.abc.Stream:
        return upstream

    async with open_proxy(reach) as proxy:
        client = proxy.connect()
        await client.send_all(b"words")
        assert await server.receive_some(10) == b"words"
        await server.send_all(b"bye")
        await server.aclose()
        assert await client.receive_some(10) == b"bye"
        assert await client.receive_some(10) == b""
        assert proxy.statistics().open == 1
        await trio.sleep(0.6)
        assert proxy.statistics().open == 0


async def test_a_cut_after_the_servers_end_is_a_reset_still(autojump_clock: trio.testing.MockClock) -> None:
    tap, server = Doubling(), FarEnd()

    async def greet(_stream: trio.abc.HalfCloseableStream, _number: int) -> Greeting:
        return Greeting(tap=tap)

    async with open_proxy(server, greet=greet) as proxy, pair(proxy, server) as (client, far):
        await far.aclose()
        assert await rest(client) == b""
        assert proxy.cut_all() == 1
        await trio.testing.wait_all_tasks_blocked()
        assert tap.link is not None
        assert tap.link.reset
        assert tap.seen[-1] == "cut"
