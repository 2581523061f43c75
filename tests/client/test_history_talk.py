"""The conversation about stored data, message by message: grants, counting off after a cut, broken rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import START_NS, trade

from datafye_trio import AssetClass, Channel, DisconnectedError, FeedError, SubscriptionError
from datafye_trio.client.decoding import TypedIntake
from datafye_trio.client.history_query import HistoryQuery
from datafye_trio.client.history_talk import HistoryTalk

QUERY = HistoryQuery("Stored", AssetClass.STOCKS, ("AAPL",), Channel.TRADES, None, START_NS, START_NS + 10**9, window=8)
GREETING = {
    "type": "connected", "connectionId": "c", "protocol": 1, "timestampUnit": "ns", "heartbeatInterval": 10.0,
    "heartbeatTimeout": 30.0, "datasets": [], "limits": {}, "timestamp": START_NS,
}  # fmt: skip
START = {"type": "stream_start", "stream": 1, "symbols": ["AAPL"]}


def event(n: int, stream: int = 1) -> dict[str, Any]:
    return {
        "type": "trade", "dataset": "Stored", "assetClass": "stocks", "stream": stream, "symbol": "AAPL",
        "exchangeTimestamp": START_NS + n, "exchangeID": "XNAS", "tradeID": str(n), "tradePrice": 100.0 + n / 100,
        "tradeSize": 10,
    }  # fmt: skip


def end(count: int, reason: str = "complete") -> dict[str, Any]:
    return {"type": "stream_end", "stream": 1, "symbols": ["AAPL"], "count": count, "reason": reason}


def error(code: str, *, retryable: bool = False, number: int = 1) -> dict[str, Any]:
    return {"type": "error", "code": code, "message": "no", "retryable": retryable, "id": number}


def take(talk: HistoryTalk, *messages: dict[str, Any] | str) -> None:
    talk.take([one if isinstance(one, str) else json.dumps(one) for one in messages])


def sent(talk: HistoryTalk) -> list[dict[str, Any]]:
    return [json.loads(text) for text in talk.outgoing()]


def opened(talk: HistoryTalk | None = None) -> HistoryTalk:
    """A talk whose stream has been asked for."""
    talk = talk or HistoryTalk(TypedIntake(), QUERY)
    talk.begin()
    assert not talk.has_outgoing
    take(talk, GREETING)
    assert talk.greeted
    assert talk.heartbeat_interval == 10
    (request,) = sent(talk)
    assert request["action"] == "start"
    assert talk.settled
    return talk


def test_what_is_asked() -> None:
    talk = HistoryTalk(TypedIntake(), QUERY)
    talk.begin()
    assert talk.heartbeat_interval is None
    take(talk, GREETING)
    (request,) = sent(talk)
    assert request == {
        "action": "start", "id": 1, "symbols": ["AAPL"], "channel": "trades", "frequency": "Tick", "dataset": "Stored",
        "from": "2023-11-14T22:13:20.000000000Z", "to": "2023-11-14T22:13:21.000000000Z", "window": 8,
    }  # fmt: skip
    assert not talk.has_outgoing


def test_more_is_granted_as_events_are_taken() -> None:
    talk = opened()
    take(talk, START, *map(event, range(8)))
    assert talk.begun
    assert [talk.pop() for _ in range(3)] == [trade("AAPL", n) for n in range(3)]
    assert not talk.has_outgoing
    talk.pop()
    assert sent(talk) == [{"action": "more", "id": 1, "count": 4}]
    take(talk, *map(event, range(8, 12)), end(12))
    assert len(talk.items) == 8
    assert talk.complete
    assert talk.over


def test_more_than_was_granted_is_an_error() -> None:
    talk = opened()
    with pytest.raises(DisconnectedError, match="more stored data than it was granted") as raised:
        take(talk, *map(event, range(9)))
    assert not raised.value.retryable
    assert len(talk.items) == 8


def test_events_of_another_stream_are_not_ours() -> None:
    talk = opened()
    take(talk, event(1, stream=2), event(2))
    assert list(talk.items) == [trade("AAPL", 2)]


@pytest.mark.parametrize(
    "last",
    [
        end(1),
        end(2, "stopped"),
        "no json",
        event(3) | {"tradePrice": "x"},
        event(3) | {"tradeSize": 2**70},
        '{"type":"trade","n":1' + "0" * 5_000 + "}",
    ],
)
def test_a_server_that_breaks_the_rules(last: Any) -> None:
    talk = opened()
    take(talk, event(1), event(2))
    with pytest.raises(DisconnectedError) as raised:
        take(talk, last)
    assert not raised.value.retryable
    assert len(talk.items) == 2


def test_a_unit_that_nobody_knows() -> None:
    talk = HistoryTalk(TypedIntake(), QUERY)
    talk.begin()
    with pytest.raises(DisconnectedError, match="fortnights"):
        take(talk, GREETING | {"timestampUnit": "fortnights"})


def test_a_flood_of_heartbeats_is_answered_by_its_newest() -> None:
    talk = opened()
    take(talk, *({"type": "heartbeat", "timestamp": stamp, "lag": 0, "sent": 0} for stamp in range(1_000)))
    assert [pong["timestamp"] for pong in sent(talk)] == list(range(992, 1_000))
    assert talk.heartbeats == 1_000


def test_heartbeats_are_answered_first() -> None:
    talk = HistoryTalk(TypedIntake(), QUERY)
    talk.begin()
    take(talk, GREETING, {"type": "heartbeat", "timestamp": 7, "lag": 0, "sent": 0})
    assert talk.has_outgoing
    pong, start = sent(talk)
    assert pong == {"action": "pong", "timestamp": 7}
    assert start["action"] == "start"
    assert talk.heartbeats == 1


def test_what_says_nothing_of_the_stream_changes_nothing() -> None:
    talk = opened()
    take(talk, {"type": "pong", "timestamp": 1}, error("RATE_LIMITED", number=2), {"type": "new", "stream": 1}, "[1]")
    assert not talk.over
    assert not talk.items


def test_asked_again_after_a_while_where_the_server_wants_that() -> None:
    talk = opened()
    take(talk, error("RATE_LIMITED", retryable=True))
    assert talk.put_off
    assert not talk.has_outgoing
    talk.try_again()
    (request,) = sent(talk)
    assert request["action"] == "start"


def test_refused() -> None:
    talk = opened()
    take(talk, error("NO_DATA"), event(1))
    assert isinstance(talk.failure, SubscriptionError)
    assert not talk.items  # what comes behind the end is not taken
    take(talk, event(1))
    assert not talk.items
    talk.fail(FeedError("later"))
    assert talk.failure.code == "NO_DATA"


def test_a_stream_error() -> None:
    talk = opened()
    take(talk, {"type": "stream_error", "stream": 1, "symbols": [], "code": "INTERNAL", "message": "broken"})
    assert isinstance(talk.failure, SubscriptionError)


def test_fewer_than_before() -> None:
    talk = opened()
    take(talk, *map(event, range(4)))
    talk.cut()
    opened(talk)
    take(talk, error("NO_DATA"))
    assert "not what it was" in str(talk.failure)


def test_what_was_received_is_skipped_but_for_the_last_event() -> None:
    talk = opened()
    take(talk, START, *map(event, range(4)))
    talk.cut()
    talk.begin()
    take(talk, GREETING)
    assert [request["skip"] for request in sent(talk)] == [3]
    take(talk, START, event(3), event(4), end(2))
    assert list(talk.items) == [trade("AAPL", n) for n in range(5)]
    assert talk.repeated == 1
    assert talk.complete


def test_behind_a_change_nothing_is_taken() -> None:
    talk = opened()
    take(talk, *map(event, range(2)))
    talk.cut()
    opened(talk)
    take(talk, event(5), event(6), end(2))
    assert "not what it was" in str(talk.failure)
    assert not talk.complete
    assert len(talk.items) == 2


def test_a_server_that_cannot_skip_and_has_less_than_before() -> None:
    talk = opened()
    take(talk, *map(event, range(4)))
    talk.cut()
    opened(talk)
    take(talk, START | {"ignored": ["skip"]}, event(0), end(1))
    assert "not what it was" in str(talk.failure)


@pytest.mark.unmeasured
@given(st.lists(st.sampled_from(["send", "pop", "cut"]), max_size=120), st.integers(1, 9), st.booleans())
def test_whatever_happens_no_more_waits_than_the_window_and_all_comes_once(
    steps: list[str], window: int, skips: bool
) -> None:
    query = HistoryQuery("Stored", AssetClass.STOCKS, ("AAPL",), Channel.TRADES, None, 0, 1, window=window)
    talk = HistoryTalk(TypedIntake(), query)
    got: list[Any] = []
    place = granted = 0

    def exchange() -> None:
        nonlocal place, granted
        for request in sent(talk):
            if request["action"] == "start":
                place, granted = request.get("skip", 0) if skips else 0, request["window"]
                take(talk, START | ({} if skips else {"ignored": ["skip"]}))
            else:
                granted += request["count"]

    def connect() -> None:
        nonlocal granted
        granted = 0
        talk.begin()
        take(talk, GREETING)
        exchange()

    connect()
    for step in [*steps, *["send", "pop"] * 300]:
        if step == "cut":
            talk.cut()
            connect()
        elif step == "pop" and talk.items:
            got.append(talk.pop())
        elif step == "send" and granted and place < 50:
            take(talk, event(place))
            place, granted = place + 1, granted - 1
        exchange()
        assert len(talk.items) <= window
    assert got == [trade("AAPL", n) for n in range(50)]


def test_the_end_of_another_stream_is_not_the_end_of_ours() -> None:
    """It was: a stream that had not begun was over, complete and empty."""
    talk = opened()
    wrong = {"type": "stream_error", "stream": 9, "symbols": ["AAPL"], "code": "INTERNAL", "message": "no"}
    take(talk, START | {"stream": 9}, end(0) | {"stream": 9}, wrong)
    assert not talk.begun
    assert not talk.over
    take(talk, START, event(1), end(1))
    assert (talk.begun, talk.complete, len(talk.items)) == (True, True, 1)
