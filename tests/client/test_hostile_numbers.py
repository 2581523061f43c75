"""Numbers that no server of this protocol says: none of them may move a topic, and none goes by unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from client.judged import Game
from client.playing import A, exchange, items, publish, reader, topic
from client.simulated import data


def joined(*, raw: bool = False) -> tuple[Game, Any]:
    game = Game(raw=raw)
    game.connect()
    game.deliver(1)
    one = reader(game, "A", capacity=100)
    exchange(game)
    return game, one


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("seq", [0, -1, -(2**63), 0.0, False, None, "3", 2**63])
def test_a_seq_that_is_none_moves_nothing(raw: bool, seq: Any) -> None:
    game, one = joined(raw=raw)
    publish(game, A, 3)
    game.deliver(10)
    game.server.publish(A, skip=True)
    game.server.publish(A)
    game.deliver(10)  # a hole: no message may take the fast way now
    before = topic(game, A).entry()
    game.talk.take([json.dumps(data(A, 1, 1) | {"seq": seq})])
    assert topic(game, A).entry() == before
    assert game.talk.unreadable == 1
    game.settle()
    assert items(one) == []
    assert one.places["trades", "A"].seq == 5


@pytest.mark.parametrize(("first", "last"), [(9, 4), (0, 3), (-5, 2), (-9, -1), (2**63 - 1, 1)])
def test_a_gap_that_is_none_moves_nothing(first: int, last: int) -> None:
    game, one = joined()
    publish(game, A, 3)
    game.deliver(10)
    game.server.tell_gap(A, "slow_consumer", **{"from": first, "to": last})
    game.deliver(10)
    assert game.talk.unreadable == 1
    publish(game, A, 2)
    game.deliver(10)
    assert items(one) == [1, 2, 3, 4, 5]


def test_a_place_that_is_none_is_no_answer() -> None:
    game = Game()
    game.connect()
    game.deliver(1)
    one = reader(game, "A")
    game.ask()
    game.server.topics[A].head = -5
    game.serve(1)
    game.deliver(1)
    assert game.talk.unreadable == 1
    assert game.talk.unanswered  # and the link ends the connection for it
    assert topic(game, A) in one.sink.pending


@pytest.mark.unmeasured
def test_ten_thousand_heartbeats_at_once_cost_a_handful_of_answers() -> None:
    game, _ = joined()
    beats = [json.dumps({"type": "heartbeat", "timestamp": n, "lag": 0, "sent": 0}) for n in range(10_000)]
    game.talk.take(beats)
    pongs = [json.loads(text)["timestamp"] for text in game.talk.outgoing()]
    assert pongs == [*range(9_992, 10_000)]
    assert game.talk.heartbeats == 10_000
