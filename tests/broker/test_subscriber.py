"""Joining and leaving: by name, by `*`, with exceptions, and what is left behind."""

from __future__ import annotations

import trio
from broker.kit import TRADES, Client, Rig, make_board, make_broker
from support import quote, trade
from trio.testing import MockClock

from datafye_trio.broker import CatchUp, Delivery


def symbols(client: Client) -> list[str]:
    return [topic.symbol for topic in client.subscriber.topics]


async def test_joining_twice_changes_only_the_options() -> None:
    client, board = Client(make_broker()), make_board()
    topic, new = client.subscriber.include(board, "AAPL", None)
    assert new
    assert client.subscriber.include(board, "AAPL", Delivery(1.0)) == (topic, False)
    assert topic.subscribers == {client.subscriber: Delivery(1.0)}
    assert client.subscriber.include(board, "AAPL", None) == (topic, False)
    assert topic.subscribers == {client.subscriber: None}


async def test_a_topic_that_is_made_under_a_star_of_its_own_is_new() -> None:
    client, board = Client(make_broker()), make_board()
    client.subscriber.join_all(board, None)
    topic, new = client.subscriber.include(board, "AAPL", Delivery(1.0))
    assert new
    assert topic.subscribers == {client.subscriber: Delivery(1.0)}
    assert client.subscriber.include(board, "AAPL", None) == (topic, False)


async def test_leaving_what_was_not_joined_is_said() -> None:
    client, board = Client(make_broker()), make_board()
    assert not client.subscriber.leave(board.topic("AAPL"))
    assert not client.subscriber.exclude(board, "AAPL")
    assert not client.subscriber.exclude(board, "MSFT")
    client.subscribe(board, "AAPL")
    assert client.subscriber.exclude(board, "AAPL")
    assert not client.subscriber.exclude(board, "AAPL")


async def test_a_topic_that_only_a_subscriber_wished_for_goes_with_the_last_of_them() -> None:
    broker, board = make_broker(), make_board()
    first, second = Client(broker), Client(broker)
    for client in (first, second):
        client.subscribe(board, "NOBODY")
    first.subscriber.exclude(board, "NOBODY")
    assert list(board.topics) == ["NOBODY"]
    second.subscriber.exclude(board, "NOBODY")
    assert not board.topics


async def test_everything_includes_symbols_that_appear_later(rig: Rig) -> None:
    client = Client(rig.broker)
    rig.quotes.pin("AAPL")
    assert [topic.symbol for topic in client.subscriber.join_all(rig.quotes, None)] == ["AAPL"]
    assert client.subscriber.join_all(rig.quotes, None) == []
    await rig.publish(quote("MSFT"), trade("MSFT"), quote("AAPL"))
    assert [(m["symbol"], m["type"], m["seq"]) for m in client.take()] == [("MSFT", "quote", 1), ("AAPL", "quote", 1)]


async def test_a_symbol_left_by_name_stays_out_until_it_is_subscribed_again(rig: Rig) -> None:
    client = Client(rig.broker)
    client.subscriber.join_all(rig.quotes, None)
    await rig.publish(quote("AAPL"))
    assert client.subscriber.exclude(rig.quotes, "AAPL")
    assert client.subscriber.exclude(rig.quotes, "LATER")
    assert not client.subscriber.exclude(rig.quotes, "LATER")
    await rig.publish(quote("AAPL"), quote("LATER"), quote("MSFT"))
    assert [m["symbol"] for m in client.take()] == ["AAPL", "MSFT"]
    client.subscribe(rig.quotes, "AAPL", "LATER")
    await rig.publish(quote("AAPL"), quote("LATER"))
    assert [(m["symbol"], m["seq"]) for m in client.take()] == [("AAPL", 3), ("LATER", 2)]


async def test_subscribing_to_everything_again_takes_back_what_was_left_by_name(rig: Rig) -> None:
    client = Client(rig.broker)
    client.subscriber.join_all(rig.quotes, None)
    client.subscriber.exclude(rig.quotes, "AAPL")
    client.subscriber.join_all(rig.quotes, None)
    await rig.publish(quote("AAPL"))
    assert client.seqs() == [1]


async def test_leaving_everything_but_some_keeps_those_without_a_hole(rig: Rig) -> None:
    client = Client(rig.broker)
    client.subscriber.join_all(rig.quotes, None)
    client.subscribe(rig.dataset.boards[TRADES], "AAPL", "MSFT")
    await rig.publish(quote("AAPL"), quote("MSFT"), quote("IBM"))
    client.subscriber.exclude(rig.quotes, "OUT")
    assert client.subscriber.exclusions() == 1
    client.subscriber.leave_all(rig.quotes, ["AAPL", "SOON", "OUT"])
    assert client.subscriber.exclusions() == 0
    await rig.publish(
        quote("AAPL"), quote("MSFT"), quote("LATER"), quote("SOON"), quote("OUT"), trade("MSFT")
    )  # fmt: skip
    assert [(m["type"], m["symbol"], m["seq"]) for m in client.take()] == [
        ("quote", "AAPL", 1), ("quote", "MSFT", 1), ("quote", "IBM", 1), ("quote", "AAPL", 2), ("quote", "SOON", 1),
        ("trade", "MSFT", 1),
    ]  # fmt: skip
    assert client.subscriber.boards == [rig.dataset.boards[TRADES], rig.quotes]


async def test_many_are_included_as_one_by_one(rig: Rig) -> None:
    client = rig.client("AAPL")
    client.subscriber.join_all(rig.quotes, None)
    client.subscriber.exclude(rig.quotes, "OUT")
    topics, fresh = client.subscriber.include_many(rig.quotes, ["AAPL", "OUT", "NEW"], Delivery(1.0))
    assert [topic.symbol for topic in topics] == ["AAPL", "OUT", "NEW"]
    assert fresh == topics[1:]
    assert all(topic.subscribers == {client.subscriber: Delivery(1.0)} for topic in topics)
    assert (set(topics) == set(client.subscriber.topics), client.subscriber.exclusions()) == (True, 0)


async def test_a_topic_whose_past_is_due_is_joined_but_passed_by(rig: Rig) -> None:
    client, other = Client(rig.broker), Client(rig.broker)
    topic, _ = client.subscriber.include(rig.quotes, "WISH", None)
    client.subscriber.fall_behind(topic, CatchUp("epoch-1", 0, None))
    other.subscribe(rig.quotes, "WISH")
    other.subscriber.leave(topic)
    assert rig.quotes.topics == {"WISH": topic}  # it is wanted, and so is not forgotten
    assert rig.dataset.subscribed_topics() == 1
    await rig.publish(quote("WISH"), quote("WISH"))
    assert client.take() == []
    assert client.subscriber.positions([topic]) == {"WISH": 0}
    client.subscriber.catch_up(topic)
    assert client.subscriber.positions([topic]) == {"WISH": 2}
    await rig.publish(quote("WISH"))
    assert client.seqs() == [3]


async def test_options_that_change_meanwhile_hold_from_then_on(rig: Rig) -> None:
    client = rig.client("AAPL")
    topic = rig.quotes.topic("AAPL")
    client.subscriber.fall_behind(topic, CatchUp("another", 7, None))
    assert client.subscriber.include(rig.quotes, "AAPL", Delivery(1.0)) == (topic, False)
    await rig.publish(quote("AAPL"))
    assert client.take() == []
    assert client.subscriber.positions([topic]) == {"AAPL": 1}  # 7 is a number of another epoch
    client.subscriber.catch_up(topic)
    assert topic.subscribers == {client.subscriber: Delivery(1.0)}


async def test_leaving_a_topic_leaves_its_past_too() -> None:
    client, board = Client(make_broker()), make_board()
    topic, _ = client.subscriber.include(board, "AAPL", None)
    client.subscriber.fall_behind(topic, CatchUp("epoch-1", 0, None))
    client.subscriber.leave_everything()
    assert (client.subscriber.behind, board.topics) == ({}, {})


async def test_a_source_at_full_speed_waits_for_who_catches_up_while_it_reads(
    autojump_clock: MockClock, rig: Rig
) -> None:
    client = rig.client("AAPL")
    topic = rig.quotes.topic("AAPL")
    client.subscriber.fall_behind(topic, CatchUp("epoch-1", 0, None))
    client.answer("subscribed")
    await trio.sleep(4)
    client.take()
    with trio.fail_after(6):
        await rig.broker.room()
    assert trio.current_time() == 9  # five seconds after it took something last
    client.answer("its past")
    with trio.move_on_after(1) as scope:
        await rig.broker.room()
    assert scope.cancelled_caught
    client.subscriber.catch_up(topic)
    await rig.broker.room()
    assert trio.current_time() == 10


async def test_boards_are_those_of_which_something_is_subscribed() -> None:
    client, first, second = Client(make_broker()), make_board(), make_board(TRADES)
    assert client.subscriber.boards == []
    client.subscriber.join_all(second, None)
    client.subscribe(first, "AAPL", "MSFT")
    assert client.subscriber.boards == [second, first]
    client.subscriber.leave_all(first, frozenset())
    assert client.subscriber.boards == [second]


async def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    client, first, second = Client(make_broker()), make_board(), make_board(TRADES)
    client.subscriber.join_all(first, None)
    client.subscribe(first, "AAPL")
    client.subscribe(second, "AAPL", delivery=Delivery())
    client.subscriber.leave_everything()
    client.subscriber.leave_everything()
    assert (first.topics, first.wildcards, second.topics) == ({}, {}, {})
    assert symbols(client) == []
