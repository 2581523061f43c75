"""The conversation on a connection: greeting, heartbeats, what cannot be understood."""

from __future__ import annotations

import json

import pytest
from client.playing import A, asked, exchange, playing, publish, reader
from client.simulated import data

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


@pytest.mark.parametrize("payload", ["{", "", '{"type":'])
def test_no_json_ends_the_connection_for_good(payload: str | bytes) -> None:
    game = playing()
    with pytest.raises(DisconnectedError, match="no sound JSON") as caught:
        game.talk.take([payload])
    assert not caught.value.retryable


def test_text_that_is_no_utf_8_ends_the_connection_for_good() -> None:
    """RFC 6455 section 8.1. It was counted, and a topic without a later message lost one in silence."""
    game = playing()
    reader(game, "A")
    exchange(game)
    text = json.dumps(data(A, 1, 1) | {"tradeID": "x"}).encode()
    for payload in (text.replace(b'"x"', b'"\xff"'), b'{"type":"heartbeat","timestamp":1,"lag":0,"sent":0,"x":"\xff"}'):
        with pytest.raises(DisconnectedError, match="no UTF-8: invalid start byte at byte") as caught:
            game.talk.take([payload])
        assert (caught.value.code, caught.value.retryable) == (1007, False)


def test_another_version_of_the_protocol_ends_the_connection_for_good() -> None:
    game = playing()
    game.server.connect()
    text = game.server.to_client.popleft()
    with pytest.raises(DisconnectedError, match="version 2 of the protocol, and this client version 1") as caught:
        game.talk.take([text.replace('"protocol": 1', '"protocol": 2')])
    assert not caught.value.retryable


def test_refusals_of_what_was_not_asked_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    game = playing()
    for _ in range(1_000):
        game.server.tell(type="error", code="INTERNAL", message="no", retryable=True, id=99)
    game.deliver(1_000)
    assert len(caplog.records) == 4  # the 1st, the 10th, the 100th, the 1,000th


def test_a_gap_of_an_unknown_channel_is_none_of_quotes() -> None:
    game = playing()
    one = reader(game, "A", channel="quotes")
    exchange(game)
    game.server.tell_gap(("news", "A"), "slow_consumer", **{"from": 1, "to": 5})
    game.deliver(1)
    assert len(one.buffer) == 0


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
