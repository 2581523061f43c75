"""Every symbol (`*`) beside symbols by name, on one board."""

from __future__ import annotations

from client.playing import A, B, C, asked, exchange, items, playing, publish, reader, topic

from datafye_trio.client.topic import Wire


def test_every_symbol_and_one_by_name_on_one_board() -> None:
    game = playing()
    everything, one = reader(game, "*"), reader(game, "A")
    publish(game, B, 2)
    game.settle()
    publish(game, A)
    publish(game, C)
    game.settle()
    everything.leave()
    requests = asked(game)
    assert [(request["symbols"], request["except"]) for request in requests] == [(["*"], ["A"])]
    game.finish()
    one.leave()
    game.finish()


def test_a_symbol_by_name_that_every_symbol_brings_first() -> None:
    game = playing()
    reader(game, "*")
    game.settle()
    one = reader(game, "A")
    game.ask()
    publish(game, A)  # before the request is served
    game.deliver(10)
    assert not one.sink.pending
    game.finish()


def test_a_new_symbol_by_name_is_one_of_every_symbol() -> None:
    game = playing()
    everything = reader(game, "*")
    game.settle()
    reader(game, "A")
    exchange(game)
    assert topic(game, A) in everything.sink.topics
    publish(game, A)
    game.finish()


def test_a_new_symbol_by_name_after_a_cut_begins_at_its_start_for_every_symbol() -> None:
    game = playing()
    everything = reader(game, "*")
    game.settle()
    game.cut()
    publish(game, A, 3)
    one = reader(game, "A")
    game.connect()
    for _ in range(5):
        exchange(game)
    assert items(everything) == [1, 2, 3]
    assert items(one) == []
    game.finish()


def test_every_symbol_joins_one_that_was_parked() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    publish(game, A, 3)
    exchange(game)
    exchange(game)
    assert topic(game, A).wire is Wire.OFF
    everything = reader(game, "*", capacity=100)
    for _ in range(4):
        exchange(game)
    assert items(everything) == [2, 3]
    assert items(slow) == [1]
    game.talk.book.unpause(slow.sink)
    game.finish()


def test_every_symbol_joins_one_that_was_parked_in_an_older_numbering() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    publish(game, A, 3)
    exchange(game)
    game.restart()
    publish(game, A, 2)
    everything = reader(game, "*")
    game.connect()
    for _ in range(4):
        exchange(game)
    assert slow.sink.paused
    publish(game, A)
    exchange(game)
    assert items(everything) == [3]
    game.finish()
    assert slow.sink.gaps == 1


def test_a_symbol_left_out_of_every_symbol() -> None:
    game = playing()
    one = reader(game, "*")
    publish(game, A)
    publish(game, B)
    game.settle()
    one.remove("A")
    game.finish()
    assert game.server.excluded == {A}
    game.cut()
    game.finish()
    two = reader(game, "*")
    game.finish()
    one.add("A")
    one.add("B")
    assert topic(game, B) not in {named for named in one.sink.topics if one.sink in named.named}
    two.remove("*")
    game.finish()


def test_every_symbol_includes_what_the_last_one_had_left_out() -> None:
    game = playing()
    one = reader(game, "*")
    publish(game, A)
    game.settle()
    one.remove("A")
    game.settle()
    one.leave()
    reader(game, "*")
    assert asked(game)[0]["symbols"] == ["A"]
    game.finish()


def test_every_symbol_is_resumed_though_its_last_subscription_has_changed() -> None:
    game = playing()
    one = reader(game, "*")
    game.settle()
    one.leave()
    two = reader(game, "*")
    assert asked(game) == []
    game.cut()
    publish(game, A, 2)
    game.settle()
    assert two.places[A].seq == 2


def test_every_symbol_is_resumed_in_the_numbering_that_it_knew() -> None:
    game = playing()
    everything = reader(game, "*")
    reader(game, "B")
    game.settle()
    game.restart()
    publish(game, A, 2)
    game.connect()
    for _ in range(5):
        exchange(game)
    assert items(everything) == [(None, None, "epoch_changed")] * 2
    game.finish()


def test_a_second_one_for_every_symbol_while_the_first_is_full() -> None:
    game = playing()
    slow = reader(game, "*", capacity=1)
    game.settle()
    publish(game, A, 3)
    publish(game, B)
    for _ in range(3):
        exchange(game)
    assert not game.server.stars
    other = reader(game, "*", capacity=100)
    for _ in range(4):
        exchange(game)
    assert items(other) == [2, 3, 1]
    slow.take(1)
    game.finish()


def test_every_symbol_added_to_a_full_subscription_is_answered() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    publish(game, A, 2)
    publish(game, B)
    exchange(game)
    slow.add("*")
    assert slow.sink.pending
    for _ in range(3):
        exchange(game)
    assert slow.sink.paused
    assert not slow.sink.pending
    assert not game.server.stars
    slow.add("*")
    assert not slow.sink.pending
    game.finish()


def test_every_symbol_joins_one_that_has_room_again_while_it_is_asked_for() -> None:
    game = playing()
    slow = reader(game, "A", capacity=1)
    exchange(game)
    publish(game, A, 3)
    exchange(game)
    exchange(game)
    reader(game, "*", capacity=100)
    slow.take(1)  # in the very moment in which `*` is asked for
    publish(game, A)
    game.finish()
