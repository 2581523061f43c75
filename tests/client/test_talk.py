"""The conversation on a connection: greeting, heartbeats, what cannot be understood."""

from __future__ import annotations

import json

import pytest
from client.playing import A, asked, exchange, playing, publish, reader

from datafye_trio.errors import DisconnectedError


def test_nothing_is_asked_before_the_greeting() -> None:
    game = playing(connect=False)
    reader(game, "A")
    game.connect()
    assert not game.talk.greeted
    assert not game.talk.settled
    assert not game.talk.has_outgoing
    assert game.talk.heartbeat_interval is None
    assert asked(game) == []
    game.deliver(1)
    assert game.talk.greeted
    assert game.talk.heartbeat_interval == 10.0
    assert game.talk.has_outgoing
    assert len(asked(game)) == 1
    assert game.talk.unanswered


def test_heartbeats_are_answered_ahead_of_requests_and_forgotten_by_a_new_connection() -> None:
    game = playing()
    reader(game, "A")
    assert game.talk.lag == 0
    for stamp in (5, 6):
        game.server.tell(type="heartbeat", timestamp=stamp, lag=stamp, sent=0)
    game.deliver(2)
    assert game.talk.heartbeats == 2
    assert game.talk.heartbeat is not None
    assert game.talk.heartbeat.timestamp == game.talk.lag == 6
    game.ask()
    texts = [json.loads(text) for text in game.server.to_server]
    assert texts[:2] == [{"action": "pong", "timestamp": 5}, {"action": "pong", "timestamp": 6}]
    assert texts[2]["action"] == "subscribe"
    game.server.tell(type="heartbeat", timestamp=7, lag=0, sent=0)
    game.deliver(1)
    game.cut()
    game.connect()
    assert (game.talk.heartbeats, game.talk.heartbeat, game.talk.outgoing()) == (0, None, [])


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"comes in version 2"}',
        '{"type":"trade","symbol":"A"}',
        "[]",
        # Sound but for its time, which in nanoseconds has no place in 64 bits.
        json.dumps({"type": "trade", "symbol": "A", "dataset": "SIP", "assetClass": "stocks", "tradePrice": 1.0})[:-1]
        + ',"seq":1,"exchangeTimestamp":9223372036854775808,"exchangeID":"X","tradeID":"1","tradeSize":1}',
        json.dumps({"type": "trade", "symbol": "A", "dataset": "SIP", "assetClass": "stocks", "tradePrice": 1.0})[:-1]
        + ',"exchangeTimestamp":1,"exchangeID":"X","tradeID":"1","tradeSize":1}',
    ],
)
def test_what_cannot_be_understood_is_counted(text: str) -> None:
    game = playing()
    reader(game, "A")
    exchange(game)
    game.talk.take([text, text.encode()])
    assert game.talk.unreadable == 2
    publish(game, A)
    exchange(game)
    assert len(game.readers[0].buffer) == 1


@pytest.mark.parametrize("payload", ["{", b"\xff\xfe", "", '{"type":'])
def test_no_json_ends_the_connection_for_good(payload: str | bytes) -> None:
    game = playing()
    with pytest.raises(DisconnectedError, match="no sound JSON") as caught:
        game.talk.take([payload])
    assert not caught.value.retryable


def test_a_unit_of_time_that_is_not_known_ends_the_connection_for_good() -> None:
    game = playing()
    game.server.connect()
    text = game.server.to_client.popleft()
    with pytest.raises(DisconnectedError, match="'fortnights': ns, us and ms are known"):
        game.talk.take([text.replace('"ns"', '"fortnights"')])


def test_times_in_the_unit_of_the_server() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    game.cut()
    game.connect()
    game.server.to_client[0] = game.server.to_client[0].replace('"ns"', '"ms"')
    game.deliver(1)
    publish(game, A)
    exchange(game)
    assert one.buffer.pop().exchange_timestamp == 1_000_000


def test_messages_of_no_use_are_passed_by() -> None:
    game = playing()
    game.server.tell(type="pong", timestamp=1)
    game.server.tell(type="subscriptions", subscriptions=[], id=1)
    game.deliver(2)
    assert game.talk.unreadable == 0
    assert game.talk.settled


def test_limits_that_cannot_be_kept_are_not_believed() -> None:
    game = playing(requestBytes=1, symbolsPerRequest=0)
    assert game.talk.line.budget.bytes == 4_096
    assert game.talk.line.budget.symbols == 1
    game.cut()
    assert game.talk.line.budget.symbols == 10_000
