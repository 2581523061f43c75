"""The judge can say no: each rule of the book, broken on purpose, is found out by the same games."""

from __future__ import annotations

from typing import Any

import pytest
from client.judged import Game
from client.playing import A, exchange, playing, publish, reader
from client.test_book_model import play, random_ops

from datafye_trio.client.asking import Asking
from datafye_trio.client.board import Board
from datafye_trio.client.book import Book
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic

GAMES = 100


def found_out() -> bool:
    """Whether one of the games ends in an assertion."""
    for seed in range(GAMES):
        try:
            play(random_ops(seed, 120), raw=seed % 2 == 1)
        except (AssertionError, KeyError):  # a KeyError: the book itself stumbles over what is wrong
            return True
    return False


@pytest.mark.unmeasured
def test_unbroken_no_game_fails() -> None:
    assert not found_out()


lose, park, rejoined, started = Topic.lose, Topic.park, Topic.rejoined, Topic.started


def _park_one_later(topic: Topic, sink: Sink) -> None:
    park(topic, sink)
    if (place := topic.parked.get(sink)) is not None:
        topic.parked[sink] = place + 1


BROKEN: dict[str, tuple[type[Any], str, Any]] = {
    "a gap is one too long": (Topic, "lose", lambda topic, last, reason: lose(topic, last + 1, reason)),
    "a gap is not told": (Sink, "put_gap", lambda *_: True),
    "the place of a full one is one too late": (Topic, "park", _park_one_later),
    "a full one goes on from now": (Topic, "join_from", lambda topic, sink, _: topic.join(sink)),
    "what the server has passed is not asked for": (Topic, "_check_reach", Topic.refresh),
    "a hole is passed over": (Topic, "_skipped", lambda *_: False),
    "an answer is taken for one message later": (Topic, "rejoined", lambda topic, at: rejoined(topic, at + 1)),
    "a beginning is one too late": (Topic, "started", lambda topic, epoch, at: started(topic, epoch, at + 1)),
    "a wake-up is lost": (Book, "touch", lambda *_: None),
    "a cut is forgotten": (Board, "cut", lambda _: None),
    "a new symbol is not given to all": (Board, "include", lambda *_: None),
    "an unsubscribe is taken for granted": (Book, "off_wire", lambda *_: None),
    "a refusal is passed over": (Asking, "_refuse", lambda *_, **__: None),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_broken_a_game_fails(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, name, instead = BROKEN[rule]
    monkeypatch.setattr(cls, name, instead)
    assert found_out()


def test_a_message_that_is_lost_in_silence_is_found_out() -> None:
    game = Game()
    game.connect()
    one = reader(game, "A")
    game.settle()
    publish(game, A, 3)
    exchange(game)
    one.take(1)
    one.buffer.pop()
    with pytest.raises(AssertionError, match="3 after 1"):
        one.take(1)


def test_one_that_never_gets_all_is_found_out() -> None:
    game = playing()
    one = reader(game, "A")
    game.settle()
    publish(game, A)
    game.talk.book.detach(one.sink)  # behind the judge's back
    with pytest.raises(AssertionError, match="wait"):
        game.finish()
