"""Conflation: the newest message only, counts that add up, rates under virtual time, and no answer overtaken."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from broker.kit import Rig, running_rig
from hypothesis import given, settings
from hypothesis import strategies as st
from support import quote
from trio.testing import MockClock

from datafye_trio.broker import Delivery, OutboxLimits

ALWAYS = Delivery()
EVERY_SECOND = Delivery(1.0)


def seen(taken: list) -> list:
    """`seq` and `conflated` of messages, answers as they are."""
    return [item if isinstance(item, str) else (item["seq"], item.get("conflated")) for item in taken]


async def test_a_client_that_keeps_up_gets_every_message_and_no_count(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=ALWAYS)
    for n in range(3):
        await rig.publish(quote(n=n))
        assert seen(client.take()) == [(n + 1, None)]


async def test_only_the_newest_is_kept_and_the_skipped_are_counted(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=ALWAYS)
    await rig.publish(quote(n=1), quote(n=2))
    await rig.publish(quote(n=3), quote("MSFT"), quote(n=4))
    taken = client.take()
    assert seen(taken) == [(4, 3)]
    assert taken[0]["exchangeTimestamp"] == quote(n=4).exchange_timestamp
    assert client.outbox.statistics().messages == 0


async def test_each_topic_has_its_own_newest_in_one_marker(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", "MSFT", delivery=ALWAYS)
    await rig.publish(quote(), quote("MSFT"))
    await rig.publish(quote())
    assert client.outbox.next_nowait() is not None
    assert client.outbox.next_nowait() is None
    assert (client.subscriber.latest.next_due(), client.taken) == (None, [])


async def test_a_marker_is_reopened_after_it_was_read(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", "MSFT", delivery=ALWAYS)
    await rig.publish(quote(), quote("MSFT"))
    assert [message["symbol"] for message in client.take()] == ["AAPL", "MSFT"]
    await rig.publish(quote("MSFT"))
    assert [message["symbol"] for message in client.take()] == ["MSFT"]


async def test_what_comes_after_an_answer_does_not_overtake_it(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=ALWAYS)
    await rig.publish(quote())
    client.answer("subscribed")
    await rig.publish(quote(), quote())
    assert seen(client.take()) == [(1, None), "subscribed", (3, 1)]


async def test_the_rate_holds_and_what_waits_is_conflated(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    latest = client.subscriber.latest
    began = trio.current_time()
    await rig.publish(quote())
    assert seen(client.take()) == [(1, None)]
    await rig.publish(quote())
    assert client.take() == []
    assert latest.next_due() == began + 1
    await trio.sleep(0.9)
    await rig.publish(quote(), quote())
    assert client.take() == []
    await trio.sleep_until(began + 1)
    assert seen(client.take()) == [(4, 2)]
    assert latest.next_due() is None
    await trio.sleep(5)
    await rig.publish(quote())
    assert seen(client.take()) == [(5, None)]


async def test_the_rate_is_that_of_each_topic(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", "MSFT", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.take()
    await rig.publish(quote("MSFT"), quote())
    assert [(message["symbol"], message["seq"]) for message in client.take()] == [("MSFT", 1)]


@pytest.mark.parametrize("interval", [0.25, 2.0])
async def test_over_a_minute_a_topic_gets_as_many_as_its_rate_allows(
    interval: float, rig: Rig, autojump_clock: MockClock
) -> None:
    client = rig.client("AAPL", delivery=Delivery(interval))
    began = trio.current_time()
    times = []
    for _ in range(600):
        await rig.publish(quote())
        if client.take():
            times.append(trio.current_time() - began)
        await trio.sleep(0.1)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) >= interval - 1e-9
    assert max(pauses) <= interval + 0.1 + 1e-9


async def test_a_marker_behind_waits_with_what_waits_already_and_counts_both(
    rig: Rig, autojump_clock: MockClock
) -> None:
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.take()
    await rig.publish(quote())
    client.answer("one")
    await rig.publish(quote(), quote())
    assert client.take() == ["one"]
    await trio.sleep(1)
    assert seen(client.take()) == [(4, 2)]


async def test_a_new_message_is_not_put_before_an_older_one_that_is_still_queued(
    rig: Rig, autojump_clock: MockClock
) -> None:
    # It was once added to the slot that waits for its rate: then the older one came last, and the newest was lost.
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.take()
    await rig.publish(quote())
    client.answer("one")
    await rig.publish(quote())
    client.answer("two")
    assert client.take(2) == ["one"]
    await rig.publish(quote())
    assert client.take() == ["two"]
    await trio.sleep(1)
    assert seen(client.take()) == [(4, 2)]
    await trio.sleep(1)
    assert client.take() == []


async def test_unsubscribed_while_waiting_it_is_not_sent(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.take()
    await rig.publish(quote())
    assert client.take() == []
    client.subscriber.exclude(rig.quotes, "AAPL")
    client.answer("unsubscribed")
    await trio.sleep(10)
    assert client.take() == ["unsubscribed"]
    assert client.subscriber.latest.next_due() is None


async def test_unsubscribed_while_queued_it_never_comes_after_the_answer(rig: Rig, autojump_clock: MockClock) -> None:
    # The batch before sets the topic's next time: the one behind it was once held back beyond the answer.
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.answer("one")
    await rig.publish(quote())
    client.subscriber.exclude(rig.quotes, "AAPL")
    client.answer("unsubscribed")
    assert seen(client.take()) == [(1, None), "one", (2, None), "unsubscribed"]
    await trio.sleep(10)
    assert client.take() == []


async def test_subscribed_to_all_while_waiting_it_comes_before_the_answer(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.take()
    await rig.publish(quote())
    assert client.take() == []
    client.subscribe(rig.quotes, "AAPL")
    client.answer("subscribed")
    await rig.publish(quote())
    assert seen(client.take()) == [(2, None), "subscribed", (3, None)]


async def test_subscribed_to_all_while_queued_twice_the_order_holds(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    client.answer("one")
    await rig.publish(quote())
    client.subscribe(rig.quotes, "AAPL")
    client.answer("subscribed")
    await rig.publish(quote())
    assert seen(client.take()) == [(1, None), "one", (2, None), "subscribed", (3, None)]


async def test_a_new_rate_holds_from_the_next_message_on(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", delivery=Delivery(100.0))
    await rig.publish(quote())
    client.take()
    client.subscribe(rig.quotes, "AAPL", delivery=EVERY_SECOND)
    await rig.publish(quote())
    assert seen(client.take()) == [(2, None)]
    await rig.publish(quote())
    assert client.take() == []
    await trio.sleep(1)
    assert seen(client.take()) == [(3, None)]


async def test_nothing_is_remembered_of_topics_that_were_left(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", "MSFT", delivery=EVERY_SECOND)
    for _ in range(3):
        await rig.publish(quote(), quote("MSFT"))
        client.answer("one")
    client.subscriber.leave_all(rig.quotes, frozenset())
    client.take()
    kept = {name: held for name, held in vars(client.subscriber.latest).items() if isinstance(held, dict) and held}
    assert kept == {}


async def test_messagepack_clients_get_messagepack(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client("AAPL", encoding="msgpack", delivery=ALWAYS)
    await rig.publish(quote(), quote())
    assert seen(client.take()) == [(2, 1)]


OPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 3)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.sampled_from([0.3, 1.0, 3.0])),
        st.tuples(st.just("subscribe"), st.sampled_from([None, 0.0, 1.0, 2.5])),
        st.just(("unsubscribe",)),
        st.just(("answer",)),
    ),
    max_size=40,
)


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(OPS)
def test_whatever_happens_the_order_holds_the_counts_add_up_and_the_newest_arrives(ops: list[tuple]) -> None:
    trio.run(_life, ops, clock=MockClock(autojump_threshold=0))


async def _life(ops: list[tuple]) -> None:
    async with running_rig(outbox=OutboxLimits(seconds=1e9)) as rig:
        await _ops(rig, ops)


async def _ops(rig: Rig, ops: list[tuple]) -> None:
    client = rig.client()
    topic = rig.quotes.topic("AAPL")
    topic.pinned = True
    for op in ops:
        match op:
            case ("publish", count):
                await rig.publish(*[quote()] * count)
            case ("take", chunks):
                client.take(chunks)
            case ("wait", seconds):
                await trio.sleep(seconds)
            case ("subscribe", interval):
                new = topic not in client.subscriber.topics
                client.subscribe(rig.quotes, "AAPL", delivery=None if interval is None else Delivery(interval))
                client.answer(f"{'new' if new else 'changed'} {topic.seq} {interval}")
            case ("unsubscribe",):
                client.subscriber.exclude(rig.quotes, "AAPL")
                client.answer("left")
            case ("answer",):
                client.answer("other")
    subscribed = topic in client.subscriber.topics
    client.take()
    await trio.sleep(10)
    client.take()
    assert client.outbox.statistics().messages == 0
    assert client.full == 0
    _judge(client.taken, topic.seq if subscribed else None)


def _judge(taken: list, last: int | None) -> None:
    """One walk along what a client saw: `position` is the last `seq` it knows of, None while not subscribed."""
    position: int | None = None
    everything = False
    for item in taken:
        if isinstance(item, dict):
            assert position is not None, "data while not subscribed"
            assert item["seq"] == position + 1 + item.get("conflated", 0)
            assert not (everything and "conflated" in item)
            position = item["seq"]
        elif item == "left":
            position = None
        elif item != "other":
            kind, seq, interval = item.split()
            everything = interval == "None"
            if kind == "new":
                position = int(seq)
            else:
                assert position == int(seq), "what came before the answer was sent before it"
    assert position == last
