"""Subscriptions that come, go, fill up and read on, and what finds its topic."""

from __future__ import annotations

import pytest
from client.judged import STOCKS
from client.playing import A, B, asked, exchange, items, playing, publish, reader, topic
from client.simulated import data

from datafye_trio.client.board import BoardKey
from datafye_trio.client.topic import Wire
from datafye_trio.errors import FeedClosedError
from datafye_trio.model import AssetClass, Channel, Frequency


def test_two_subscriptions_to_a_topic_cost_one_on_the_wire() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    two = reader(game, "A")
    assert asked(game) == []
    publish(game, A)
    exchange(game)
    one.leave()
    assert asked(game) == []
    two.leave()
    assert [request["action"] for request in asked(game)] == ["unsubscribe"]
    game.finish()
    assert game.talk.book.ledger() == {}


def test_the_last_one_leaves_and_another_comes_at_once() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    publish(game, A, 3)
    exchange(game)
    one.leave()
    game.ask()
    two = reader(game, "A")
    publish(game, A, 2)
    exchange(game)
    assert asked(game)[0]["resume"] == {"epoch": "e1", "positions": {"A": 3}}
    exchange(game)
    assert items(two) == [4, 5]


def test_a_full_subscription_does_not_hold_up_one_that_reads() -> None:
    game = playing()
    slow, quick = reader(game, "A", capacity=2), reader(game, "A", capacity=100)
    exchange(game)
    publish(game, A, 10)
    exchange(game)
    assert slow.sink.paused
    assert asked(game) == []
    assert items(quick) == list(range(1, 11))
    slow.take(2)
    game.finish()
    assert slow.sink.pauses > 1


def test_what_nobody_reads_is_taken_off_the_wire_and_resumed() -> None:
    game = playing()
    slow = reader(game, "A", capacity=2)
    exchange(game)
    publish(game, A, 5)
    exchange(game)
    exchange(game)
    assert game.server.sent == set()
    slow.take(2)
    assert asked(game)[0]["resume"]["positions"] == {"A": 2}
    game.finish()


def test_a_symbol_added_to_a_full_subscription_is_answered() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    publish(game, A, 2)
    exchange(game)
    slow.add("B")
    assert slow.sink.pending
    exchange(game)
    exchange(game)
    assert slow.sink.paused
    assert not slow.sink.pending
    game.finish()


def test_a_known_symbol_added_to_a_full_subscription_waits_for_nobody() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    reader(game, "B", capacity=1)
    exchange(game)
    publish(game, A, 2)
    publish(game, B, 2)
    exchange(game)
    exchange(game)
    slow.add("B")
    assert not slow.sink.pending
    game.finish()


def test_full_while_joining() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    slow.add("B")
    game.ask()
    game.serve(1)
    publish(game, A, 2)
    game.talk.book.pause(slow.sink)  # as if it were full
    game.deliver(100)
    assert topic(game, B).parked == {slow.sink: 0}
    game.talk.book.unpause(slow.sink)
    game.finish()


def test_room_again_before_the_server_has_let_go() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    publish(game, A, 3)
    exchange(game)
    game.ask()
    assert topic(game, A).wire is Wire.LEAVING
    slow.take(1)
    publish(game, A)
    game.finish()


def test_a_symbol_added_while_disconnected() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    game.cut()
    one.add("B")
    publish(game, A, 2)
    assert asked(game) == []
    game.connect()
    game.deliver(1)
    requests = asked(game)
    assert [request.get("resume") for request in requests] == [None, {"epoch": "e1", "positions": {"A": 0}}]
    game.finish()


def test_bars_of_two_frequencies_and_a_gap_of_one() -> None:
    game = playing()
    one = reader(game, "A")
    minute = BoardKey("SIP", Channel.AGGREGATES, Frequency.MINUTE)
    second = BoardKey("SIP", Channel.AGGREGATES, Frequency.SECOND, running=True)
    game.talk.book.attach(one.sink, [(minute, STOCKS), (second, STOCKS)], ["A"])
    requests = asked(game)
    game.server.to_server.clear()
    assert [(each.get("frequency"), each.get("running")) for each in requests[1:]] == [
        ("Minute", None),
        ("Second", True),
    ]
    answer = {"dataset": "SIP", "assetClass": "stocks", "channels": ["aggregates"], "symbols": ["A"], "total": 1}
    for request in requests[1:]:
        game.server.tell(type="subscribed", id=request["id"], epoch="e", positions={"aggregates": {"A": 7}}, **answer)
    gap = {"dataset": "SIP", "assetClass": "stocks", "channel": "aggregates", "symbol": "A", "epoch": "e"}
    told = {"frequency": "Second", "running": True, "reason": "new_reason", "from": 8, "to": 9}
    game.server.tell(type="gap", **gap, **told)
    game.server.tell(type="gap", **(gap | {"channel": "unheard of"}), **told)
    game.deliver(10)
    assert items(one, judged=False) == [(8, 9, "unexplained")]
    assert game.talk.book.boards[minute].topics["A"].missing == 0


def test_a_star_that_is_asked_for_again_and_taken_back_keeps_what_it_was() -> None:
    """While disconnected, as if it were new: then it was gone altogether."""
    game = playing()
    one = reader(game, "*")
    publish(game, A)
    game.settle()
    game.cut()
    one.add("*")
    game.talk.book.take_back(one.sink)
    publish(game, A)
    game.finish()


def test_a_symbol_that_was_taken_out_of_a_star_and_whose_adding_is_taken_back_stays_out() -> None:
    game = playing()
    one = reader(game, "*")
    publish(game, A)
    game.settle()
    one.remove("A")
    game.settle()
    game.talk.book.attach(one.sink, [(BoardKey("SIP", Channel.TRADES), STOCKS)], ["A"])
    game.talk.book.take_back(one.sink)
    game.cut()
    publish(game, A)
    game.finish()
    assert A not in one.places


@pytest.mark.parametrize("by", ["gap", "answer"])
def test_what_a_star_brings_is_of_the_epoch_that_its_dataset_has_by_then(by: str) -> None:
    """It had brought nothing when the numbering began anew: its first topic was of the old life, for who came back."""
    game = playing()
    reader(game, "*")
    if by == "gap":
        reader(game, "A", channel="quotes")
    exchange(game)
    game.server.renew()
    if by == "answer":
        reader(game, "A", channel="quotes")
    exchange(game)
    publish(game, B)
    game.deliver(10)
    assert topic(game, B).epoch == "e2"
    game.cut()
    game.connect()
    game.settle()
    assert topic(game, B).restarts == 0
    game.finish()


@pytest.mark.parametrize("channel", [None, "trades", "quotes"])
def test_a_halt_belongs_to_the_channel_that_it_names_or_fits(channel: str | None) -> None:
    game = playing()
    trades, quotes = reader(game, "A"), reader(game, "A", channel="quotes")
    publish(game, ("quotes", "A"), 3)
    exchange(game)
    halt = {"type": "halt", "symbol": "A", "timestamp": 1, "reason": "x", "dataset": "SIP", "assetClass": "stocks"}
    more = {} if channel is None else {"channel": channel}
    game.server.tell(**halt, seq=1 if channel == "trades" else 4, **more)
    game.server.tell(**(halt | {"symbol": "Z"}), seq=1)
    game.deliver(10)
    waiting = len(trades.buffer), sum(not hasattr(quotes.buffer.pop(), "bid_size") for _ in range(len(quotes.buffer)))
    assert waiting == ((1, 0) if channel == "trades" else (0, 1))


def test_what_belongs_to_nobody_is_passed_by() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    game.server.tell(**(data(("quotes", "A"), 1, 1)))
    game.server.tell(**(data(A, 1, 1) | {"dataset": "other"}))
    game.server.tell(**(data(B, 1, 1)))
    game.server.tell_gap(B, "expired", **{"from": 1, "to": 2})
    game.deliver(10)
    assert len(one.buffer) == 0


def test_a_feed_that_ends_tells_all() -> None:
    game = playing()
    one, two = reader(game, "A"), reader(game, "B")
    game.talk.book.fail(FeedClosedError("closed"))
    game.talk.book.fail(FeedClosedError("again"))
    assert str(one.sink.failure) == str(two.sink.failure) == "closed"


def test_attaching_twice_and_leaving_twice_are_once() -> None:
    game = playing()
    one = reader(game, "A", "A")
    one.add("A")
    exchange(game)
    assert topic(game, A).live == [one.sink]
    one.remove("B")
    one.leave()
    game.talk.book.detach(one.sink)
    game.finish()


def test_the_newest_quote_is_shown_to_who_comes_later() -> None:
    game = playing()
    key = ("quotes", "A")
    publish(game, key)
    reader(game, "A", channel="quotes")
    exchange(game)
    two = reader(game, "A", channel="quotes")
    assert two.buffer.pop().bid_size == 1
    game.open("quotes", ("A",), "wait", 8, snapshots=False)
    assert not len(game.readers[-1].buffer)
    publish(game, key)
    game.finish()


def test_an_asset_class_is_that_of_the_board() -> None:
    game = playing()
    one = reader(game)
    game.talk.book.attach(one.sink, [(BoardKey("Crypto", Channel.TRADES), AssetClass.CRYPTO)], ["BTCUSD"])
    assert [key.asset_class for key in game.talk.book.ledger()] == [AssetClass.CRYPTO]
