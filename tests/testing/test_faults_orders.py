"""Orders: cuts, closes, refusals, restarts, each done once and where it was asked for."""

from __future__ import annotations

import pytest
import trio
from support import RawClient, trade, upgrade_head
from testing.kit import Front, front, rest

from datafye_trio import ConfigurationError, ServerConfig
from datafye_trio.testing import Faults, Log
from datafye_trio.testing.tapping import ConnectionTap
from datafye_trio.wire import InboundLimits


async def ended(client: RawClient) -> bytes:
    """What is left to read, buffered included, until the end."""
    return client.buffer + await rest(client.stream)


async def attempt(kit: Front) -> tuple[int, dict[str, str]]:
    """The status and the headers that a new handshake gets; 0 for a reset."""
    client = RawClient(kit.connect())
    await client.stream.send_all(upgrade_head())
    data = await client.stream.receive_some()
    if not data:
        return 0, {}
    client.buffer = data
    status, headers, _ = await client.http_answer()
    return status, headers


async def test_drop_now(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        one, two, three = await kit.client(), await kit.client(), await kit.client()
        assert kit.faults.drop(connection=2).hits == 1
        assert await ended(two) == b""
        assert kit.faults.drop().hits == 2
        assert await ended(one) == await ended(three) == b""
        fault = kit.faults.drop()
        assert (fault.hits, fault.active) == (0, False)
        assert (await attempt(kit))[0] == 101
        gone = [(entry.connection, entry.reason) for entry in kit.log.entries("gone")]
        assert sorted(gone) == [(1, "cut"), (2, "cut"), (3, "cut")]
        assert [entry.reason for entry in kit.log.entries("fault", connection=2)] == ["drop() on #2"]
        assert len(kit.proxy.cuts) == 3


@pytest.mark.parametrize("count", [0, 1, 50, 300])
async def test_drop_after_so_many_bytes(autojump_clock: trio.testing.MockClock, count: int) -> None:
    async with front() as kit:
        client, other = await kit.subscribed(), await kit.subscribed()
        fault = kit.faults.drop(after=count, connection=1)
        assert kit.faults.active == (fault,)
        await kit.server.publish([trade(n=n) for n in range(10)])
        assert len(await ended(client)) == count
        await trio.testing.wait_all_tasks_blocked()
        assert (fault.hits, fault.active) == (1, False)
        assert len(await other.messages(10)) == 10
        await other.close()


async def test_drop_after_none_is_open_is_for_the_next(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        fault = kit.faults.drop(after=20)
        health = RawClient(kit.connect())
        await health.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await health.http_answer())[0] == 200
        client = RawClient(kit.connect())
        await client.stream.send_all(upgrade_head())
        assert await ended(client) == b"HTTP/1.1 101 Switchi"
        assert (await attempt(kit))[0] == 101
        assert fault.hits == 1


async def test_drop_of_one_that_has_not_come(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        fault = kit.faults.drop(after=0, connection=2)
        one = await kit.client()
        assert (await attempt(kit))[0] == 0
        assert fault.hits == 1
        await one.close()


async def test_drop_can_be_withdrawn(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        faults = kit.faults.drop(after=10), kit.faults.drop(mid_frame=True), kit.faults.drop(after=5, connection=9)
        for fault in faults:
            fault.end()
        await kit.server.publish([trade(n=n) for n in range(10)])
        assert len(await client.messages(10)) == 10
        assert [fault.hits for fault in faults] == [0, 0, 0]
        await client.close()


async def test_drop_misses_one_that_leaves_before(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        one, two = await kit.subscribed(), await kit.subscribed()
        fault = kit.faults.drop(after=10_000)
        await one.close()
        await trio.testing.wait_all_tasks_blocked()
        assert (fault.hits, fault.left) == (0, 1)
        await two.close()
        await trio.testing.wait_all_tasks_blocked()
        assert (fault.hits, fault.active) == (0, False)


@pytest.mark.parametrize("symbols", [1, 30, 9_000])
async def test_drop_in_mid_frame(autojump_clock: trio.testing.MockClock, symbols: int) -> None:
    """Whatever the length's form: of 7, 16 and 64 bits."""
    async with front(ServerConfig(inbound=InboundLimits(message_bytes=10**6))) as kit:
        client = await kit.client()
        fault = kit.faults.drop(mid_frame=True)
        names = [f"SYM{n}" for n in range(symbols)]
        if symbols == 1:
            await client.send(action="ping")
        else:
            await client.send(action="subscribe", channels=["trades"], symbols=names)
        found = await ended(client)
        whole = kit.log.entries("text")[-1].payload
        head = 2 if len(whole) < 126 else 4 if len(whole) < 65_536 else 10
        assert head == {1: 2, 30: 4, 9_000: 10}[symbols]
        assert len(found) == (head + len(whole)) // 2
        assert whole.startswith(found[head:])
        assert fault.hits == 1
        assert not fault.active


async def test_drop_in_mid_frame_lets_what_was_before_pass(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        kit.faults.delay(2.0)
        await kit.server.publish(trade(n=1))
        await trio.sleep(1)
        kit.faults.drop(mid_frame=True)
        await kit.server.publish([trade(n=2), trade(n=3)])
        assert (await client.message())["seq"] == 1
        data = await ended(client)
        assert 10 < len(data) < 120
        assert trio.current_time() == 3.0


async def test_close_with_a_code(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        one, two = await kit.subscribed(), await kit.subscribed()
        assert kit.faults.close(4013, "too many requests").hits == 2
        await kit.server.publish(trade())
        assert await one.closed() == (4013, "too many requests")
        await one.stream.send_all(b"\x88\x82\x00\x00\x00\x00\x0f\xad")  # its answer
        assert await ended(one) == b""
        assert trio.current_time() == 0
        await one.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert [entry.reason for entry in kit.log.entries("gone", connection=1)] == ["ended"]
        assert await two.closed() == (4013, "too many requests")
        assert await ended(two) == b""  # it has not answered
        assert trio.current_time() == 2.0
        assert kit.log.messages("trade") == []
        assert kit.faults.close(4013).hits == 0


async def test_plain_http_is_no_business_of_orders(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        health = RawClient(kit.connect())
        kit.faults.delay(5.0)
        await health.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert list(kit.faults.taps) == [1]
        assert kit.faults.close(4000).hits == kit.faults.drop().hits == 0
        assert (await health.http_answer())[0] == 200
        assert trio.current_time() == 5.0


async def test_close_twice_is_close_once(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.client()
        kit.faults.close(4000)
        kit.faults.close(4001)
        assert await client.closed() == (4000, "")
        assert await client.frame() == (-1, b"")


async def test_close_comes_after_what_was_held_back(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        kit.faults.reorder(1.0)
        await kit.server.publish(trade())
        await trio.testing.wait_all_tasks_blocked()
        kit.faults.close(4008)
        assert (await client.message())["type"] == "trade"
        assert (await client.closed())[0] == 4008


async def test_close_in_the_handshake_comes_after_it(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        attach = kit.faults.attach

        def attach_and_close(tap: ConnectionTap) -> None:
            attach(tap)
            kit.faults.close(4001, "early")

        kit.faults.attach = attach_and_close  # type: ignore[method-assign]
        client = RawClient(kit.connect())
        await client.stream.send_all(upgrade_head())
        assert (await client.http_answer())[0] == 101
        assert await client.closed() == (4001, "early")
        assert await client.frame() == (-1, b"")


async def test_refuse_the_next_handshakes(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        fault = kit.faults.refuse(2, retry_after=1.5)
        kit.faults.refuse(1, 429)
        status, headers = await attempt(kit)
        assert (status, headers["retry-after"]) == (503, "1.5")
        health = RawClient(kit.connect())
        await health.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await health.http_answer())[0] == 200
        assert (await attempt(kit))[0] == 503
        assert (fault.hits, fault.active) == (2, False)
        status, headers = await attempt(kit)
        assert (status, headers.get("retry-after")) == (429, None)
        assert (await attempt(kit))[0] == 101
        refused = [(entry.connection, entry.code) for entry in kit.log.entries("refused")]
        assert refused == [(1, 503), (3, 503), (4, 429)]


async def test_refuse_connections(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        fault = kit.faults.refuse(2, status=None)
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                kit.connect()
        assert (await attempt(kit))[0] == 101
        assert fault.hits == 2
        with kit.faults.refuse(5, status=None):
            pass
        assert (await attempt(kit))[0] == 101
        assert [entry.connection for entry in kit.log.entries("refused")] == [0, 0]


async def test_refusals_are_worked_off_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """Two that come at once pass the gate while the first order stands; the second is reset at the door."""
    async with front() as kit:
        kit.faults.refuse(1)
        kit.faults.refuse(1, status=None)
        streams = [kit.connect(), kit.connect()]
        for stream in streams:
            await stream.send_all(upgrade_head())
        answers = [await rest(stream) for stream in streams]
        assert sorted(answer[:12] for answer in answers) == [b"", b"HTTP/1.1 503"]
        assert sorted(entry.reason for entry in kit.log.entries("refused")) == [
            "connection reset: a fault", "refused: a fault of the test server's"
        ]  # fmt: skip
        assert (await attempt(kit))[0] == 101


async def test_restart_and_ring_are_the_servers(autojump_clock: trio.testing.MockClock) -> None:
    asked: list[object] = []

    async def restart(down: float, clean: bool) -> None:
        asked.append((down, clean))

    faults = Faults(Log(), restart=restart, lose_ring=lambda: asked.append("ring"))
    await faults.restart(2.0, clean=False)
    await faults.restart()
    faults.lose_ring()
    assert asked == [(2.0, False), (0.0, True), "ring"]
    with pytest.raises(ValueError, match="from 0"):
        await faults.restart(-1)
    bare = Faults(log := Log())
    with pytest.raises(ConfigurationError, match="restarted"):
        await bare.restart()
    with pytest.raises(ConfigurationError, match="ring"):
        bare.lose_ring()
    assert len(log) == 0


async def test_what_is_active_is_ended_by_clear(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        for call in (kit.faults.mute, kit.faults.slices, kit.faults.reorder, kit.faults.refuse):
            call()
        kit.faults.drop(after=3)
        kit.faults.drop(mid_frame=True)
        assert len(kit.faults.active) == 6
        kit.faults.clear()
        assert kit.faults.active == ()
        client = await kit.client()
        await client.close()
