"""Answers: refusals, requests that are put off, and answers that fit nothing."""

from __future__ import annotations

import json

import pytest
from client.judged import Game
from client.playing import A, B, asked, exchange, playing, publish, reader, refuse
from client.simulated import BOGUS

from datafye_trio.errors import DisconnectedError, SubscriptionError


def test_a_refused_symbol_that_two_have_named() -> None:
    game = playing()
    one, two = reader(game, "A", BOGUS), reader(game, BOGUS, "B")
    exchange(game)
    for each in (one, two):
        assert [refusal.symbols for refusal in each.sink.refusals] == [(BOGUS,)]
        assert not each.sink.pending
    assert [key.symbol for key in game.talk.book.ledger()] == ["A", "B"]
    game.finish()


def test_a_refused_symbol_is_refused_beside_every_symbol_too() -> None:
    game = playing()
    one, _ = reader(game, BOGUS), reader(game, "*")
    game.settle()
    assert [refusal.symbols for refusal in one.sink.refusals] == [(BOGUS,)]
    game.finish()


def test_refused_after_a_reconnection_it_ends_unless_it_takes_what_it_gets() -> None:
    game = playing()
    strict, lenient, other = reader(game, "A"), reader(game, "A", "B"), reader(game, "*")
    strict.sink.partial = False
    game.settle()
    publish(game, A)
    publish(game, B)
    game.settle()
    game.cut()
    game.connect()
    game.deliver(1)
    (request,) = asked(game)
    assert request["resume"]["positions"] == {"A": 1, "B": 1}
    refuse(game, request["id"], symbols=["A"])
    with pytest.raises(SubscriptionError):
        raise strict.sink.failure or AssertionError
    assert lenient.sink.failure is None
    assert other.sink.failure is None
    # A symbol that the server does not have is asked for once, and not for ever.
    assert all("A" not in request["symbols"] for request in asked(game))


def test_every_symbol_may_be_refused() -> None:
    game = playing()
    one, other = reader(game, "*"), reader(game, "A")
    game.settle()
    game.cut()
    game.connect()
    game.deliver(1)
    (request,) = asked(game)
    refuse(game, request["id"], "SUBSCRIPTION_LIMIT", symbols=["*"])
    assert [refusal.symbols for refusal in one.sink.refusals] == [("*",)]
    assert not one.sink.stars
    assert not one.sink.topics
    assert not other.sink.refusals
    assert asked(game)[0]["symbols"] == ["A"]


def test_a_refusal_without_symbols_is_of_all_that_is_left() -> None:
    game = playing()
    one = reader(game, "A", "B")
    game.ask()
    refuse(game, 1, "CHANNEL_NOT_AVAILABLE")
    assert [refusal.symbols for refusal in one.sink.refusals] == [()]
    assert not one.sink.topics
    refuse(game, 1)  # of what is answered already
    refuse(game, "x")  # type: ignore[arg-type]  # of nobody's
    assert asked(game) == []
    assert game.talk.settled


def test_put_off_it_is_asked_again() -> None:
    game = playing()
    reader(game, "A", "B")
    reader(game, "*", channel="quotes")
    game.ask()
    game.server.to_server.clear()
    for number, more in ((1, {"symbols": ["B"]}), (2, {})):
        refuse(game, number, "RATE_LIMITED", retryable=True, **more)
    assert game.talk.put_off
    assert not game.talk.settled
    assert not game.talk.has_outgoing
    assert asked(game) == []
    game.try_again()
    assert [request["symbols"] for request in asked(game)] == [["B"], ["*"]]


@pytest.mark.parametrize("symbol", ["A", "*"])
def test_an_unsubscribe_that_is_put_off_is_asked_again(symbol: str) -> None:
    game = playing()
    one = reader(game, symbol)
    game.settle()
    publish(game, A)
    game.settle()
    one.leave()
    game.ask()
    other = reader(game, symbol)
    number = json.loads(game.server.to_server[0])["id"]
    refuse(game, number, "RATE_LIMITED", retryable=True)
    assert not other.sink.pending
    publish(game, A)
    game.finish()
    other.leave()
    game.finish()


def test_an_unsubscribe_of_what_was_not_subscribed_is_done() -> None:
    game = playing()
    reader(game, "A").game.readers[0].take(0)
    exchange(game)
    game.readers[0].leave()
    game.ask()
    refuse(game, 2, "NOT_SUBSCRIBED", symbols=["A"])
    assert asked(game) == []
    assert game.talk.settled
    assert game.talk.book.ledger() == {}


def test_answers_of_the_wrong_kind_are_left_alone() -> None:
    game = playing()
    reader(game, "A")
    game.ask()
    fields = {"dataset": "SIP", "assetClass": "stocks", "channels": ["trades"], "symbols": ["A"], "epoch": "e1"}
    for kind in ("subscribed", "unsubscribed"):
        for number in ("x", 7):
            game.server.tell(type=kind, id=number, total=1, **fields)
    game.server.tell(type="unsubscribed", id=1, total=1, **fields)
    game.deliver(10)
    assert game.talk.unanswered
    game.finish()


def test_what_the_server_takes_back_unasked_is_asked_for_again_and_then_refused() -> None:
    game = playing()
    one, other = reader(game, "A", "B"), reader(game, "B")
    game.settle()
    publish(game, A)
    publish(game, B)
    game.settle()
    refuse(game, None, symbols=["A", "NONE"])
    (leave,) = asked(game)
    assert (leave["action"], leave["symbols"]) == ("unsubscribe", ["A"])
    refuse(game, leave["id"], "NOT_SUBSCRIBED", symbols=["A"])
    (again,) = asked(game)
    assert (again["action"], again["resume"]["positions"]) == ("subscribe", {"A": 1})
    refuse(game, again["id"], symbols=["A"])
    assert [refusal.symbols for refusal in one.sink.refusals] == [("A",)]
    assert not other.sink.refusals
    assert asked(game) == []
    refuse(game, None)  # of nothing
    refuse(game, None, symbols=["A"])
    assert asked(game) == []


def test_every_symbol_taken_back_is_a_reason_to_connect_again() -> None:
    game = playing()
    reader(game, "*")
    game.settle()
    with pytest.raises(DisconnectedError, match="every symbol no longer") as caught:
        refuse(game, None, symbols=["*"])
    assert caught.value.retryable


def test_every_symbol_taken_back_while_it_is_left_takes_what_was_to_stay() -> None:
    game = playing()
    star, _ = reader(game, "*"), reader(game, "A")
    publish(game, A)
    game.settle()
    star.leave()
    assert asked(game)[0]["except"] == ["A"]
    with pytest.raises(DisconnectedError, match="every symbol no longer"):
        refuse(game, None, symbols=["*"])


def test_a_server_that_unsubscribes_more_than_was_meant_is_found_out() -> None:
    """By its `total`: what it has taken along would never come, without a word."""
    game = playing()
    one, two = reader(game, "A"), reader(game, "*", channel="quotes")
    publish(game, ("quotes", "B"))
    game.settle()
    publish(game, ("quotes", "B"))
    game.settle()
    one.leave()
    game.ask()
    game.server.sent.clear()
    game.server.stars.clear()
    game.serve(1)
    with pytest.raises(DisconnectedError, match="0 topics subscribed, and 1 were to stay") as caught:
        game.deliver(10)
    assert caught.value.retryable
    game.cut()
    publish(game, ("quotes", "B"), 2)
    game.finish()
    assert two.places["quotes", "B"].seq == game.server.topics["quotes", "B"].head


def test_a_server_that_counts_otherwise_is_believed_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    game = playing()
    readers = [reader(game, symbol) for symbol in "ABC"]
    game.settle()
    readers[0].leave()
    answer(game)
    with pytest.raises(DisconnectedError, match="0 topics subscribed, and 2 were to stay"):
        game.deliver(10)
    game.cut()
    game.settle()
    readers[1].leave()
    answer(game)
    game.deliver(10)
    game.finish()
    assert "the server counts otherwise than we do" in caplog.text


def answer(game: Game) -> None:
    """As asked, but for the `total`."""
    game.ask()
    game.serve(1)
    game.server.to_client.append(game.server.to_client.pop().replace('"total": ', '"total": 0, "indeed": '))
