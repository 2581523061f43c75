"""A dataset as its publisher sees it: what is refused, when it waits, and who is subscribed."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from broker.kit import QUOTES, TRADES, Client, Rig, make_broker, running_rig
from support import START_NS, quote, trade
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio import Program
from datafye_trio.aggregates import default_aggregation
from datafye_trio.errors import EventError
from datafye_trio.model import AssetClass, Bar, Channel, DatasetInfo, Frequency, Halt, Resume
from datafye_trio.sources import BATCH

CLOSED = DatasetInfo("Closed", AssetClass.STOCKS, (Channel.QUOTES,), symbols=frozenset({"AAPL", "MSFT"}))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (quote("aapl"), "'aapl' is not in normal form: publish it as 'AAPL'"),
        (quote(" AAPL"), "not in normal form"),
        (quote(""), "is no symbol"),
        (quote("A" * 33), "is no symbol"),
        (quote("ÄÖ"), "is no symbol"),
        (attrs.evolve(quote(), symbol=["AAPL"]), "symbol must be a Unicode text"),
        (attrs.evolve(quote(), symbol=None), "symbol must be a Unicode text"),
        (attrs.evolve(quote(), bid_price=math.nan), "bid_price must be a finite number, or None"),
        ("AAPL", "str is no market event"),
        (None, "NoneType is no market event"),
    ],
)
async def test_a_bad_event_is_refused_at_the_call_and_nothing_of_it_is_published(
    rig: Rig, event: object, why: str
) -> None:
    sound = [quote("FIRST"), event, quote("LAST")]
    for call in (rig.dataset.publish_nowait, rig.dataset.publish):
        for what in (event, sound):
            with pytest.raises(EventError, match=why):
                if (waiting := call(what)) is not None:
                    await waiting
    await wait_all_tasks_blocked()
    assert rig.codec.written == []
    assert all(topic.seq == 0 for topic in rig.quotes.topics.values())


async def test_a_bad_number_makes_no_topic(rig: Rig) -> None:
    with pytest.raises(EventError):
        rig.dataset.publish_nowait(attrs.evolve(quote(), bid_size=-1))
    assert not rig.quotes.topics


async def test_a_generator_is_no_sequence(rig: Rig) -> None:
    with pytest.raises(EventError, match="generator is no market event"):
        rig.dataset.publish_nowait(event for event in [quote()])


async def test_a_closed_list_has_its_topics_from_the_start_and_no_others() -> None:
    async with running_rig(Program("Closed", channels=(Channel.QUOTES,), symbols=CLOSED.symbols)) as rig:
        assert [(topic.symbol, topic.pinned) for topic in rig.quotes.topics.values()] == [
            ("AAPL", True),
            ("MSFT", True),
        ]
        with pytest.raises(EventError, match="IBM is not one of the symbols of dataset Closed"):
            rig.dataset.publish_nowait(quote("IBM"))
        with pytest.raises(EventError, match="dataset Closed has no channel for a Trade"):
            rig.dataset.publish_nowait(trade())
        await rig.publish(quote("MSFT"))
        assert rig.quotes.topics["MSFT"].seq == 1


async def test_crypto_symbols_are_published_without_dashes() -> None:
    async with running_rig(Program("Crypto", AssetClass.CRYPTO)) as rig:
        with pytest.raises(EventError, match="publish it as 'BTCUSD'"):
            rig.dataset.publish_nowait(trade("X:BTC-USD"))
        await rig.publish(trade("BTCUSD"))


async def test_halt_and_resume_go_to_quotes_and_trades(rig: Rig) -> None:
    client = rig.client("AAPL")
    client.subscribe(rig.dataset.boards[TRADES], "AAPL")
    await rig.publish(Halt("AAPL", 1, "LULD"), Resume("AAPL", 2, "LULD"))
    assert [(m["type"], m["seq"]) for m in client.take()] == [
        ("halt", 1), ("halt", 1), ("resume", 2), ("resume", 2),
    ]  # fmt: skip


async def test_a_published_symbol_is_remembered_without_subscribers(rig: Rig) -> None:
    await rig.publish(quote())
    client = rig.client("AAPL")
    client.subscriber.exclude(rig.quotes, "AAPL")
    await rig.publish(quote())
    assert rig.quotes.topics["AAPL"].seq == 2


async def test_a_big_sequence_is_published_in_batches_of_1024(rig: Rig) -> None:
    client = rig.client("AAPL")
    sizes: list[int] = []
    put = client.outbox.put
    client.outbox.put = lambda chunk: (sizes.append(chunk.messages), put(chunk))[1]
    await rig.dataset.publish([quote(n=n) for n in range(2 * BATCH + 1)])
    await rig.broker.settle()
    assert client.seqs() == list(range(1, 2 * BATCH + 2))
    assert max(sizes) <= BATCH
    with pytest.raises(EventError, match="publish_nowait takes at most 1024 events at once"):
        rig.dataset.publish_nowait([quote()] * (BATCH + 1))


async def test_the_callers_list_may_change_afterwards(rig: Rig) -> None:
    client = rig.client("AAPL")
    events = [quote(n=1)]
    rig.dataset.publish_nowait(events)
    events.append(quote(n=2))
    await rig.broker.settle()
    assert client.seqs() == [1]


async def test_publishing_nothing_is_a_checkpoint_too(rig: Rig) -> None:
    with assert_checkpoints():
        await rig.dataset.publish([])
    rig.dataset.publish_nowait([])
    with assert_checkpoints():
        await rig.dataset.publish(quote())


async def test_publish_waits_for_room_and_publish_nowait_says_that_there_is_none() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    published = 0
    with pytest.raises(trio.WouldBlock):
        while True:
            dataset.publish_nowait(quote())
            published += 1
    assert 0 < published < 100
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dataset.publish, quote())
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        await nursery.start(broker.run)
        await broker.settle()
        assert client.seqs() == list(range(1, published + 2))
        nursery.cancel_scope.cancel()


async def test_a_publish_that_is_cancelled_while_it_waits_has_published_nothing() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    published = 0
    with pytest.raises(trio.WouldBlock):
        while True:
            dataset.publish_nowait(quote())
            published += 1
    with trio.CancelScope() as scope:
        scope.cancel()
        await dataset.publish(quote())
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        await broker.settle()
        assert dataset.boards[QUOTES].topics["AAPL"].seq == published
        nursery.cancel_scope.cancel()


async def test_a_cancelled_publish_is_not_waited_for(autojump_clock: MockClock) -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    with trio.move_on_after(1):
        await dataset.publish([quote()] * BATCH * 100)
    settled = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def settle() -> None:
            await broker.settle()
            settled.append(dataset.boards[QUOTES].topics["AAPL"].seq)

        await nursery.start(broker.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert settled == [16 * BATCH]


async def test_the_clock_of_a_publisher_is_the_wall_clock(autojump_clock: MockClock) -> None:
    dataset = make_broker().add(Program())
    await trio.sleep(2)
    assert dataset.now_ns() == START_NS + round(trio.current_time() * 1e9)


async def test_subscribed_topics_count_each_board_and_a_lone_wildcard_once(rig: Rig) -> None:
    dataset = rig.dataset
    assert dataset.subscribed_topics() == 0
    client = rig.client("AAPL", "MSFT")
    assert dataset.subscribed_topics() == 2
    client.subscriber.join_all(dataset.boards[TRADES], None)
    assert dataset.subscribed_topics() == 3
    await rig.publish(trade("AAPL"), trade("MSFT"))
    assert dataset.subscribed_topics() == 4


async def test_wait_subscribed_waits_for_so_many_topics(rig: Rig) -> None:
    reached = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            await rig.dataset.wait_subscribed(2)
            reached.append(rig.dataset.subscribed_topics())

        for symbol in ("AAPL", "MSFT"):
            await wait_all_tasks_blocked()
            assert reached == []
            rig.client(symbol)
            rig.broker.notify()
    assert reached == [2]
    with assert_checkpoints():
        await rig.dataset.wait_subscribed(2)


async def test_bars_that_are_made_of_trades_cannot_be_published_too() -> None:
    async with running_rig(Program(aggregation=default_aggregation("Program"))) as rig:
        with pytest.raises(EventError, match="the bars and indicators of dataset Program are made of its trades"):
            await rig.dataset.publish(Bar("AAPL", "Minute", 1, 1, 1, 1, 1, 1, 1, 1.0))


async def test_a_bar_of_a_frequency_that_is_not_offered_is_refused() -> None:
    channels = (Channel.QUOTES, Channel.AGGREGATES)
    async with running_rig(Program(channels=channels, frequencies=(Frequency.DAY,))) as rig:
        await rig.dataset.publish(Bar("AAPL", "Day", 1, 1, 1, 1, 1, 1, 1, 1.0))
        for frequency in ("Minute", "Fortnight"):
            with pytest.raises(EventError, match=f"'{frequency}' is not offered by dataset Program: Day"):
                await rig.dataset.publish(Bar("AAPL", frequency, 1, 1, 1, 1, 1, 1, 1, 1.0))
