"""Boards: topics are made on demand, joined by every `*` subscription, and forgotten when nobody needs them."""

from __future__ import annotations

from broker.kit import QUOTES, TRADES, Client, make_board, make_broker

from datafye_trio.broker import BoardKey, Delivery
from datafye_trio.model import Channel, Frequency


def test_a_board_has_one_topic_for_each_symbol() -> None:
    board = make_board()
    assert board.topic("AAPL") is board.topic("AAPL")
    assert board.topic("AAPL") is not board.topic("MSFT")
    assert list(board.topics) == ["AAPL", "MSFT"]
    assert (board.topic("AAPL").seq, board.topic("AAPL").latest) == (0, None)


def test_a_key_tells_frequencies_and_running_bars_apart() -> None:
    keys = {
        BoardKey(Channel.AGGREGATES, frequency, running) for frequency in Frequency for running in (False, True)
    } | {QUOTES, TRADES}
    assert len(keys) == 10


async def test_a_new_topic_is_joined_by_every_wildcard_that_does_not_exclude_it() -> None:
    broker, board = make_broker(), make_board()
    clients = [Client(broker) for _ in range(3)]
    delivery = Delivery(2.0)
    clients[0].subscriber.join_all(board, None)
    clients[1].subscriber.join_all(board, delivery)
    clients[1].subscriber.exclude(board, "MSFT")
    assert board.pin("AAPL").subscribers == {clients[0].subscriber: None, clients[1].subscriber: delivery}
    assert board.pin("MSFT").subscribers == {clients[0].subscriber: None}


async def test_what_is_only_asked_for_is_no_topic_of_a_star_until_there_is_such_a_symbol() -> None:
    """Whoever asked for 50,000 symbols that nobody has heard of filled up every `*`, and they stayed when it left."""
    broker, board = make_broker(), make_board()
    before, asking, after = (Client(broker) for _ in range(3))
    before.subscriber.join_all(board, None)
    asking.subscribe(board, "AAPL", "MSFT")
    assert after.subscriber.join_all(board, Delivery(1.0)) == []
    after.subscribe(board, "MSFT")
    assert board.pin("AAPL").subscribers == {
        asking.subscriber: None, before.subscriber: None, after.subscriber: Delivery(1.0),
    }  # fmt: skip
    assert board.pin("MSFT").subscribers == dict.fromkeys(c.subscriber for c in (asking, after, before))  # as asked
    asking.subscriber.leave_everything()
    assert board.topic("NONE").subscribers == {}
    board.forget_unjoined(["NONE", "AAPL", "OTHER"])
    assert list(board.topics) == ["AAPL", "MSFT"]


def test_an_unused_topic_is_forgotten_a_pinned_one_is_not() -> None:
    board = make_board()
    board.topic("AAPL").pinned = True
    for symbol in ("AAPL", "MSFT"):
        board.forget_unused(board.topic(symbol))
    assert list(board.topics) == ["AAPL"]


async def test_a_topic_with_a_subscriber_is_not_forgotten() -> None:
    board = make_board()
    Client(make_broker()).subscribe(board, "AAPL")
    board.forget_unused(board.topic("AAPL"))
    assert list(board.topics) == ["AAPL"]
