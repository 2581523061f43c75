"""What numbers mean: new beginnings, holes, repeats, and who gets what from a place of its own."""

from __future__ import annotations

from client.judged import topic_key
from client.playing import A, B, exchange, items, playing, publish, reader, topic


def test_an_epoch_that_changes_while_one_is_parked_and_one_is_behind() -> None:
    game = playing()
    parked, late = reader(game, "A", capacity=2), reader(game, "A", capacity=4)
    quick = reader(game, "A", capacity=100)
    exchange(game)
    publish(game, A, 8)
    exchange(game)
    late.take(4)
    game.ask()
    assert topic(game, A).behind == {late.sink: 4}
    game.server.renew()
    publish(game, A, 2)
    game.deliver(100)
    assert items(quick) == [*range(1, 9), (None, None, "epoch_changed")]
    game.finish()
    assert parked.sink.gaps == late.sink.gaps == quick.sink.gaps == 1


def test_a_numbering_that_begins_anew_under_its_old_name_is_told_to_who_was_parked() -> None:
    game = playing()
    slow, quick = reader(game, "A", capacity=1), reader(game, "A", capacity=100)
    exchange(game)
    publish(game, A, 5)
    exchange(game)
    game.server.tell_gap(A, "epoch_changed")
    game.server.tell_data(A, 9)
    game.deliver(10)
    assert items(quick, judged=False) == [1, 2, 3, 4, 5, (None, None, "epoch_changed"), 9]
    assert items(slow) == [1]
    game.talk.book.unpause(slow.sink)
    assert items(slow, judged=False) == [(None, None, "epoch_changed")]


def test_an_epoch_that_changes_while_joining() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    publish(game, A)
    exchange(game)
    game.cut()
    game.connect()
    game.deliver(1)
    game.ask()
    game.server.renew()
    publish(game, A, 3)
    game.finish()
    assert one.sink.gaps == 1


def test_a_new_epoch_cut_before_its_first_message_is_resumed_from_its_start() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    publish(game, A)
    exchange(game)
    game.server.renew()
    exchange(game)
    game.cut()
    publish(game, A, 5)
    game.server.shrink(A, 1)
    game.connect()
    exchange(game)
    exchange(game)
    assert items(one) == [1, (None, None, "epoch_changed"), (1, 5, "expired")]
    entry = game.talk.book.ledger()[topic_key(A)]
    assert (entry.begin, entry.last, entry.received, entry.missing, entry.restarts) == (0, 5, 0, 5, 1)


def test_who_lacks_less_gets_what_the_ring_still_has() -> None:
    game = playing()
    slow, quick = reader(game, "A", capacity=2), reader(game, "A", capacity=100)
    exchange(game)
    publish(game, A, 6)
    exchange(game)
    game.cut()
    publish(game, A, 2)
    game.server.shrink(A, 3)
    slow.take(2)
    game.connect()
    for _ in range(6):
        exchange(game)
    assert items(quick) == list(range(1, 9))
    assert items(slow) == [(3, 6, "expired"), 7]
    assert [one.first for one in game.server.expired] == [3]
    game.talk.book.unpause(slow.sink)
    game.finish()


def test_a_message_that_two_leave_untaken_is_asked_for_again() -> None:
    game = playing()
    slow = reader(game, "A", "B", capacity=1)
    game.open("trades", ("A", "B"), "error", 1, snapshots=False)
    exchange(game)
    publish(game, A)
    publish(game, B)
    exchange(game)
    assert len(game.readers) == 1
    assert slow.sink.paused
    slow.take(1)
    game.settle()
    assert slow.places[B].seq == 1


def test_a_hole_is_asked_for_once_and_then_told() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    publish(game, A, 2)
    game.server.publish(A, skip=True)
    publish(game, A)
    exchange(game)
    assert topic(game, A).resync
    exchange(game)
    exchange(game)
    assert items(one) == [1, 2, 3, 4]
    game.server.publish(A, skip=True)
    publish(game, A)
    exchange(game)
    exchange(game)
    game.ask()
    game.server.to_server.clear()
    answer = {"dataset": "SIP", "assetClass": "stocks", "channels": ["trades"], "symbols": ["A"], "total": 1}
    game.server.tell(type="subscribed", id=5, epoch="e1", **answer)
    game.server.tell_data(A, 6)  # still without 5
    game.deliver(10)
    assert items(one, judged=False) == [(5, 5, "unexplained"), 6]


def test_repeats_are_dropped_and_counted() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    game.server.publish(A, repeat=True)
    publish(game, A)
    exchange(game)
    assert items(one) == [1, 2]
    assert game.talk.book.ledger()[topic_key(A)].repeated == 1


def test_what_was_conflated_without_our_asking_is_a_hole() -> None:
    game = playing()
    reader(game, "A")
    exchange(game)
    game.server.topics[A].head = 3
    game.server.tell_data(A, 3, conflated=2)
    game.finish()


def test_full_again_on_the_way_back() -> None:
    game = playing()
    slow, _ = reader(game, "A", "B", "C", capacity=1), reader(game, "A", "B", "C", capacity=100)
    exchange(game)
    publish(game, A, 2)
    exchange(game)
    game.server.renew()
    exchange(game)
    for _ in range(3):  # its buffer has room for one gap at a time
        assert slow.sink.paused
        slow.take(1)
    game.finish()
    assert slow.sink.gaps == 3


def test_of_three_places_the_middle_one_loses_nothing_to_the_first() -> None:
    game = playing()
    first, middle = reader(game, "A", capacity=2), reader(game, "A", capacity=4)
    quick = reader(game, "A", capacity=100)
    exchange(game)
    publish(game, A, 8)
    exchange(game)
    game.cut()
    game.server.shrink(A, 4)
    for slow in (first, middle):
        slow.take(9)
    game.connect()
    for _ in range(5):
        exchange(game)
    assert items(first) == [(3, 4, "expired"), 5]
    assert items(middle) == [5, 6, 7, 8]
    assert items(quick) == list(range(1, 9))
    for slow in (first, middle):
        game.talk.book.unpause(slow.sink)
    game.finish()


def test_who_is_too_full_to_be_told_of_a_gap_is_told_later() -> None:
    game = playing()
    slow, quick = reader(game, "A", capacity=2), reader(game, "A", capacity=100)
    exchange(game)
    publish(game, A, 2)
    exchange(game)
    game.server.topics[A].head = game.server.topics[A].floor = 5
    game.server.tell_gap(A, "slow_consumer", **{"from": 3, "to": 5})
    game.deliver(1)
    assert slow.sink.paused
    assert items(quick, judged=False) == [1, 2, (3, 5, "slow_consumer")]
    slow.take(2)
    game.settle()
    assert slow.places[A].seq == 5
    assert slow.sink.missing == 3


def test_a_gap_after_a_hole_asks_for_the_hole_first() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    game.server.topics[A].head = 4
    game.server.tell_gap(A, "slow_consumer", **{"from": 3, "to": 4})
    game.deliver(1)
    assert items(one) == []
    exchange(game)
    exchange(game)
    assert items(one) == [1, 2, 3, 4]


def test_a_gap_that_is_over_changes_nothing() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    publish(game, A, 3)
    game.server.tell_gap(A, "slow_consumer", **{"from": 1, "to": 3})
    exchange(game)
    assert items(one) == [1, 2, 3]


def test_a_gap_first_of_all_in_a_new_numbering_tells_where_it_stands() -> None:
    game = playing()
    one = reader(game, "A")
    exchange(game)
    game.server.epoch = 2
    game.server.tell_gap(A, "epoch_changed")
    game.server.tell_gap(A, "slow_consumer", **{"from": 8, "to": 9})
    game.deliver(2)
    assert items(one, judged=False) == [(None, None, "epoch_changed"), (8, 9, "slow_consumer")]
    entry = game.talk.book.ledger()[topic_key(A)]
    assert (entry.begin, entry.last, entry.missing) == (7, 9, 2)


def test_one_that_reads_again_from_an_earlier_place() -> None:
    game = playing()
    one, two = reader(game, "A"), reader(game, "A")
    exchange(game)
    publish(game, A, 3)
    exchange(game)
    assert items(one) == items(two) == [1, 2, 3]
    topic(game, A).rewind(one.sink, 1)
    game.talk.book.touch(topic(game, A))
    exchange(game)
    exchange(game)
    assert items(one, judged=False) == [2, 3]
    assert items(two) == []
