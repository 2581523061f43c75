"""A long past: fed as the client reads, beside what is live, and what a client may do meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from connection.kit import BASE, QUOTES
from connection.returning import EPOCH, Account, Reader
from support import START_NS, masked, memory_server, quote, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Halt, Server, ServerConfig
from datafye_trio.broker import OutboxLimits, RingLimits
from datafye_trio.connection.limits import RequestLimits

LONG = 1_000
PADDING = "x" * 4_000


async def publish(server: Server, symbol: str, first: int, last: int) -> None:
    """Halts of 4 KB, numbered by their times."""
    for start in range(first, last + 1, 50):
        await server.publish([Halt(symbol, START_NS + n, PADDING) for n in range(start, min(start + 50, last + 1))])
        await wait_all_tasks_blocked()


def account(**heads: int) -> Account:
    """An account of quotes that starts with nothing, of topics that were published up to these numbers."""
    found = Account({("quotes", symbol): [START_NS + n for n in range(1, head + 1)] for symbol, head in heads.items()})
    found.positions = {("quotes", symbol): 0 for symbol in heads}
    return found


@asynccontextmanager
async def far_behind(
    *symbols: str, config: ServerConfig | None = None, head: int = LONG
) -> AsyncIterator[tuple[Server, Reader]]:
    """A client that has resumed symbols of a long past from 0, and has read only the answer."""
    async with memory_server(config) as server:
        for symbol in symbols:
            await publish(server, symbol, 1, head)
        reader = await Reader.connect(server, QUOTES)
        for symbol in symbols:
            await resume(reader, symbol)
        await wait_all_tasks_blocked()
        while not reader.messages or reader.messages[-1]["type"] == "connected":
            await reader.read(size=1_000)
        yield server, reader


async def resume(reader: Reader, *symbols: str, after: int = 0, **fields: Any) -> None:
    request = {"epoch": EPOCH, "positions": dict.fromkeys(symbols, after)}
    await reader.client.send(action="subscribe", symbols=list(symbols), resume=request, **fields)


def subscribers(server: Server) -> int:
    """The subscriptions to all topics of the server."""
    boards = [board for dataset in server._broker.datasets.values() for board in dataset.boards.values()]
    return sum(len(topic.subscribers) for board in boards for topic in board.topics.values())


@pytest.mark.unmeasured
async def test_a_slow_reader_gets_a_past_longer_than_its_outbox_and_all_that_is_live(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        count = 40_000  # 10 MB: more than the outbox's 16,384 messages and its 8 MiB
        for start in range(0, count, 1_000):
            await server.publish([quote("AAPL", n) for n in range(start + 1, start + 1_001)])
        reader = await Reader.connect(server, QUOTES)
        await resume(reader, "AAPL")
        await reader.client.send(action="subscribe", symbols=["LIVE"])
        peak = live = 0
        while len(reader.messages) < count:
            await reader.read()
            live += 1
            await server.publish([quote("AAPL", count + live), quote("LIVE", live)])
            await trio.sleep(0.2)
            await reader.client.send(action="pong")
            [subscriber] = server._broker._subscribers
            peak = max(peak, subscriber.outbox.statistics().bytes)
        await reader.until_quiet()
        assert [m["seq"] for m in reader.data("AAPL")] == list(range(1, count + live + 1))
        assert [m["seq"] for m in reader.data("LIVE")] == list(range(1, live + 1))
        assert all(m["exchangeTimestamp"] == START_NS + m["seq"] for m in reader.data())
        assert (reader.closed, peak < 2 * 2**17) == (None, True)


async def test_what_the_ring_forgets_meanwhile_is_one_exact_gap(autojump_clock: MockClock) -> None:
    config = ServerConfig(ring=RingLimits(seconds=0.001, messages=LONG))
    async with far_behind("A", config=config) as (server, reader):
        await reader.read(4)
        await trio.sleep(1)
        await publish(server, "A", LONG + 1, 2 * LONG)
        await reader.until_quiet()
        await publish(server, "A", 2 * LONG + 1, 2 * LONG + 5)
        await reader.until_quiet()
        mine = account(A=2 * LONG + 5)
        mine.follow(reader.data())
        kinds = [message["type"] for message in reader.data()]
        assert kinds.count("gap") == 1
        assert 50 < kinds.index("gap") < LONG
        assert mine.positions == {("quotes", "A"): 2 * LONG + 5}


async def test_a_source_at_full_speed_does_not_outrun_who_catches_up(autojump_clock: MockClock) -> None:
    config = ServerConfig(ring=RingLimits(seconds=0.001, messages=LONG))
    async with far_behind("A", config=config) as (server, reader), trio.open_nursery() as nursery:

        async def torrent() -> None:
            for start in range(LONG + 1, 2 * LONG, 50):
                await trio.sleep(0.01)
                await server._broker.room()
                await publish(server, "A", start, start + 49)

        nursery.start_soon(torrent)
        while reader.data()[-1:] == [] or reader.data()[-1]["seq"] < 2 * LONG:
            await trio.sleep(0.1)
            await reader.read()
        mine = account(A=2 * LONG)
        mine.follow(reader.data())
        assert not mine.lost


async def test_two_resumes_on_one_connection_take_turns_and_lack_nothing(autojump_clock: MockClock) -> None:
    async with far_behind("A", "B") as (server, reader):
        await publish(server, "B", LONG + 1, LONG + 20)
        await reader.until_quiet()
        mine = account(A=LONG, B=LONG + 20)
        mine.follow(reader.data())
        assert mine.positions == {("quotes", "A"): LONG, ("quotes", "B"): LONG + 20}
        assert not mine.lost


async def test_star_after_a_named_resume_that_is_still_under_way_repeats_nothing(autojump_clock: MockClock) -> None:
    async with far_behind("A") as (server, reader):
        await publish(server, "B", 1, 3)
        await resume(reader, "*")
        await reader.until_quiet()
        mine = account(A=LONG, B=3)
        mine.follow(reader.data())
        assert mine.positions == {("quotes", "A"): LONG, ("quotes", "B"): 3}


async def test_a_topic_that_catches_up_is_subscribed_in_every_respect(autojump_clock: MockClock) -> None:
    async with far_behind("A") as (server, reader):
        await reader.client.send(action="subscriptions")
        await reader.client.send(action="subscribe", symbols=["A"])
        await publish(server, "A", LONG + 1, LONG + 2)
        await reader.until_quiet()
        listed = next(m for m in reader.messages if m["type"] == "subscriptions")
        assert [group["symbols"] for group in listed["subscriptions"]] == [["A"]]
        first, repeated = [m for m in reader.messages if m["type"] == "subscribed"]
        assert (first["total"], repeated["total"]) == (1, 1)
        # What the client was sent so far, and not the head, which it has not.
        assert 10 < repeated["positions"]["quotes"]["A"] < LONG
        mine = account(A=LONG + 2)
        mine.follow(reader.data())
        assert mine.positions == {("quotes", "A"): LONG + 2}


async def test_unsubscribing_ends_it(autojump_clock: MockClock) -> None:
    async with far_behind("A", "B") as (server, reader):
        await reader.client.send(action="unsubscribe", symbols=["A"])
        await reader.until_quiet()
        kinds = [m["type"] for m in reader.messages if m.get("symbol") != "B"]
        assert 10 < kinds.index("unsubscribed") < LONG
        assert "halt" not in kinds[kinds.index("unsubscribed") :]
        assert [m["seq"] for m in reader.data("B")] == list(range(1, LONG + 1))  # the next in line is not harmed
        had = len(reader.data("A"))
        await resume(reader, "A", after=had)
        await publish(server, "A", LONG + 1, LONG + 2)
        await reader.until_quiet()
        assert [m["seq"] for m in reader.data("A")] == list(range(1, LONG + 3))


async def test_latest_asked_for_meanwhile_skips_the_rest(autojump_clock: MockClock) -> None:
    async with far_behind("A") as (server, reader):
        await reader.client.send(action="subscribe", symbols=["A"], delivery="latest")
        await reader.until_quiet()
        *past, newest = reader.data()
        assert [m["seq"] for m in past] == list(range(1, len(past) + 1))
        assert (newest["seq"], newest["conflated"]) == (LONG, LONG - len(past) - 1)
        await publish(server, "A", LONG + 1, LONG + 1)
        await reader.until_quiet()
        assert reader.data()[-1]["seq"] == LONG + 1


@pytest.mark.parametrize("how", ["cut", "close", "slow"])
async def test_it_ends_with_the_connection(autojump_clock: MockClock, how: str) -> None:
    async with far_behind("A", "B") as (server, reader):
        assert subscribers(server) == 2
        if how == "cut":
            await reader.client.stream.aclose()
        elif how == "close":
            await reader.client.stream.send_all(masked(8, b"\x03\xe8"))
            await reader.until_quiet()
            assert reader.closed == 1000
            assert len(reader.data()) < LONG
        else:
            await trio.sleep(60)  # one write may take 5 s
        await wait_all_tasks_blocked()
        assert subscribers(server) == 0
        assert not server._broker._subscribers


async def test_those_who_read_wait_for_nobody_who_catches_up(autojump_clock: MockClock) -> None:
    async with far_behind("A") as (server, _stalled):
        others = [await Reader.connect(server, QUOTES) for _ in range(3)]
        for other in others:
            await resume(other, "A")
        async with trio.open_nursery() as nursery:
            for other in others:
                nursery.start_soon(other.until_quiet)
        for other in others:
            mine = account(A=LONG)
            mine.follow(other.data())
            assert mine.positions == {("quotes", "A"): LONG}


async def test_an_outbox_that_drops_its_oldest_gives_exact_gaps_of_the_past_too(autojump_clock: MockClock) -> None:
    config = ServerConfig(outbox=OutboxLimits(bytes=500_000, policy="drop_oldest"))
    async with far_behind("A", "B", config=config, head=30) as (server, reader):
        await publish(server, "A", 31, 400)
        await reader.until_quiet()
        await publish(server, "A", 401, 402)
        await reader.until_quiet()
        gaps = [m for m in reader.data() if m["type"] == "gap"]
        assert {(gap["symbol"], gap["reason"]) for gap in gaps} == {("A", "slow_consumer"), ("B", "slow_consumer")}
        for symbol, head in (("A", 402), ("B", 30)):
            position = 0
            for message in reader.data(symbol):
                first, last = (message["from"], message["to"]) if message["type"] == "gap" else [message["seq"]] * 2
                assert first == position + 1
                position = last
            assert position == head


@pytest.mark.parametrize("config", [ServerConfig(max_topics=3), ServerConfig(requests=RequestLimits(topics=3))])
async def test_what_star_would_make_counts_for_the_limits(autojump_clock: MockClock, config: ServerConfig) -> None:
    async with memory_server(config) as server:
        await server.publish(trade("A"))
        reader = await Reader.connect(server, f"{BASE}/stocks/live/trades")
        past = {"epoch": EPOCH, "positions": {"X": 1, "Y": 1, "Z": 1}}
        await reader.client.send(action="subscribe", symbols="*", resume=past)
        await reader.until_quiet()
        [error] = [m for m in reader.messages if m["type"] == "error"]
        assert (error["code"], error["symbols"]) == ("SUBSCRIPTION_LIMIT", ["*"])
        assert subscribers(server) == 0
