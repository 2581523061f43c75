"""The grid of heartbeats, by itself."""

from __future__ import annotations

from datafye_trio.connection.heartbeat import HeartbeatConfig, Heartbeats


def test_they_may_come_early_and_the_cut_with_them() -> None:
    beats = Heartbeats(HeartbeatConfig(10, 30), 0)
    beats.advance(0.5)
    assert beats.next_time() == 9.5
    assert beats.check(9.5) == "send"
    beats.sent(9.5, 1)
    assert beats.next_time() == 19.5
    assert beats.check(39.5) == "dead"


def test_what_is_skipped_is_neither_sent_nor_missed_and_the_grid_stays() -> None:
    beats = Heartbeats(HeartbeatConfig(10, 30), 0)
    assert beats.check(10) == "send"
    beats.sent(10, 1)
    beats.skip(20)
    assert beats.next_time() == 30
    beats.skip(65)
    assert beats.next_time() == 70
    assert beats.check(69.9) == "wait"
    assert beats.check(70) == "send"
    beats.sent(70, 2)
    assert beats.check(99.9) == "send"
    assert beats.check(100) == "dead", "30 s after the first that was sent again"


def test_an_answer_counts_for_those_before_it_though_the_clock_was_set_back() -> None:
    beats = Heartbeats(HeartbeatConfig(10, 30), 0)
    for now, stamp in ((10, 5_000), (20, 1_400), (30, 1_410)):
        beats.sent(now, stamp)
    beats.answered(1_400)
    assert beats.check(49.9) == "send", "the first two are answered by the second"
    assert beats.check(60) == "dead", "the third is not"
    beats.answered(1_410)
    assert beats.check(60) != "dead"
    beats.sent(60, 1_440)
    beats.answered(1_399)
    assert beats.check(90) == "dead", "an answer to nothing that was sent"
