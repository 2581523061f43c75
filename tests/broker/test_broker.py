"""The broker as a whole: what a source at full speed waits for, who may come and go, and what a cancellation leaves."""

from __future__ import annotations

import pytest
import trio
from broker.kit import QUOTES, Client, Rig, make_broker, running_rig, unframed
from support import quote
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio import Program
from datafye_trio.broker import Delivery, OutboxLimits, RingLimits
from datafye_trio.errors import ConfigurationError
from datafye_trio.sources import BATCH


async def test_a_dataset_is_named_once() -> None:
    broker = make_broker()
    broker.add(Program("One"))
    broker.add(Program("Two"))
    with pytest.raises(ConfigurationError, match="the dataset One is named twice"):
        broker.add(Program("One"))
    assert list(broker.datasets) == ["One", "Two"]


async def test_the_rings_share_of_the_memory_is_not_the_outboxes() -> None:
    assert make_broker(memory=1_000, ring=RingLimits(bytes=400)).budget.limit == 600
    assert make_broker(memory=100, ring=RingLimits(bytes=400)).budget.limit == 0


async def test_datasets_number_their_topics_apart() -> None:
    async with running_rig(Program("One"), Program("Two")) as rig:
        second = rig.broker.datasets["Two"]
        client = rig.client("AAPL")
        client.subscribe(second.boards[QUOTES], "AAPL")
        await rig.publish(quote(), quote())
        second.publish_nowait(quote())
        await rig.broker.settle()
        assert [(m["dataset"], m["seq"]) for m in client.take()] == [("One", 1), ("One", 2), ("Two", 1)]
        assert rig.broker.topic_count() == 2


async def test_what_arrived_together_is_one_pass_and_one_chunk() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    for n in range(5):
        dataset.publish_nowait(quote(n=n))
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        await broker.settle()
        nursery.cancel_scope.cancel()
    chunk = client.outbox.next_nowait()
    assert chunk is not None
    assert chunk.messages == 5
    assert client.outbox.next_nowait() is None


async def test_a_pass_ends_with_the_batch_that_fills_it() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    for _ in range(3):
        dataset.publish_nowait([quote()] * 600)
    waiting = []
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            waiting.append(client.outbox.statistics().messages)
        await broker.settle()
        nursery.cancel_scope.cancel()
    assert 1_200 in waiting
    assert client.seqs() == list(range(1, 1_801))


async def test_writers_get_their_turn_between_passes() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    for _ in range(10):
        dataset.publish_nowait([quote()] * BATCH)
    most = 0

    async def write() -> None:
        nonlocal most
        while True:
            chunk = await client.outbox.next()
            most = max(most, chunk.messages + client.outbox.statistics().messages)
            client.take()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await nursery.start(broker.run)
        await broker.settle()
        nursery.cancel_scope.cancel()
    assert most <= 2 * BATCH


# Full speed: room()


async def test_room_is_there_at_once_when_nobody_lags_and_is_a_checkpoint(rig: Rig) -> None:
    rig.client("AAPL")
    with assert_checkpoints():
        await rig.broker.room()


async def test_room_waits_until_all_that_was_published_is_handed_out(rig: Rig) -> None:
    client = rig.client("AAPL")
    rig.dataset.publish_nowait(quote())
    assert not client.outbox.pending()
    await rig.broker.room()
    assert client.seqs() == [1]


async def test_room_waits_for_a_client_that_reads_and_goes_on_when_it_has(autojump_clock: MockClock) -> None:
    async with running_rig(outbox=OutboxLimits(messages=10, seconds=1e9)) as rig:
        client = rig.client("AAPL")
        for _ in range(6):
            await rig.publish(quote())
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.dataset.room)
            await trio.sleep(3)
            assert len(nursery.child_tasks) == 1
            assert client.seqs() == list(range(1, 7))
        assert trio.current_time() == began + 3


async def test_room_no_longer_waits_for_a_client_that_took_nothing_for_five_seconds(autojump_clock: MockClock) -> None:
    async with running_rig(outbox=OutboxLimits(messages=10, seconds=1e9)) as rig:
        rig.client("AAPL")
        await rig.publish(*[quote()] * 6)
        began = trio.current_time()
        await rig.broker.room()
        assert trio.current_time() == pytest.approx(began + 5)
        await rig.broker.room()
        assert trio.current_time() == pytest.approx(began + 5)


async def test_room_waits_for_the_last_of_several_laggards(autojump_clock: MockClock) -> None:
    async with running_rig(outbox=OutboxLimits(messages=10, seconds=1e9)) as rig:
        clients = [rig.client("AAPL") for _ in range(2)]
        began = trio.current_time()
        await rig.publish(*[quote()] * 6)
        await trio.sleep(2)
        await rig.publish(quote())
        clients[1].take(1)
        await rig.publish(*[quote()] * 5)
        await rig.broker.room()
        assert trio.current_time() == pytest.approx(began + 7)


async def test_room_does_not_wait_for_a_client_that_is_gone(autojump_clock: MockClock) -> None:
    async with running_rig(outbox=OutboxLimits(messages=10, seconds=1e9)) as rig:
        client = rig.client("AAPL")
        await rig.publish(*[quote()] * 6)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.broker.room)
            await trio.sleep(1)
            rig.broker.remove(client.subscriber)
        assert trio.current_time() == began + 1


@pytest.mark.unmeasured
async def test_a_source_at_full_speed_loses_nobody_who_reads(autojump_clock: MockClock) -> None:
    limits = OutboxLimits(messages=4 * BATCH, seconds=5.0)
    async with running_rig(outbox=limits) as rig:
        client, stalled = rig.client("AAPL"), rig.client("AAPL")
        seqs: list[int] = []

        async def read_slowly() -> None:
            while len(seqs) < 40 * BATCH:
                await trio.sleep(0.4)
                seqs.extend(client.seqs(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_slowly)
            for _ in range(40):
                await rig.broker.room()
                await rig.dataset.publish([quote()] * BATCH)
        assert seqs == list(range(1, 40 * BATCH + 1))
        assert (client.full, stalled.full) == (0, 1)


async def test_waiting_for_room_or_for_subscribers_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with running_rig(outbox=OutboxLimits(messages=10, seconds=1e9)) as rig:
        client = rig.client("AAPL")
        await rig.publish(*[quote()] * 6)
        with trio.move_on_after(1) as scope:
            await rig.broker.room()
        assert scope.cancelled_caught
        with trio.move_on_after(1) as scope:
            await rig.dataset.wait_subscribed(100)
        assert scope.cancelled_caught
        await rig.publish(quote())
        assert client.seqs() == list(range(1, 8))


async def test_wait_for_looks_again_at_every_change(rig: Rig) -> None:
    state: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.broker.wait_for, lambda: len(state) == 2)
        for n in range(2):
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            state.append(n)
            rig.broker.notify()
    rig.broker.notify()  # nobody waits: nothing happens


# Coming, going and being cancelled


async def test_removing_a_client_gives_everything_back_and_may_be_repeated(rig: Rig) -> None:
    gone, stays = rig.client("AAPL", "WISH"), rig.client("AAPL")
    await rig.publish(quote())
    assert rig.broker.budget.used > 0
    for _ in range(2):
        rig.broker.remove(gone.subscriber)
    await rig.publish(quote())
    assert gone.take() == []
    assert stays.seqs() == [1, 2]
    assert rig.broker.budget.used == 0
    assert list(rig.quotes.topics) == ["AAPL"]


async def test_a_client_that_is_cut_harms_no_other_in_the_same_pass(autojump_clock: MockClock) -> None:
    async with running_rig(outbox=OutboxLimits(messages=5)) as rig:
        clients = [rig.client("AAPL") for _ in range(3)]
        for _ in range(5):
            await rig.publish(quote())
            clients[0].take()
            clients[2].take()
        await rig.publish(quote())
        assert [client.full for client in clients] == [0, 1, 0]
        assert [len(client.taken) + len(client.take()) for client in (clients[0], clients[2])] == [6, 6]
        assert clients[1].take() == []


async def test_cancelling_the_fan_out_leaves_subscribers_and_topics_whole() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    for n in range(3):
        async with trio.open_nursery() as nursery:
            await nursery.start(broker.run)
            dataset.publish_nowait(quote(n=n))
            # In the midst of it: some of these batches are handed out before the cancellation, some are not.
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        await broker.settle()
        nursery.cancel_scope.cancel()
    assert client.seqs() == [1, 2, 3]


async def test_cancelling_the_sources_ends_them_all() -> None:
    async with running_rig(Program("One"), Program("Two")) as rig:
        await wait_all_tasks_blocked()
        rig.broker.cancel_sources()
        await wait_all_tasks_blocked()
        assert [dataset.why for dataset in rig.broker.datasets.values()] == ["cancelled"] * 2
        client = rig.client("AAPL")
        await rig.publish(quote())
        assert client.seqs() == [1]


# Frames


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_a_snapshot_is_the_latest_message_once_more(rig: Rig, encoding: str) -> None:
    topic = rig.quotes.topic("AAPL")
    assert rig.broker.snapshot(topic, encoding) is None
    await rig.publish(quote(n=1), quote(n=2))
    (snapshot,) = unframed(rig.broker.snapshot(topic, encoding), encoding)
    assert (snapshot["seq"], snapshot["snapshot"]) == (2, True)
    assert snapshot["exchangeTimestamp"] == quote(n=2).exchange_timestamp
    assert topic.seq == 2


async def test_conflated_messages_carry_their_count_and_others_do_not(rig: Rig) -> None:
    client = rig.client("AAPL", delivery=Delivery())
    await rig.publish(quote())
    client.take()
    await rig.publish(quote(), quote())
    client.take()
    assert ["conflated" in message for message in client.taken] == [False, True]
