"""The life of a connection under virtual time: heartbeats, slow readers, pings, and who is not harmed."""

from __future__ import annotations

import pytest
import trio
from connection.kit import subscribed
from support import START_NS, RawClient, masked, memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    HeartbeatConfig,
    InboundLimits,
    OutboxLimits,
    RequestLimits,
    ServerConfig,
)  # fmt: skip


async def test_heartbeats_come_at_10_20_30_and_the_cut_at_exactly_40(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        began = trio.current_time()
        await client.message()
        beats = [(await client.message(), trio.current_time() - began) for _ in range(3)]
        assert [round(time, 6) for _, time in beats] == [10, 20, 30]
        assert [beat["type"] for beat, _ in beats] == ["heartbeat"] * 3
        assert beats[0][0] == {
            "type": "heartbeat", "timestamp": START_NS + round((began + 10) * 1e9), "lag": 0, "sent": 0,
        }  # fmt: skip
        assert await client.closed() == (4009, 'answer heartbeats with {"action":"pong"}')
        assert round(trio.current_time() - began, 6) == 40


@pytest.mark.parametrize("with_timestamp", [True, False])
async def test_answered_heartbeats_keep_it_alive_for_an_hour(autojump_clock: MockClock, with_timestamp: bool) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        await client.message()
        while trio.current_time() < 3_600:
            beat = await client.message()
            assert beat["type"] == "heartbeat"
            await client.send(action="pong", **({"timestamp": beat["timestamp"]} if with_timestamp else {}))
        assert (await client.ask(action="ping", id=1))["id"] == 1


async def test_a_pong_with_an_old_timestamp_answers_only_the_heartbeats_up_to_it(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        began = trio.current_time()
        _, first, second = await client.messages(3)
        assert first["timestamp"] < second["timestamp"]
        await client.send(action="pong", timestamp=first["timestamp"])
        await client.closed()
        assert round(trio.current_time() - began, 6) == 50  # 30 s after the second one


async def test_an_unasked_pong_is_fine(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.send(action="pong")
        assert (await client.ask(action="ping"))["type"] == "pong"


async def test_with_accept_any_a_websocket_pong_or_any_message_counts(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(heartbeat=HeartbeatConfig(accept="any"))) as server:
        client = await RawClient.connect(server)
        await client.message()
        for _ in range(20):
            assert (await client.message())["type"] == "heartbeat"
            assert (await client.frame())[0] == 9
            await client.stream.send_all(masked(10, b""))
        began = trio.current_time()
        code, _ = await client.closed()  # and one that is silent is cut all the same
        assert code == 4009
        assert trio.current_time() - began <= 40


async def test_by_default_a_websocket_pong_does_not_count(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        await client.message()
        for _ in range(3):
            await client.message()
            await client.stream.send_all(masked(10, b""))
        assert (await client.closed())[0] == 4009


async def test_a_heartbeat_tells_lag_and_sent(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await subscribed(server, "AAPL")
        await server.publish([quote(n=n) for n in range(5)])
        await client.messages(5)
        beat = await client.message()
        assert (beat["type"], beat["sent"], beat["lag"]) == ("heartbeat", 5, 0)


async def test_a_heartbeat_overtakes_queued_data(autojump_clock: MockClock) -> None:
    config = ServerConfig(inbound=InboundLimits(write_seconds=60), outbox=OutboxLimits(seconds=60))
    async with memory_server(config) as server:
        client = await subscribed(server, "AAPL")
        await server.publish([quote(n=n) for n in range(2_000)])  # fills the 64 KiB of the transport and more
        await trio.sleep(10.5)
        await server.publish([quote(n=n) for n in range(2_000)])
        await wait_all_tasks_blocked()
        found = [(await client.message()) for _ in range(2_001)]
        place = [message["type"] for message in found].index("heartbeat")
        assert place < 2_000
        assert found[place]["lag"] > 1_000
        rest = await client.messages(2_000)
        data = [message["seq"] for message in found + rest if message["type"] == "quote"]
        assert data == list(range(1, 4_001))


async def test_a_stalled_reader_gets_4008_or_a_reset_and_its_neighbours_lose_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="datafye_trio")
    async with memory_server() as server:
        stalled = await subscribed(server, "AAPL")
        good = [await subscribed(server, "AAPL") for _ in range(3)]
        seen: list[list[int]] = [[] for _ in good]

        async def read(client: RawClient, into: list[int]) -> None:
            while len(into) < 20_000:
                message = await client.message()
                if message["type"] == "quote":
                    into.append(message["seq"])
                else:
                    await client.send(action="pong")

        async with trio.open_nursery() as nursery:
            for client, into in zip(good, seen, strict=True):
                nursery.start_soon(read, client, into)
            for start in range(0, 20_000, 500):
                await server.publish([quote(n=start + n) for n in range(500)])
                await trio.sleep(0.25)
        assert all(into == list(range(1, 20_001)) for into in seen)
        # It read nothing: 64 KiB of whole frames, then half of one at which the write was given up.
        assert await stalled.closed() == (1006, "")
    assert next(record.code for record in caplog.records if record.message == "disconnected") == 4008


async def test_a_reader_that_wakes_up_in_time_sees_4008_with_its_advice(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await subscribed(server, "AAPL")
        for n in range(18):
            await server.publish([quote(n=n) for n in range(1_000)])  # beyond 16,384 messages
            await wait_all_tasks_blocked()
            del n
        await trio.sleep(1)  # less than the 2 s that the close may take
        code, reason = await client.closed()
        assert code == 4008
        assert "resume" in reason


async def test_with_drop_oldest_an_exact_gap_stands_in_place_of_what_was_dropped(autojump_clock: MockClock) -> None:
    config = ServerConfig(outbox=OutboxLimits(messages=4_096, policy="drop_oldest"))
    async with memory_server(config) as server:
        client = await subscribed(server, "AAPL", "MSFT")
        for start in range(0, 12_000, 500):
            await server.publish([quote("AAPL" if n % 2 else "MSFT", start + n) for n in range(500)])
            await wait_all_tasks_blocked()
        last = {"AAPL": 0, "MSFT": 0}
        gaps = 0
        while min(last.values()) < 6_000:
            message = await client.message()
            if message["type"] == "gap":
                assert message["reason"] == "slow_consumer"
                assert message["epoch"] == "epoch-1"
                assert message["from"] == last[message["symbol"]] + 1
                last[message["symbol"]] = message["to"]
                gaps += 1
            elif message["type"] == "quote":
                assert message["seq"] == last[message["symbol"]] + 1
                last[message["symbol"]] = message["seq"]
        assert gaps == 2  # one exact, merged gap for each topic


async def test_a_pinging_peer_is_answered_by_pongs(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.stream.send_all(masked(9, b"hello"))
        assert await client.frame() == (10, b"hello")


async def test_pongs_are_not_counted_as_requests(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(requests=RequestLimits(burst=5))) as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.stream.send_all(masked(1, b'{"action":"pong"}') * 100)
        assert (await client.ask(action="ping", id=7))["id"] == 7


async def test_a_little_over_the_rate_is_answered_rate_limited_and_goes_on(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(requests=RequestLimits(burst=5))) as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.stream.send_all(masked(1, b'{"action":"ping"}') * 8)
        found = await client.messages(8)
        assert sorted(message["type"] for message in found) == ["error"] * 3 + ["pong"] * 5
        assert {message.get("code") for message in found} == {"RATE_LIMITED", None}
        await trio.sleep(1)
        assert (await client.ask(action="ping"))["type"] == "pong"


@pytest.mark.parametrize("action", ["ping", "pong"])
async def test_a_large_request_counts_as_many_and_so_does_a_pong(autojump_clock: MockClock, action: str) -> None:
    async with memory_server(ServerConfig(requests=RequestLimits(burst=50))) as server:
        client = await RawClient.connect(server)
        await client.message()
        padded = f'{{"action":"{action}"}}'.ljust(20 * 1_024).encode()
        await client.stream.send_all(masked(1, padded) * 3)
        await client.stream.send_all(masked(1, b'{"action":"list"}'))
        found = (await client.until("error"))[-1]
        assert found["code"] == "RATE_LIMITED"
        await trio.sleep(1)
        await client.stream.send_all(masked(1, padded) * 14)
        assert (await client.closed())[0] == 4013


async def test_trades_are_untouched_by_a_quotes_subscription(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = await subscribed(server, "AAPL")
        await server.publish([trade(), quote()])
        assert (await client.message())["type"] == "quote"
