"""Catching up, chunk by chunk, over a bare outbox: what one step holds, and when it is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from broker.kit import Client, Rig, running_rig, unframed
from support import quote
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Halt
from datafye_trio.broker import Chunk, Delivery, Topic
from datafye_trio.broker.chunks import CHUNK_BYTES
from datafye_trio.broker.outbox import STREAM_MESSAGES
from datafye_trio.connection.resuming import ResumePoint, Resuming

EPOCH = "epoch-1"


class Returning:
    """A client of a rig that resumes quotes."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.client = Client(rig.broker)
        self.outbox = self.client.outbox
        self.behind = self.client.subscriber.behind
        self.resuming = Resuming(rig.broker, self.client.subscriber)

    def resume(self, *symbols: str, epoch: str = EPOCH, after: int = 0, delivery: Delivery | None = None) -> None:
        topics: list[Topic] = [
            self.client.subscriber.include(self.rig.quotes, symbol, delivery)[0] for symbol in symbols
        ]
        point = ResumePoint(epoch, dict.fromkeys(symbols, after), everything=False)
        assert self.resuming.begin(topics, point, delivery) == []

    def chunks(self) -> Iterator[Chunk]:
        """What waits in the outbox."""
        while (chunk := self.outbox.next_nowait()) is not None:
            yield chunk


@pytest.fixture
async def returning() -> AsyncIterator[Returning]:
    async with running_rig() as rig, trio.open_nursery() as nursery:
        found = Returning(rig)
        found.resuming.nursery = nursery
        yield found
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def turn_of_another(returning: Returning) -> AsyncIterator[None]:
    """While some other client has its turn."""
    async with returning.rig.broker.turn:
        yield


async def halts(rig: Rig, symbol: str, count: int, reason: str = "") -> None:
    await rig.publish(*[Halt(symbol, n, reason) for n in range(count)])


async def test_a_chunk_holds_the_past_of_many_topics_and_their_spans(returning: Returning) -> None:
    await returning.rig.publish(quote("A"), quote("B"), quote("A"), quote("B"))
    returning.resume("A", "B", after=1)
    [chunk] = returning.chunks()
    assert [(m["symbol"], m["seq"]) for m in unframed(chunk.data, "json")] == [("A", 2), ("B", 2)]
    assert [(topic.symbol, first, last) for topic, first, last in chunk.spans()] == [("A", 2, 2), ("B", 2, 2)]
    assert (chunk.messages, returning.behind) == (2, {})


async def test_a_chunk_has_bounds_in_messages(returning: Returning) -> None:
    returning.outbox.stream_bytes = 100_000  # else this is no more than that of bytes
    for symbol in "AB":
        await halts(returning.rig, symbol, STREAM_MESSAGES)
    returning.resume("A", "B")
    found = []
    while returning.behind or returning.outbox.pending():
        found += [chunk.messages for chunk in returning.chunks()]
        await wait_all_tasks_blocked()
    assert found == [STREAM_MESSAGES, STREAM_MESSAGES]


async def test_a_chunk_has_bounds_in_bytes_unless_it_is_one_message(returning: Returning) -> None:
    sizes = {"A": 40_000, "B": 40_000, "C": 100_000, "D": 10}
    for symbol, size in sizes.items():
        await halts(returning.rig, symbol, 1, "x" * size)
    returning.resume(*sizes)
    found: list[list[str]] = []
    while returning.behind or returning.outbox.pending():
        found += [[m["symbol"] for m in unframed(chunk.data, "json")] for chunk in returning.chunks()]
        await wait_all_tasks_blocked()
    assert found == [["A"], ["B"], ["C"], ["D"]]


async def test_gaps_come_in_chunks_too(returning: Returning) -> None:
    symbols = [f"S{n}" for n in range(400)]
    await returning.rig.publish(*map(quote, symbols))
    returning.resume(*symbols, epoch="another")
    [first] = returning.chunks()
    assert (first.messages, CHUNK_BYTES / 2 < len(first.data) < CHUNK_BYTES + 1_000) == (0, True)
    kinds = [message["type"] for message in unframed(first.data, "json")]
    while returning.behind or returning.outbox.pending():
        await wait_all_tasks_blocked()
        kinds += [message["type"] for chunk in returning.chunks() for message in unframed(chunk.data, "json")]
    assert kinds == ["gap", "quote"] * 400


async def test_topics_that_add_no_bytes_are_bounded_by_number(returning: Returning) -> None:
    symbols = [f"S{n}" for n in range(STREAM_MESSAGES + 10)]
    await returning.rig.publish(*map(quote, symbols))
    returning.resume(*symbols, delivery=Delivery())
    assert len(returning.behind) == 10
    await wait_all_tasks_blocked()
    assert not returning.behind


@pytest.mark.parametrize("delivery", [None, Delivery()])
async def test_a_topic_of_which_only_the_number_is_known(returning: Returning, delivery: Delivery | None) -> None:
    returning.rig.quotes.topic("A").seq = 5  # as of a feed that is passed on, and was joined midway
    returning.resume("A", after=3, delivery=delivery)
    [chunk] = returning.chunks()
    [gap] = unframed(chunk.data, "json")
    assert (gap["reason"], gap["from"], gap["to"], returning.behind) == ("expired", 4, 5, {})


async def test_numbers_that_were_skipped_at_the_head_are_a_gap_after_what_there_is(returning: Returning) -> None:
    await halts(returning.rig, "A", 3)
    returning.rig.quotes.topic("A").seq = 5
    returning.resume("A", after=1)
    await wait_all_tasks_blocked()
    data, told = returning.chunks()
    assert [m["seq"] for m in unframed(data.data, "json")] == [2, 3]
    gap, snapshot = unframed(told.data, "json")
    assert (gap["from"], gap["to"], snapshot["seq"], returning.behind) == (4, 5, 5, {})


async def test_what_is_conflated_does_not_overtake_a_gap(returning: Returning) -> None:
    returning.client.subscribe(returning.rig.quotes, "EARLIER", delivery=Delivery())
    await returning.rig.publish(quote("A"), quote("EARLIER"))
    returning.resume("A", epoch="another", delivery=Delivery())
    await returning.rig.publish(quote("A"))
    marker, told, later = returning.chunks()
    assert [topic.symbol for topic in marker.latest.slots] == ["EARLIER"] if marker.latest else False
    assert [m["type"] for m in unframed(told.data, "json")] == ["gap", "quote"]
    assert [topic.symbol for topic in later.latest.slots] == ["A"] if later.latest else False


async def test_nothing_is_put_while_too_much_waits(returning: Returning) -> None:
    await halts(returning.rig, "A", 10)
    returning.outbox.put(Chunk(b"x" * CHUNK_BYTES))
    returning.resume("A")
    await wait_all_tasks_blocked()
    assert returning.outbox.statistics().messages == 0
    next(returning.chunks())
    await wait_all_tasks_blocked()
    assert (returning.outbox.statistics().messages, returning.behind) == (10, {})


async def test_turns_are_taken_and_room_is_looked_for_again_after_the_wait(returning: Returning) -> None:
    await halts(returning.rig, "A", 40, "x" * 4_000)
    async with turn_of_another(returning):
        returning.resume("A")
        list(returning.chunks())
        await wait_all_tasks_blocked()
        assert returning.outbox.statistics().messages == 0
        returning.outbox.put(Chunk(b"x" * CHUNK_BYTES))
    await wait_all_tasks_blocked()
    assert returning.outbox.statistics().messages == 0
    list(returning.chunks())
    await wait_all_tasks_blocked()
    assert returning.outbox.statistics().messages > 0


async def test_a_connection_that_ends_starts_nothing(autojump_clock: MockClock) -> None:
    async with running_rig() as rig:
        returning = Returning(rig)
        await halts(rig, "A", 40, "x" * 4_000)
        returning.resuming.cancel()
        returning.resume("A")  # there is no nursery to start a task in
        assert returning.behind
