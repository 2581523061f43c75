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
    assert board.topic("AAPL").subscribers == {clients[0].subscriber: None, clients[1].subscriber: delivery}
    assert board.topic("MSFT").subscribers == {clients[0].subscriber: None}


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
