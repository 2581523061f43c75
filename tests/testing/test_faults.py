"""Conditions: what a client and a server see of each, while it lasts and when it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from support import RawClient, trade
from testing.kit import front, rest

from datafye_trio import ServerConfig
from datafye_trio.connection.heartbeat import HeartbeatConfig
from datafye_trio.testing import Faults, Log
from datafye_trio.testing.faults import Fault


async def silent(client: RawClient, seconds: float) -> None:
    """Fails if the client hears anything in so many seconds."""
    with trio.move_on_after(seconds) as waited:
        raise AssertionError(await client.frame())
    assert waited.cancelled_caught


async def test_mute_is_open_and_silent(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed("AAPL")
        with kit.faults.mute() as fault:
            assert kit.faults.active == (fault,)
            await kit.server.publish(trade(n=1))
            await silent(client, 5)
            await client.send(action="ping", id=7)
            await trio.testing.wait_all_tasks_blocked()
            assert kit.log.messages("ping")
        assert [(await client.message())["type"] for _ in range(2)] == ["trade", "pong"]
        assert kit.faults.active == ()
        reasons = [entry.reason for entry in kit.log.entries("fault")]
        assert reasons == ["mute() begins", "mute() ends, done 0 times"]
        await client.stream.aclose()


async def test_a_muted_client_does_not_hear_that_it_was_cut(autojump_clock: trio.testing.MockClock) -> None:
    """The server cuts it after 40 s, as it answers no heartbeat: the client hears that only afterwards."""
    async with front() as kit:
        client = await kit.client()
        with kit.faults.mute():
            await silent(client, 100)
            await client.send(action="pong")
            await silent(client, 100)
        assert (await client.message())["type"] == "heartbeat"
        assert await client.closed() == (4009, 'answer heartbeats with {"action":"pong"}')
        assert await rest(client.stream) == b""


async def test_mute_of_one_connection_and_of_one_to_come(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        one, two = await kit.subscribed(), await kit.subscribed()
        kit.faults.mute(connection=2)
        third = kit.faults.mute(connection=3)
        three = RawClient(kit.connect())
        await kit.server.publish(trade())
        assert (await one.message())["type"] == "trade"
        await silent(two, 1)
        await silent(three, 1)
        third.end()
        kit.faults.clear()
        assert (await two.message())["type"] == "trade"
        for client in (one, two, three):
            await client.stream.aclose()


async def test_no_heartbeats_and_no_cut_for_want_of_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        one, two = await kit.client(), await kit.client()
        with kit.faults.no_heartbeats(connection=1):
            await silent(one, 1_000)
            assert (await two.closed())[0] == 4009
        assert (await one.message())["type"] == "heartbeat"
        assert trio.current_time() <= 1_010
        with kit.faults.no_heartbeats():
            await silent(one, 1_000)
        await one.close()


async def test_a_delay_comes_on_top_and_keeps_throughput(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        with kit.faults.delay(3.0):
            for n in range(100):
                await kit.server.publish(trade(n=n))
                await trio.sleep(0.01)
            for _ in range(100):
                assert (await client.message())["type"] == "trade"
            assert trio.current_time() == pytest.approx(3.99)
            assert [round(entry.time, 6) for entry in kit.log.entries("text")[-3:]] == [0.97, 0.98, 0.99]
        await client.close()


async def test_delays_add_up_and_end_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        one, two = kit.faults.delay(60.0, connection=1), kit.faults.delay(30.0)
        await kit.server.publish(trade())
        await trio.sleep(1)
        two.end()
        await silent(client, 58.9)  # it was on its way with 90 s, and what is shortened is for what follows
        one.end()
        assert (await client.message())["type"] == "trade"
        assert trio.current_time() == pytest.approx(59.9)
        await client.stream.aclose()


async def test_slow_reads_are_slow_to_the_server(autojump_clock: trio.testing.MockClock) -> None:
    """So slow that the server gives it up, with what waits for it in a bounded place."""
    async with front() as kit:
        client, quick = await kit.subscribed(), await kit.subscribed()
        slow = kit.faults.slow_reads(1_000, connection=1)

        async def read() -> None:
            while (await quick.frame())[0] == 1:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for n in range(60):
                await kit.server.publish([trade(n=40 * n + i) for i in range(40)])
                await trio.sleep(0.1)
            assert len(kit.log.messages("trade", connection=2)) == 2_400
            waiting = len(kit.log.messages("trade", connection=1))
            assert waiting < 1_200  # of 2,400: what is not read, the server has
            slow.end()
            assert (await client.closed())[0] in (4008, 1006)
            assert trio.current_time() == pytest.approx(6.0)
            assert len(kit.log.messages("trade", connection=1)) < 2_400
            await quick.stream.aclose()


async def test_slices_are_whole_in_the_end(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        with kit.faults.slices():
            client = await kit.subscribed()
            await kit.server.publish([trade(n=n) for n in range(10)])
            assert [message["seq"] for message in await client.messages(10)] == list(range(1, 11))
            await client.close()


async def test_conditions_add_up() -> None:
    faults = Faults(Log())
    faults.delay(1.0, jitter=0.5)
    faults.delay(0.5, connection=4)
    faults.slow_reads(100)
    faults.slow_reads(50, connection=4)
    faults.slices(connection=4)
    faults.mute(connection=5)
    four, five = faults.conditions(4), faults.conditions(5)
    assert (four.latency, four.jitter, four.bytes_per_second, four.slices, four.held) == (1.5, 0.5, 50, True, False)
    assert (five.latency, five.jitter, five.bytes_per_second, five.slices, five.held) == (1.0, 0.5, 100, False, True)


async def test_a_fault_says_what_it_is() -> None:
    faults = Faults(Log())
    assert str(faults.delay(1.5, 0.25, connection=2)) == "delay(1.5, jitter=0.25) on #2"
    assert str(faults.corrupt(0.5)) == "corrupt(0.5)"
    fault = faults.mute()
    assert repr(fault) == "<fault mute(): active, done 0 times>"
    fault.end()
    fault.end()
    assert not fault.active
    assert repr(fault) == "<fault mute(): ended, done 0 times>"
    assert [one.name for one in faults.active] == ["delay", "corrupt"]
    faults.clear()
    assert faults.active == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda faults: faults.delay(-1),
        lambda faults: faults.delay(0, float("nan")),
        lambda faults: faults.slow_reads(0),
        lambda faults: faults.corrupt(1.5),
        lambda faults: faults.reorder(-0.1),
        lambda faults: faults.duplicate(float("nan")),
        lambda faults: faults.mute(connection=0),
        lambda faults: faults.drop(-1),
        lambda faults: faults.drop(1, mid_frame=True),
        lambda faults: faults.drop(connection=-3),
        lambda faults: faults.close(999),
        lambda faults: faults.close(1006),
        lambda faults: faults.close(5000),
        lambda faults: faults.close(4000, "ö" * 62),
        lambda faults: faults.refuse(0),
        lambda faults: faults.refuse(status=101),
        lambda faults: faults.refuse(status=299),
        lambda faults: faults.refuse(retry_after=-1),
    ],
)
async def test_calls_that_make_no_sense(call: Callable[[Faults], Fault]) -> None:
    log = Log()
    faults = Faults(log)
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        call(faults)
    assert faults.active == ()
    assert len(log) == 0


async def test_half_a_byte_and_half_a_refusal_are_none() -> None:
    faults = Faults(Log())
    with pytest.raises(TypeError):
        faults.drop(after=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        faults.refuse(1.5)  # type: ignore[arg-type]
    assert faults.active == ()


async def test_a_connection_that_has_gone_is_a_mistake(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        one, two = await kit.client(), await kit.client()
        await one.close()
        await trio.testing.wait_all_tasks_blocked()
        for call in (kit.faults.mute, kit.faults.drop, kit.faults.corrupt):
            with pytest.raises(ValueError, match=r"there is no connection #1: open are \[2\]"):
                call(connection=1)
        await two.close()


@pytest.mark.parametrize("accept", ["pong", "any"])
async def test_heartbeats_go_on_through_the_front(autojump_clock: trio.testing.MockClock, accept: str) -> None:
    config = ServerConfig(heartbeat=HeartbeatConfig(accept=accept))  # type: ignore[arg-type]
    async with front(config) as kit:
        client = await kit.client()
        for _ in range(5):
            beat = await client.message()
            assert beat["type"] == "heartbeat"
            if accept == "any":
                assert (await client.frame())[0] == 9
            await client.send(action="pong", timestamp=beat["timestamp"])
        assert trio.current_time() == 50
        await client.close()
